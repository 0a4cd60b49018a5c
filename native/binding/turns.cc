// Packets in their turn: the filter's descriptor for a ring, and its map as it is now.
#include "select/turns.h"

#include <cstring>

#include "binding/binding.h"

namespace darta {
namespace {

constexpr napi_type_tag turns_tag = {0x7475726e732d6461, 0x7274612d68616e64};

Turns* turns_of(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  size_t count = 1;
  bool ours = false;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok ||
      napi_check_object_type_tag(env, argument, &turns_tag, &ours) != napi_ok || !ours ||
      napi_get_value_external(env, argument, &data) != napi_ok) {
    napi_throw_type_error(env, nullptr, "not a handle of turnsLoad");
    return nullptr;
  }
  return static_cast<Turns*>(data);
}

/// turnsLoad(program: Uint8Array, valueOctets): a handle, or [call, errno, log] of what failed
napi_value turns_load(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  uint32_t value_octets = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2 ||
      napi_get_typedarray_info(env, arguments[0], &type, &length, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_uint8_array ||
      napi_get_value_uint32(env, arguments[1], &value_octets) != napi_ok) {
    napi_throw_type_error(env, nullptr, "turnsLoad(program, valueOctets)");
    return nullptr;
  }
  const char* call = "";
  int error = 0;
  std::string log;
  std::unique_ptr<Turns> turns =
      Turns::load({static_cast<const uint8_t*>(data), length}, value_octets, call, error, log);
  napi_value result = nullptr;
  if (!turns) {
    napi_value words[3];
    napi_create_string_utf8(env, call, NAPI_AUTO_LENGTH, &words[0]);
    napi_create_int32(env, error, &words[1]);
    napi_create_string_utf8(env, log.data(), log.size(), &words[2]);
    napi_create_array(env, &result);
    for (uint32_t i = 0; i < 3; i++) napi_set_element(env, result, i, words[i]);
    return result;
  }
  const auto finalize = [](napi_env, void* handle, void*) { delete static_cast<Turns*>(handle); };
  if (napi_create_external(env, turns.get(), finalize, nullptr, &result) != napi_ok) return nullptr;
  turns.release();
  napi_type_tag_object(env, result, &turns_tag);
  return result;
}

/// turnsDescriptor(turns): of the filter, as long as the handle is there
napi_value turns_descriptor(napi_env env, napi_callback_info info) {
  const Turns* const turns = turns_of(env, info);
  napi_value result = nullptr;
  if (turns != nullptr) napi_create_int32(env, turns->descriptor(), &result);
  return result;
}

/// turnsRead(turns): a copy of the map's value
napi_value turns_read(napi_env env, napi_callback_info info) {
  const Turns* const turns = turns_of(env, info);
  if (turns == nullptr) return nullptr;
  const std::span<const uint8_t> value = turns->value();
  void* data = nullptr;
  napi_value buffer = nullptr;
  napi_value result = nullptr;
  if (napi_create_arraybuffer(env, value.size(), &data, &buffer) != napi_ok) return nullptr;
  std::memcpy(data, value.data(), value.size());
  napi_create_typedarray(env, napi_uint8_array, value.size(), buffer, 0, &result);
  return result;
}

}  // namespace

void register_turns(napi_env env, napi_value exports) {
  static constexpr struct {
    const char* name;
    napi_callback call;
  } functions[] = {
      {"turnsLoad", turns_load}, {"turnsDescriptor", turns_descriptor}, {"turnsRead", turns_read}};
  for (const auto& [name, call] : functions) {
    napi_value function = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function) == napi_ok)
      napi_set_named_property(env, exports, name, function);
  }
}

}  // namespace darta
