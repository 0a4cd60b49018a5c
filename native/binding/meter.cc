// Meters for JavaScript. The shapes of arguments and results are NativeAddon's in src/io/native.ts,
// which is the only caller; each call checks its handle and trusts the rest no further than
// Node-API does.
#include "meter/meter.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

#include "binding/binding.h"
#include "binding/handles.h"
#include "binding/meter_values.h"

namespace darta {

template <>
constexpr napi_type_tag tag_of<Meter> = {0x6d657465722d6461, 0x7274612d68616e64};

namespace {

napi_value undefined(napi_env env) {
  napi_value result = nullptr;
  napi_get_undefined(env, &result);
  return result;
}

void set(napi_env env, napi_value object, const char* name, napi_value value) {
  napi_set_named_property(env, object, name, value);
}

int64_t timeout(napi_env env, napi_value object, const char* name) {
  return whole_property<int64_t>(env, object, name, INT64_MAX / 1'000'000) * 1'000'000;
}

/// A Uint32Array of enterprise number, element number and length, one field after another.
bool fields_property(napi_env env, napi_value object, const char* name,
                     std::vector<FieldSpecifier>& fields) {
  const auto numbers = elements_property<uint32_t>(env, object, name);
  if (!numbers || numbers->size() % 3 != 0) return false;
  for (size_t i = 0; i < numbers->size(); i += 3) {
    const uint32_t* const field = &(*numbers)[i];
    fields.push_back({field[0], static_cast<uint16_t>(field[1]), static_cast<uint16_t>(field[2])});
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

void free_octets(napi_env, void* data, void*) { std::free(data); }

/// [status, done, octets, template, count, exportTime, octets, …]. After an error the filled
/// buffers stay where they are, for the next call.
napi_value result(napi_env env, Meter& meter, MeterStatus status, bool done = false) {
  List list(env);
  list.add(status, done);
  if (status != MeterStatus::ok) return list.value();
  return append_outputs(env, list, meter.take_outputs()) ? list.value()
                                                         : fail(env, "no buffer for records");
}

napi_value meter_create(napi_env env, napi_callback_info info) {
  const napi_value given = Arguments<1>(env, info)[0];
  napi_valuetype type = napi_undefined;
  if (napi_typeof(env, given, &type) != napi_ok || type != napi_object)
    return fail(env, "meterCreate(options)");
  MeterOptions options;
  if (!read_meter_options(env, given, options))
    return fail(env, "fields are triples of numbers in a Uint32Array");
  std::string error;
  std::unique_ptr<Meter> meter = Meter::create(options, error);
  if (meter) return new_handle<Meter>(env, std::move(meter));
  napi_throw_error(env, "DARTA_USAGE", error.c_str());
  return nullptr;
}

napi_value meter_push(napi_env env, napi_callback_info info) {
  Meter* const meter = thing_of<Meter>(env, info);
  const auto octets = elements_of<uint8_t>(env, Arguments<2>(env, info)[1]);
  if (meter == nullptr || !octets) return fail(env, "meterPush(meter, octets)");
  return result(env, *meter, meter->push(*octets));
}

napi_value meter_end_capture(napi_env env, napi_callback_info info) {
  Meter* const meter = thing_of<Meter>(env, info);
  if (meter == nullptr) return fail(env, "meterEndCapture(meter)");
  return to_value(env, meter->end_capture());
}

/// [errno, status of the capture before]
napi_value meter_open(napi_env env, napi_callback_info info) {
  Meter* const meter = thing_of<Meter>(env, info);
  const napi_value given = Arguments<2>(env, info)[1];
  size_t length = 0;
  if (meter == nullptr || napi_get_value_string_utf8(env, given, nullptr, 0, &length) != napi_ok)
    return fail(env, "meterOpen(meter, path)");
  std::string path(length + 1, '\0');
  napi_get_value_string_utf8(env, given, path.data(), path.size(), &length);
  MeterStatus status = MeterStatus::ok;
  // A path with a NUL in it would name another file.
  const int error = path.find('\0') < length ? EINVAL : meter->open(path.c_str(), status);
  return list_of(env, error, status);
}

napi_value meter_step(napi_env env, napi_callback_info info) {
  Meter* const meter = thing_of<Meter>(env, info);
  double octets = 0;
  if (meter == nullptr ||
      napi_get_value_double(env, Arguments<2>(env, info)[1], &octets) != napi_ok)
    return fail(env, "meterStep(meter, octets)");
  bool done = false;
  const MeterStatus status = meter->step(whole(octets, SIZE_MAX), done);
  return result(env, *meter, status, done);
}

napi_value meter_finish(napi_env env, napi_callback_info info) {
  Meter* const meter = thing_of<Meter>(env, info);
  if (meter == nullptr) return fail(env, "meterFinish(meter)");
  return result(env, *meter, meter->finish());
}

napi_value meter_flush(napi_env env, napi_callback_info info) {
  Meter* const meter = thing_of<Meter>(env, info);
  if (meter == nullptr) return fail(env, "meterFlush(meter)");
  meter->flush();
  return result(env, *meter, MeterStatus::ok);
}

/// [octets the input began with, at most 4; those as a number in network order]
napi_value meter_beginning(napi_env env, napi_callback_info info) {
  Meter* const meter = thing_of<Meter>(env, info);
  if (meter == nullptr) return fail(env, "meterBeginning(meter)");
  const CaptureReader::Beginning beginning = meter->bad_beginning();
  return list_of(env, beginning.octets, beginning.magic);
}

napi_value meter_full(napi_env env, napi_callback_info info) {
  Meter* const meter = thing_of<Meter>(env, info);
  if (meter == nullptr) return fail(env, "meterFull(meter)");
  napi_value full = nullptr;
  napi_get_boolean(env, meter->full(), &full);
  return full;
}

/// [name, count, first offset, name, …]
napi_value reasons(napi_env env, const std::vector<Reason>& reasons) {
  List list(env);
  for (const Reason& reason : reasons) list.add(reason.name, reason.count, reason.first_offset);
  return list.value();
}

napi_value time_value(napi_env env, int64_t nanoseconds) {
  if (nanoseconds < 0) return undefined(env);
  napi_value result = nullptr;
  napi_create_bigint_int64(env, nanoseconds, &result);
  return result;
}

napi_value meter_counters(napi_env env, napi_callback_info info) {
  Meter* const meter = thing_of<Meter>(env, info);
  if (meter == nullptr) return fail(env, "meterCounters(meter)");
  return counters_value(env, meter->counters());
}

}  // namespace

namespace {

bool read_share(napi_env env, napi_value given, MeterShare& share) {
  share.by = whole_property<MeterShare::By>(env, given, "shareBy", 2);
  share.selector.addresses = whole_property<ShareAddresses>(env, given, "shareAddresses", 2);
  share.selector.protocol = flag_property(env, given, "shareProtocol");
  share.selector.ports = flag_property(env, given, "sharePorts");
  share.seed = whole_property<uint32_t>(env, given, "shareSeed");
  share.parts = std::max<uint64_t>(whole_property<uint32_t>(env, given, "shareParts"), 1);
  share.first = whole_property<uint32_t>(env, given, "shareFirst");
  share.last = whole_property<uint32_t>(env, given, "shareLast");
  if (share.by != MeterShare::By::hash) return true;
  // One octet for each slot.
  return read_structures(elements_property<uint8_t>(env, given, "shareOwned"), share.owned) &&
         share.owned.size() == share_slots;
}

}  // namespace

bool read_meter_options(napi_env env, napi_value given, MeterOptions& options) {
  options.emit = whole_property<Emit>(env, given, "emit", 2);
  options.key = whole_property<uint32_t>(env, given, "key");
  options.biflow = flag_property(env, given, "biflow");
  options.decap = flag_property(env, given, "decap");
  options.idle_timeout = timeout(env, given, "idleTimeoutMs");
  options.active_timeout = timeout(env, given, "activeTimeoutMs");
  options.tcp_fin_timeout = timeout(env, given, "tcpFinTimeoutMs");
  options.tcp_rst_timeout = timeout(env, given, "tcpRstTimeoutMs");
  options.max_memory = whole_property(env, given, "maxMemoryOctets");
  options.max_flows = whole_property(env, given, "maxFlows");
  options.max_frames = whole_property(env, given, "maxFrames");
  options.on_full = whole_property<OnFull>(env, given, "onFull", 2);
  options.section_octets = whole_property<uint32_t>(env, given, "sectionOctets");
  options.seed = seed_property(env, given);
  return read_share(env, given, options.share) && fields_property(env, given, "v4", options.v4) &&
         fields_property(env, given, "v6", options.v6);
}

bool append_outputs(napi_env env, List& list, const std::vector<Output>& outputs) {
  for (const Output& output : outputs) {
    const napi_value octets = hand_over(env, output.octets, output.size, free_octets);
    if (octets == nullptr) return false;
    list.add(octets, output.template_index, output.count, output.export_time);
  }
  return true;
}

napi_value counters_value(napi_env env, const MeterCounters& c) {
  napi_value object = nullptr;
  if (napi_create_object(env, &object) != napi_ok) return fail(env, "no object");
  const auto add = [&](const char* name, uint64_t value) {
    set(env, object, name, to_value(env, value));
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
  export_functions(env, exports,
                   {
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
                       {"meterClose", close_handle<Meter>},
                   });
}

}  // namespace darta
