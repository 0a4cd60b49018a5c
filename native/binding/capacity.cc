// Measuring what packets cost here.
#include "meter/capacity.h"

#include <cstring>

#include "binding/meter_values.h"

namespace darta {
namespace {

bool program_of(napi_env env, napi_value object, const char* name,
                std::vector<sock_filter>& program) {
  napi_value value = nullptr;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_named_property(env, object, name, &value) != napi_ok ||
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || length % sizeof(sock_filter) != 0)
    return false;
  program.resize(length / sizeof(sock_filter));
  if (length > 0) std::memcpy(program.data(), data, length);
  return true;
}

/// measureCapacity(meterOptions, {frameOctets, flows, batch, rounds, reject, accept, whole, turn}):
/// nanoseconds in an object, or [call, errno] of what failed
napi_value measure_capacity_of(napi_env env, napi_callback_info info) {
  napi_value arguments[2];
  size_t count = 2;
  CapacityOptions options;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2 ||
      !read_meter_options(env, arguments[0], options.meter) ||
      !program_of(env, arguments[1], "reject", options.reject) ||
      !program_of(env, arguments[1], "accept", options.accept) ||
      !program_of(env, arguments[1], "whole", options.whole)) {
    napi_throw_type_error(env, nullptr, "measureCapacity(meterOptions, options)");
    return nullptr;
  }
  const auto number = [&](const char* name) {
    return static_cast<uint32_t>(whole(number_property(env, arguments[1], name), INT32_MAX));
  };
  options.frame_octets = number("frameOctets");
  options.flows = number("flows");
  options.batch = std::max(number("batch"), 64U);
  options.rounds = std::max(number("rounds"), 1U);
  options.turn = static_cast<int>(number("turn"));
  Capacity capacity;
  std::string call;
  int error = 0;
  napi_value result = nullptr;
  if (!measure_capacity(options, capacity, call, error)) {
    napi_value value = nullptr;
    napi_create_array(env, &result);
    napi_create_string_utf8(env, call.data(), call.size(), &value);
    napi_set_element(env, result, 0, value);
    napi_create_int32(env, error, &value);
    napi_set_element(env, result, 1, value);
    return result;
  }
  napi_create_object(env, &result);
  const auto put = [&](const char* name, double ns) {
    napi_value value = nullptr;
    napi_create_double(env, ns, &value);
    napi_set_named_property(env, result, name, value);
  };
  put("send", capacity.send);
  put("receive", capacity.receive);
  put("reject", capacity.reject);
  put("rejectTurn", capacity.reject_turn);
  put("accept", capacity.accept);
  put("acceptWhole", capacity.accept_whole);
  put("meter", capacity.meter);
  return result;
}

}  // namespace

void register_capacity(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  napi_create_function(env, "measureCapacity", NAPI_AUTO_LENGTH, measure_capacity_of, nullptr,
                       &function);
  napi_set_named_property(env, exports, "measureCapacity", function);
}

}  // namespace darta
