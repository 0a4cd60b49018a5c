// Live capture. The threads never touch Node-API; a threadsafe function wakes JavaScript, which
// then takes what is filled.
#include "meter/live.h"

#include "binding/meter_values.h"
#include "binding/share.h"

namespace darta {
namespace {

struct LiveHandle {
  std::unique_ptr<LiveCapture> live;
  napi_threadsafe_function wake = nullptr;
};

constexpr napi_type_tag live_tag = {0x6c6976652d646172, 0x74612d68616e646c};

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

/// A property that holds octets; false if it is no Uint8Array.
bool octets_property(napi_env env, napi_value object, const char* name,
                     std::vector<uint8_t>& octets) {
  napi_value value = nullptr;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_named_property(env, object, name, &value) != napi_ok ||
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array)
    return false;
  octets.resize(length);
  if (length > 0) std::memcpy(octets.data(), data, length);
  return true;
}

/// Instructions of classic BPF as octets of struct sock_filter.
bool program_property(napi_env env, napi_value object, const char* name,
                      std::vector<sock_filter>& program) {
  std::vector<uint8_t> octets;
  if (!octets_property(env, object, name, octets) || octets.size() % sizeof(sock_filter) != 0)
    return false;
  program.resize(octets.size() / sizeof(sock_filter));
  if (!octets.empty()) std::memcpy(program.data(), octets.data(), octets.size());
  return true;
}

/// NativeRing and NativeXdpSocket of src/io/native.ts: the second one has `instructions`.
bool read_sources(napi_env env, napi_value given,
                  std::vector<std::variant<RingOptions, XdpOptions>>& sources) {
  uint32_t count = 0;
  if (napi_get_array_length(env, given, &count) != napi_ok) return false;
  const auto whole_of = [&](napi_value one, const char* name, uint64_t most) {
    return whole(number_property(env, one, name), most);
  };
  for (uint32_t i = 0; i < count; ++i) {
    napi_value one = nullptr;
    bool xdp = false;
    if (napi_get_element(env, given, i, &one) != napi_ok ||
        napi_has_named_property(env, one, "instructions", &xdp) != napi_ok)
      return false;
    if (xdp) {
      XdpOptions socket;
      socket.interface = text_property(env, one, "interface");
      socket.queue = static_cast<uint32_t>(whole_of(one, "queue", UINT32_MAX));
      socket.queues = static_cast<uint32_t>(whole_of(one, "queues", UINT32_MAX));
      socket.buffer_octets = whole_of(one, "ringOctets", size_t{1} << 40);
      socket.snap_octets = static_cast<uint32_t>(whole_of(one, "snapOctets", UINT32_MAX));
      socket.promiscuous = number_property(env, one, "promiscuous") > 0;
      if (!octets_property(env, one, "instructions", socket.instructions)) return false;
      sources.emplace_back(std::move(socket));
      continue;
    }
    RingOptions ring;
    ring.interface = text_property(env, one, "interface");
    ring.ring_octets = whole_of(one, "ringOctets", size_t{1} << 40);
    ring.promiscuous = number_property(env, one, "promiscuous") > 0;
    ring.changeable = number_property(env, one, "changeable") > 0;
    ring.fanout_group = static_cast<uint16_t>(whole_of(one, "fanoutGroup", UINT16_MAX));
    ring.filter_descriptor = static_cast<int>(whole_of(one, "filterDescriptor", INT32_MAX));
    if (!program_property(env, one, "filter", ring.filter) ||
        !program_property(env, one, "fanout", ring.fanout))
      return false;
    sources.emplace_back(std::move(ring));
  }
  return true;
}

LiveHandle* handle_of(napi_env env, napi_callback_info info, napi_value* second = nullptr) {
  napi_value arguments[2] = {nullptr, nullptr};
  size_t count = 2;
  bool ours = false;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok ||
      napi_check_object_type_tag(env, arguments[0], &live_tag, &ours) != napi_ok || !ours ||
      napi_get_value_external(env, arguments[0], &data) != napi_ok)
    return nullptr;
  if (second != nullptr) *second = arguments[1];
  auto* const handle = static_cast<LiveHandle*>(data);
  return handle->live ? handle : nullptr;
}

