// dealRecords(octets, spans, count, program, seed, table, into, counts): src/record/deal-kernel.ts says what it takes.
#include "kernel/deal.h"

#include "binding/binding.h"
#include "binding/values.h"

namespace darta {
namespace {

size_t number(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  uint32_t result = 0;
  if (napi_get_named_property(env, object, name, &value) == napi_ok) {
    napi_get_value_uint32(env, value, &result);
  }
  return result;
}

napi_value deal(napi_env env, napi_callback_info info) {
  const Arguments<8> given(env, info);
  const auto octets = elements_of<uint8_t>(env, given[0]);
  const auto spans = elements_of<int32_t>(env, given[1]);
  const auto key = elements_property<uint8_t>(env, given[3], "key");
  const auto moves = elements_property<int32_t>(env, given[3], "moves");
  const auto lanes = elements_property<uint16_t>(env, given[5], "lanes");
  const auto ring = elements_property<uint16_t>(env, given[5], "ring");
  const auto cursor = elements_property<uint32_t>(env, given[5], "cursor");
  const auto loads = elements_property<uint32_t>(env, given[5], "loads");
  const auto into = elements_of<uint8_t>(env, given[6]);
  const auto counts = elements_of<uint32_t>(env, given[7]);
  uint32_t used = 0;
  uint32_t seed = 0;
  if (!octets || !spans || !key || !moves || !lanes || !ring || !cursor || cursor->empty() ||
      !loads || !into || !counts || napi_get_value_uint32(env, given[2], &used) != napi_ok ||
      napi_get_value_uint32(env, given[4], &seed) != napi_ok)
    return refuse(env, "dealRecords takes typed arrays");
  const DealProgram program = {number(env, given[3], "recordOctets"), *key,
                               number(env, given[3], "keyOctets"), number(env, given[3], "half"),
                               *moves};
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
  export_functions(env, exports, {{"dealRecords", deal}});
}

}  // namespace darta
