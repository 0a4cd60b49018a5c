// Meters for JavaScript. The shapes of arguments and results are NativeAddon's in src/io/native.ts,
// which is the only caller; each call checks its handle and trusts the rest no further than
// Node-API does.
#include "meter/meter.h"

#include <sys/random.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>

#include "binding/meter_values.h"

namespace darta {
namespace {

/// What a handle points to; empty once it is closed.
struct MeterHandle {
  std::unique_ptr<Meter> meter;
};

constexpr napi_type_tag meter_tag = {0x6d657465722d6461, 0x7274612d68616e64};

/// Throws what Node-API had to say; for calls that only a fault of ours makes fail.
napi_value fail(napi_env env, const char* what) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, "DARTA_INTERNAL", what);
  return nullptr;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

napi_value text(napi_env env, const std::string& value) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, value.data(), value.size(), &result);
  return result;
}

napi_value undefined(napi_env env) {
  napi_value result = nullptr;
  napi_get_undefined(env, &result);
  return result;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

int64_t timeout(napi_env env, napi_value object, const char* name) {
  const uint64_t milliseconds = whole(number_property(env, object, name), INT64_MAX / 1'000'000);
  return static_cast<int64_t>(milliseconds) * 1'000'000;
}

/// A Uint32Array of enterprise number, element number and length, one field after another.
bool fields_property(napi_env env, napi_value object, const char* name,
                     std::vector<FieldSpecifier>& fields) {
  napi_value value = nullptr;
  bool typed = false;
  if (napi_get_named_property(env, object, name, &value) != napi_ok ||
      napi_is_typedarray(env, value, &typed) != napi_ok || !typed)
    return false;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint32_array || length % 3 != 0)
    return false;
  const auto* const numbers = static_cast<const uint32_t*>(data);
  for (size_t i = 0; i < length; i += 3) {
    fields.push_back(
        {numbers[i], static_cast<uint16_t>(numbers[i + 1]), static_cast<uint16_t>(numbers[i + 2])});
  }
  return true;
}

uint64_t seed_property(napi_env env, napi_value object) {
  const double given = number_property(env, object, "seed");
  if (!std::isnan(given)) return whole(given, UINT64_MAX);
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
    seed = reinterpret_cast<uintptr_t>(&seed) ^ static_cast<uint64_t>(time(nullptr));
  return seed;
}

/// The arguments of a call; the first one is a handle where `handle` is wanted.
struct Call {
  static constexpr size_t most = 2;
  napi_value arguments[most] = {nullptr, nullptr};
  size_t count = most;
  MeterHandle* handle = nullptr;

  bool read(napi_env env, napi_callback_info info, size_t needed, bool open) {
    if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok ||
        count < needed)
      return false;
    if (!open) return true;
    bool ours = false;
    void* data = nullptr;
    if (napi_check_object_type_tag(env, arguments[0], &meter_tag, &ours) != napi_ok || !ours ||
        napi_get_value_external(env, arguments[0], &data) != napi_ok)
      return false;
    handle = static_cast<MeterHandle*>(data);
    return handle->meter != nullptr;
  }
};

void free_octets(napi_env, void* data, void*) { std::free(data); }

/// A Uint8Array over the octets of an output, which then belong to JavaScript.
napi_value to_array(napi_env env, const Output& output) {
  napi_value buffer = nullptr, array = nullptr;
  const napi_status status = napi_create_external_arraybuffer(env, output.octets, output.size,
                                                              free_octets, nullptr, &buffer);
  if (status != napi_ok) {
    // A JavaScript engine that keeps all its memory in one cage takes a copy only.
    void* data = nullptr;
    if (napi_create_arraybuffer(env, output.size, &data, &buffer) == napi_ok)
      std::memcpy(data, output.octets, output.size);
    std::free(output.octets);
  }
  if (buffer != nullptr)
    napi_create_typedarray(env, napi_uint8_array, output.size, buffer, 0, &array);
  return array;
}

