// Measuring what packets cost here.
#include "meter/capacity.h"

#include "binding/meter_values.h"

namespace darta {
namespace {

/// measureCapacity(meterOptions, {frameOctets, flows, batch, rounds, reject, accept, whole, turn,
/// earlyDrop, earlyPass}): nanoseconds in an object, or [call, errno] of what failed
napi_value measure_capacity_of(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  const auto program = [&](const char* name, std::vector<sock_filter>& into) {
    return read_structures(elements_property<uint8_t>(env, given[1], name), into);
  };
  CapacityOptions options;
  if (given.count != 2 || !read_meter_options(env, given[0], options.meter) ||
      !program("reject", options.reject) || !program("accept", options.accept) ||
      !program("whole", options.whole) ||
      !read_structures(elements_property<uint8_t>(env, given[1], "earlyDrop"),
                       options.early_drop) ||
      !read_structures(elements_property<uint8_t>(env, given[1], "earlyPass"), options.early_pass))
    return refuse(env, "measureCapacity(meterOptions, options)");
  const auto number = [&](const char* name) {
    return whole_property<uint32_t>(env, given[1], name, INT32_MAX);
  };
  options.frame_octets = number("frameOctets");
  options.flows = number("flows");
  options.batch = std::max(number("batch"), 64U);
  options.rounds = std::max(number("rounds"), 1U);
  options.turn = static_cast<int>(number("turn"));
  Capacity capacity;
  std::string call;
  int error = 0;
  if (!measure_capacity(options, capacity, call, error)) return list_of(env, call, error);
  napi_value result = nullptr;
  napi_create_object(env, &result);
  const auto put = [&](const char* name, double ns) {
    napi_set_named_property(env, result, name, to_value(env, ns));
  };
  put("send", capacity.send);
  put("receive", capacity.receive);
  put("rejectAll", capacity.reject_all);
  put("reject", capacity.reject);
  put("rejectTurn", capacity.reject_turn);
  put("accept", capacity.accept);
  put("acceptWhole", capacity.accept_whole);
  put("meter", capacity.meter);
  put("earlyDrop", capacity.early_drop);
  put("earlyPass", capacity.early_pass);
  return result;
}

}  // namespace

void register_capacity(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"measureCapacity", measure_capacity_of}});
}

}  // namespace darta