/// liveOpen(options, sources): a handle, or [call, errno, source] of what failed
napi_value live_open(napi_env env, napi_callback_info info) {
  napi_value arguments[2] = {nullptr, nullptr};
  size_t count = 2;
  LiveOptions options;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2 ||
      !read_meter_options(env, arguments[0], options.meter) ||
      !read_sources(env, arguments[1], options.sources))
    return fail(env, "liveOpen(options, sources)");
  options.prompt = number_property(env, arguments[0], "prompt") > 0;
  options.threads = static_cast<unsigned>(
      std::max<uint64_t>(whole(number_property(env, arguments[0], "threads"), 64), 1));
  napi_value keeper = nullptr;
  bool keeps = false;
  if (napi_has_named_property(env, arguments[0], "keeper", &keeps) == napi_ok && keeps &&
      napi_get_named_property(env, arguments[0], "keeper", &keeper) == napi_ok) {
    options.keeper = keeper_of(env, keeper);
    if (!options.keeper) return fail(env, "liveOpen: no keeper");
  }
  OpenFault fault;
  size_t source = 0;
  std::string error;
  auto handle = std::make_unique<LiveHandle>();
  handle->live = LiveCapture::open(options, fault, source, error);
  if (!handle->live && fault.call == nullptr) {
    napi_throw_error(env, "DARTA_USAGE", error.c_str());
    return nullptr;
  }
  napi_value result = nullptr;
  if (!handle->live) {
    napi_value call = nullptr;
    napi_create_array(env, &result);
    napi_create_string_utf8(env, fault.call, NAPI_AUTO_LENGTH, &call);
    napi_set_element(env, result, 0, call);
    napi_set_element(env, result, 1, number(env, fault.error));
    napi_set_element(env, result, 2, number(env, static_cast<double>(source)));
    return result;
  }
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<LiveHandle*>(data); };
  if (napi_create_external(env, handle.get(), finalize, nullptr, &result) != napi_ok)
    return fail(env, "no handle");
  handle.release();
  return napi_type_tag_object(env, result, &live_tag) == napi_ok ? result : fail(env, "no tag");
}

/// liveStart(live, wake)
napi_value live_start(napi_env env, napi_callback_info info) {
  napi_value callback = nullptr;
  LiveHandle* const handle = handle_of(env, info, &callback);
  napi_value name = nullptr;
  napi_create_string_utf8(env, "darta live capture", NAPI_AUTO_LENGTH, &name);
  if (handle == nullptr || handle->wake != nullptr ||
      napi_create_threadsafe_function(env, callback, nullptr, name, 0, 1, nullptr, nullptr, nullptr,
                                      nullptr, &handle->wake) != napi_ok)
    return fail(env, "liveStart(live, wake)");
  handle->live->start([wake = handle->wake] {
    napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking);
  });
  return nullptr;
}

/// liveTake(live): [ended, error, octets, template, count, exportTime, octets, …]
napi_value live_take(napi_env env, napi_callback_info info) {
  LiveHandle* const handle = handle_of(env, info);
  napi_value array = nullptr;
  if (handle == nullptr || napi_create_array(env, &array) != napi_ok)
    return fail(env, "liveTake(live)");
  // Asked first: what was filled before the end is then sure to be taken with it.
  const bool ended = handle->live->ended();
  napi_set_element(env, array, 0, number(env, ended ? 1 : 0));
  napi_set_element(env, array, 1, number(env, handle->live->error()));
  return append_outputs(env, array, 2, handle->live->take()) ? array : fail(env, "no buffer");
}

/// liveNotices(live): number of a source and errno, and the next, of what happened since the last call
napi_value live_notices(napi_env env, napi_callback_info info) {
  LiveHandle* const handle = handle_of(env, info);
  napi_value array = nullptr;
  if (handle == nullptr || napi_create_array(env, &array) != napi_ok)
    return fail(env, "liveNotices(live)");
  uint32_t at = 0;
  for (const auto& [source, error] : handle->live->take_notices()) {
    napi_set_element(env, array, at++, number(env, static_cast<double>(source)));
    napi_set_element(env, array, at++, number(env, error));
  }
  return array;
}