/// [status, done, octets, template, count, exportTime, octets, …]. After an error the filled
/// buffers stay where they are, for the next call.
napi_value result(napi_env env, Meter& meter, MeterStatus status, bool done = false) {
  napi_value array = nullptr;
  if (napi_create_array(env, &array) != napi_ok) return fail(env, "no array");
  napi_set_element(env, array, 0, number(env, static_cast<double>(status)));
  napi_set_element(env, array, 1, number(env, done ? 1 : 0));
  if (status != MeterStatus::ok) return array;
  return append_outputs(env, array, 2, meter.take_outputs()) ? array
                                                             : fail(env, "no buffer for records");
}

napi_value meter_create(napi_env env, napi_callback_info info) {
  Call call;
  napi_valuetype type = napi_undefined;
  if (!call.read(env, info, 1, false) || napi_typeof(env, call.arguments[0], &type) != napi_ok ||
      type != napi_object)
    return fail(env, "meterCreate(options)");
  const napi_value given = call.arguments[0];
  MeterOptions options;
  if (!read_meter_options(env, given, options))
    return fail(env, "fields are triples of numbers in a Uint32Array");
  std::string error;
  auto handle = std::make_unique<MeterHandle>();
  handle->meter = Meter::create(options, error);
  if (!handle->meter) {
    napi_throw_error(env, "DARTA_USAGE", error.c_str());
    return nullptr;
  }
  napi_value external = nullptr;
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<MeterHandle*>(data); };
  if (napi_create_external(env, handle.get(), finalize, nullptr, &external) != napi_ok)
    return fail(env, "no handle");
  handle.release();
  if (napi_type_tag_object(env, external, &meter_tag) != napi_ok) return fail(env, "no type tag");
  return external;
}

napi_value meter_push(napi_env env, napi_callback_info info) {
  Call call;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (!call.read(env, info, 2, true) ||
      napi_get_typedarray_info(env, call.arguments[1], &type, &length, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_uint8_array)
    return fail(env, "meterPush(meter, octets)");
  Meter& meter = *call.handle->meter;
  return result(env, meter, meter.push(Octets(static_cast<const uint8_t*>(data), length)));
}

napi_value meter_end_capture(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.read(env, info, 1, true)) return fail(env, "meterEndCapture(meter)");
  return number(env, static_cast<double>(call.handle->meter->end_capture()));
}

/// [errno, status of the capture before]
napi_value meter_open(napi_env env, napi_callback_info info) {
  Call call;
  size_t length = 0;
  if (!call.read(env, info, 2, true) ||
      napi_get_value_string_utf8(env, call.arguments[1], nullptr, 0, &length) != napi_ok)
    return fail(env, "meterOpen(meter, path)");
  std::string path(length + 1, '\0');
  napi_get_value_string_utf8(env, call.arguments[1], path.data(), path.size(), &length);
  MeterStatus status = MeterStatus::ok;
  // A path with a NUL in it would name another file.
  const int error =
      path.find('\0') < length ? EINVAL : call.handle->meter->open(path.c_str(), status);
  napi_value array = nullptr;
  if (napi_create_array_with_length(env, 2, &array) != napi_ok) return fail(env, "no array");
  napi_set_element(env, array, 0, number(env, error));
  napi_set_element(env, array, 1, number(env, static_cast<double>(status)));
  return array;
}

napi_value meter_step(napi_env env, napi_callback_info info) {
  Call call;
  double octets = 0;
  if (!call.read(env, info, 2, true) ||
      napi_get_value_double(env, call.arguments[1], &octets) != napi_ok)
    return fail(env, "meterStep(meter, octets)");
  bool done = false;
  Meter& meter = *call.handle->meter;
  const MeterStatus status = meter.step(whole(octets, SIZE_MAX), done);
  return result(env, meter, status, done);
}

napi_value meter_finish(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.read(env, info, 1, true)) return fail(env, "meterFinish(meter)");
  Meter& meter = *call.handle->meter;
  return result(env, meter, meter.finish());
}

napi_value meter_flush(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.read(env, info, 1, true)) return fail(env, "meterFlush(meter)");
  Meter& meter = *call.handle->meter;
  meter.flush();
  return result(env, meter, MeterStatus::ok);
}

