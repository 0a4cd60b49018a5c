// Packets in their turn: the filter's descriptor for a ring, and its map as it is now.
#include "select/turns.h"

#include "binding/binding.h"
#include "binding/handles.h"

namespace darta {

template <>
constexpr napi_type_tag tag_of<Turns> = {0x7475726e732d6461, 0x7274612d68616e64};

namespace {

Turns* turns_of(napi_env env, napi_callback_info info) {
  Turns* const turns = thing_of<Turns>(env, info);
  if (turns == nullptr) refuse(env, "not a handle of turnsLoad");
  return turns;
}

/// turnsLoad(program: Uint8Array, valueOctets): a handle, or [call, errno, log] of what failed
napi_value turns_load(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  const auto program = elements_of<uint8_t>(env, given[0]);
  uint32_t value_octets = 0;
  if (given.count != 2 || !program ||
      napi_get_value_uint32(env, given[1], &value_octets) != napi_ok)
    return refuse(env, "turnsLoad(program, valueOctets)");
  const char* call = "";
  int error = 0;
  std::string log;
  std::unique_ptr<Turns> turns = Turns::load(*program, value_octets, call, error, log);
  if (turns) return new_handle<Turns>(env, std::move(turns));
  return list_of(env, call, error, log);
}

/// turnsDescriptor(turns): of the filter, as long as the handle is there
napi_value turns_descriptor(napi_env env, napi_callback_info info) {
  const Turns* const turns = turns_of(env, info);
  return turns == nullptr ? nullptr : to_value(env, turns->descriptor());
}

/// turnsRead(turns): a copy of the map's value
napi_value turns_read(napi_env env, napi_callback_info info) {
  const Turns* const turns = turns_of(env, info);
  return turns == nullptr ? nullptr : copy_of(env, turns->value());
}

}  // namespace

void register_turns(napi_env env, napi_value exports) {
  export_functions(env, exports,
                   {{"turnsLoad", turns_load},
                    {"turnsDescriptor", turns_descriptor},
                    {"turnsRead", turns_read}});
}

}  // namespace darta