/// liveFilter(live, source, filter): changes a socket filter; 0 or an errno
napi_value live_filter(napi_env env, napi_callback_info info) {
  napi_value arguments[3] = {nullptr, nullptr, nullptr};
  size_t count = 3;
  uint32_t source = 0;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  LiveHandle* const handle = handle_of(env, info);
  if (handle == nullptr ||
      napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 3 ||
      napi_get_value_uint32(env, arguments[1], &source) != napi_ok ||
      source >= handle->live->sources() ||
      napi_get_typedarray_info(env, arguments[2], &type, &length, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_uint8_array || length % sizeof(sock_filter) != 0)
    return fail(env, "liveFilter(live, source, filter)");
  std::vector<sock_filter> program(length / sizeof(sock_filter));
  if (length > 0) std::memcpy(program.data(), data, length);
  return number(env, handle->live->change_filter(source, program));
}

napi_value live_stop(napi_env env, napi_callback_info info) {
  if (LiveHandle* const handle = handle_of(env, info)) handle->live->stop();
  return nullptr;
}

napi_value live_flush(napi_env env, napi_callback_info info) {
  if (LiveHandle* const handle = handle_of(env, info)) handle->live->flush();
  return nullptr;
}

/// liveCounters(live): NativeMeterCounters of each thread
napi_value live_counters(napi_env env, napi_callback_info info) {
  LiveHandle* const handle = handle_of(env, info);
  napi_value array = nullptr;
  if (handle == nullptr || napi_create_array(env, &array) != napi_ok)
    return fail(env, "liveCounters(live)");
  uint32_t at = 0;
  for (const MeterCounters& counters : handle->live->counters())
    napi_set_element(env, array, at++, counters_value(env, counters));
  return array;
}

/// liveStatistics(live): packets, drops, freezes, link type and frames taken of each source, one after
/// another
napi_value live_statistics(napi_env env, napi_callback_info info) {
  LiveHandle* const handle = handle_of(env, info);
  napi_value array = nullptr;
  if (handle == nullptr || napi_create_array(env, &array) != napi_ok)
    return fail(env, "liveStatistics(live)");
  uint32_t at = 0;
  for (size_t i = 0; i < handle->live->sources(); ++i) {
    const SourceStatistics s = handle->live->statistics(i);
    napi_set_element(env, array, at++, number(env, static_cast<double>(s.packets)));
    napi_set_element(env, array, at++, number(env, static_cast<double>(s.drops)));
    napi_set_element(env, array, at++, number(env, static_cast<double>(s.freezes)));
    napi_set_element(env, array, at++, number(env, handle->live->link_type(i)));
    napi_set_element(env, array, at++, number(env, static_cast<double>(s.taken)));
  }
  return array;
}

/// liveClose(live): waits for the threads and frees all
napi_value live_close(napi_env env, napi_callback_info info) {
  LiveHandle* const handle = handle_of(env, info);
  if (handle == nullptr) return nullptr;
  handle->live.reset();
  if (handle->wake != nullptr) napi_release_threadsafe_function(handle->wake, napi_tsfn_abort);
  handle->wake = nullptr;
  return nullptr;
}

}  // namespace

void register_live(napi_env env, napi_value exports) {
  static constexpr struct {
    const char* name;
    napi_callback call;
  } functions[] = {
      {"liveOpen", live_open},         {"liveStart", live_start},
      {"liveTake", live_take},         {"liveNotices", live_notices},
      {"liveStop", live_stop},         {"liveFlush", live_flush},
      {"liveCounters", live_counters}, {"liveStatistics", live_statistics},
      {"liveFilter", live_filter},     {"liveClose", live_close},
  };
  for (const auto& [name, call] : functions) {
    napi_value function = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function) == napi_ok)
      napi_set_named_property(env, exports, name, function);
  }
}

}  // namespace darta