/// [octets the input began with, at most 4; those as a number in network order]
napi_value meter_beginning(napi_env env, napi_callback_info info) {
  Call call;
  napi_value array = nullptr;
  if (!call.read(env, info, 1, true) || napi_create_array_with_length(env, 2, &array) != napi_ok)
    return fail(env, "meterBeginning(meter)");
  const CaptureReader::Beginning beginning = call.handle->meter->bad_beginning();
  napi_set_element(env, array, 0, number(env, beginning.octets));
  napi_set_element(env, array, 1, number(env, beginning.magic));
  return array;
}

napi_value meter_full(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.read(env, info, 1, true)) return fail(env, "meterFull(meter)");
  napi_value full = nullptr;
  napi_get_boolean(env, call.handle->meter->full(), &full);
  return full;
}

/// [name, count, first offset, name, …]
napi_value reasons(napi_env env, const std::vector<Reason>& list) {
  napi_value array = nullptr;
  napi_create_array(env, &array);
  uint32_t at = 0;
  for (const Reason& reason : list) {
    napi_set_element(env, array, at++, text(env, reason.name));
    napi_set_element(env, array, at++, number(env, static_cast<double>(reason.count)));
    napi_set_element(env, array, at++, number(env, static_cast<double>(reason.first_offset)));
  }
  return array;
}

napi_value time_value(napi_env env, int64_t nanoseconds) {
  if (nanoseconds < 0) return undefined(env);
  napi_value result = nullptr;
  napi_create_bigint_int64(env, nanoseconds, &result);
  return result;
}

napi_value meter_counters(napi_env env, napi_callback_info info) {
  Call call;
  if (!call.read(env, info, 1, true)) return fail(env, "meterCounters(meter)");
  return counters_value(env, call.handle->meter->counters());
}

napi_value meter_close(napi_env env, napi_callback_info info) {
  Call call;
  // Closing twice does nothing.
  if (call.read(env, info, 1, true)) call.handle->meter.reset();
  return undefined(env);
}

}  // namespace

/// A property that is a number or boolean, as a number; not a number if it is neither.
double number_property(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  napi_valuetype type = napi_undefined;
  if (napi_get_named_property(env, object, name, &value) != napi_ok ||
      napi_typeof(env, value, &type) != napi_ok)
    return std::nan("");
  bool flag = false;
  if (type == napi_boolean && napi_get_value_bool(env, value, &flag) == napi_ok) return flag;
  double result = std::nan("");
  if (type == napi_number) napi_get_value_double(env, value, &result);
  return result;
}

/// Whole number between 0 and `most`; what is no number is 0.
uint64_t whole(double value, uint64_t most) {
  if (!(value > 0)) return 0;
  return value >= static_cast<double>(most) ? most : static_cast<uint64_t>(value);
}

std::string text_property(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  size_t length = 0;
  if (napi_get_named_property(env, object, name, &value) != napi_ok ||
      napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok)
    return {};
  std::string result(length + 1, '\0');
  napi_get_value_string_utf8(env, value, result.data(), result.size(), &length);
  result.resize(length);
  return result;
}

/// One octet for each slot; false if it is there in another shape.
bool owned_property(napi_env env, napi_value object, std::vector<uint8_t>& owned) {
  napi_value value = nullptr;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_named_property(env, object, "shareOwned", &value) != napi_ok ||
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || length != share_slots)
    return false;
  owned.assign(static_cast<uint8_t*>(data), static_cast<uint8_t*>(data) + length);
  return true;
}

bool read_share(napi_env env, napi_value given, MeterShare& share) {
  const auto value = [&](const char* name, uint64_t most) {
    return whole(number_property(env, given, name), most);
  };
  share.by = static_cast<MeterShare::By>(value("shareBy", 2));
  share.selector.addresses = static_cast<ShareAddresses>(value("shareAddresses", 2));
  share.selector.protocol = value("shareProtocol", 1) > 0;
  share.selector.ports = value("sharePorts", 1) > 0;
  share.seed = static_cast<uint32_t>(value("shareSeed", UINT32_MAX));
  share.parts = std::max<uint64_t>(value("shareParts", UINT32_MAX), 1);
  share.first = value("shareFirst", UINT32_MAX);
  share.last = value("shareLast", UINT32_MAX);
  return share.by != MeterShare::By::hash || owned_property(env, given, share.owned);
}

