// dealRecords(octets, spans, count, program, seed, table, into, counts): src/record/deal-kernel.ts says what it takes.
#include "kernel/deal.h"

#include <optional>
#include <span>

#include "binding/binding.h"

namespace darta {
namespace {

template <typename T>
std::optional<std::span<T>> array_of(napi_env env, napi_value value, napi_typedarray_type wanted) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != wanted) {
    return std::nullopt;
  }
  return std::span(static_cast<T*>(data), length);
}

template <typename T>
std::optional<std::span<T>> member(napi_env env, napi_value object, const char* name,
                                   napi_typedarray_type wanted) {
  napi_value value = nullptr;
  if (napi_get_named_property(env, object, name, &value) != napi_ok) return std::nullopt;
  return array_of<T>(env, value, wanted);
}

size_t number(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  uint32_t result = 0;
  if (napi_get_named_property(env, object, name, &value) == napi_ok) {
    napi_get_value_uint32(env, value, &result);
  }
  return result;
}

napi_value deal(napi_env env, napi_callback_info info) {
  size_t count = 8;
  napi_value arguments[8] = {};
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  const auto octets = array_of<uint8_t>(env, arguments[0], napi_uint8_array);
  const auto spans = array_of<int32_t>(env, arguments[1], napi_int32_array);
  const auto key = member<uint8_t>(env, arguments[3], "key", napi_uint8_array);
  const auto moves = member<int32_t>(env, arguments[3], "moves", napi_int32_array);
  const auto lanes = member<uint16_t>(env, arguments[5], "lanes", napi_uint16_array);
  const auto ring = member<uint16_t>(env, arguments[5], "ring", napi_uint16_array);
  const auto cursor = member<uint32_t>(env, arguments[5], "cursor", napi_uint32_array);
  const auto loads = member<uint32_t>(env, arguments[5], "loads", napi_uint32_array);
  const auto into = array_of<uint8_t>(env, arguments[6], napi_uint8_array);
  const auto counts = array_of<uint32_t>(env, arguments[7], napi_uint32_array);
  uint32_t used = 0;
  uint32_t seed = 0;
  if (!octets || !spans || !key || !moves || !lanes || !ring || !cursor || cursor->empty() ||
      !loads || !into || !counts || napi_get_value_uint32(env, arguments[2], &used) != napi_ok ||
      napi_get_value_uint32(env, arguments[4], &seed) != napi_ok) {
    napi_throw_type_error(env, nullptr, "dealRecords takes typed arrays");
    return nullptr;
  }
  const DealProgram program = {number(env, arguments[3], "recordOctets"), *key,
                               number(env, arguments[3], "keyOctets"),
                               number(env, arguments[3], "half"), *moves};
  DealTable table = {*lanes, *ring, cursor->front(), *loads};
  if (2 * static_cast<size_t>(used) > spans->size() ||
      !deal_records(*octets, spans->first(2 * static_cast<size_t>(used)), program, seed, table,
                    *into, *counts)) {
    napi_throw_range_error(env, nullptr, "records cannot be dealt so");
  }
  return nullptr;
}

}  // namespace

void register_deal(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  napi_create_function(env, "dealRecords", NAPI_AUTO_LENGTH, deal, nullptr, &function);
  napi_set_named_property(env, exports, "dealRecords", function);
}

}  // namespace darta