bool read_meter_options(napi_env env, napi_value given, MeterOptions& options) {
  options.emit = static_cast<Emit>(whole(number_property(env, given, "emit"), 2));
  options.key = static_cast<uint32_t>(whole(number_property(env, given, "key"), UINT32_MAX));
  options.biflow = number_property(env, given, "biflow") > 0;
  options.decap = number_property(env, given, "decap") > 0;
  options.idle_timeout = timeout(env, given, "idleTimeoutMs");
  options.active_timeout = timeout(env, given, "activeTimeoutMs");
  options.tcp_fin_timeout = timeout(env, given, "tcpFinTimeoutMs");
  options.tcp_rst_timeout = timeout(env, given, "tcpRstTimeoutMs");
  options.max_memory = whole(number_property(env, given, "maxMemoryOctets"), UINT64_MAX);
  options.max_flows = whole(number_property(env, given, "maxFlows"), UINT64_MAX);
  options.max_frames = whole(number_property(env, given, "maxFrames"), UINT64_MAX);
  options.on_full = static_cast<OnFull>(whole(number_property(env, given, "onFull"), 2));
  options.section_octets =
      static_cast<uint32_t>(whole(number_property(env, given, "sectionOctets"), UINT32_MAX));
  options.seed = seed_property(env, given);
  return read_share(env, given, options.share) && fields_property(env, given, "v4", options.v4) &&
         fields_property(env, given, "v6", options.v6);
}

bool append_outputs(napi_env env, napi_value array, uint32_t at,
                    const std::vector<Output>& outputs) {
  for (const Output& output : outputs) {
    const napi_value octets = to_array(env, output);
    if (octets == nullptr) return false;
    napi_set_element(env, array, at++, octets);
    napi_set_element(env, array, at++, number(env, output.template_index));
    napi_set_element(env, array, at++, number(env, output.count));
    napi_set_element(env, array, at++, number(env, static_cast<double>(output.export_time)));
  }
  return true;
}

napi_value counters_value(napi_env env, const MeterCounters& c) {
  napi_value object = nullptr;
  if (napi_create_object(env, &object) != napi_ok) return fail(env, "no object");
  const auto add = [&](const char* name, uint64_t value) {
    set(env, object, name, number(env, static_cast<double>(value)));
  };
  add("frames", c.frames);
  add("ipPackets", c.ip_packets);
  add("ipOctets", c.ip_octets);
  add("lostOctets", c.lost_octets);
  add("inputOctets", c.input_octets);
  add("flowsCreated", c.flows_created);
  add("flowsExported", c.flows_exported);
  add("flowsLive", c.flows_live);
  add("flowsEvicted", c.flows_evicted);
  add("memoryOctets", c.memory_octets);
  set(env, object, "firstTimeNs", time_value(env, c.first_time));
  set(env, object, "lastTimeNs", time_value(env, c.last_time));
  set(env, object, "firstLostNs", time_value(env, c.first_lost));
  set(env, object, "lastLostNs", time_value(env, c.last_lost));
  set(env, object, "skipped", reasons(env, c.skipped));
  set(env, object, "lost", reasons(env, c.lost));
  return object;
}

void register_meter(napi_env env, napi_value exports) {
  static constexpr struct {
    const char* name;
    napi_callback call;
  } functions[] = {
      {"meterCreate", meter_create},
      {"meterPush", meter_push},
      {"meterOpen", meter_open},
      {"meterStep", meter_step},
      {"meterFinish", meter_finish},
      {"meterFlush", meter_flush},
      {"meterFull", meter_full},
      {"meterBeginning", meter_beginning},
      {"meterEndCapture", meter_end_capture},
      {"meterCounters", meter_counters},
      {"meterClose", meter_close},
  };
  for (const auto& [name, call] : functions) {
    napi_value function = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function) == napi_ok)
      set(env, exports, name, function);
  }
}

}  // namespace darta
