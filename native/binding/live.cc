// Live capture. The threads never touch Node-API; a threadsafe function wakes JavaScript, which
// then takes what is filled.
#include "meter/live.h"

#include "binding/binding.h"
#include "binding/handles.h"
#include "binding/meter_values.h"
#include "binding/share.h"

namespace darta {

template <>
constexpr napi_type_tag tag_of<LiveCapture> = {0x6c6976652d646172, 0x74612d68616e646c};

namespace {

/// NativeRing and NativeXdpSocket of src/io/native.ts: the second one has `instructions`.
bool read_sources(napi_env env, napi_value given,
                  std::vector<std::variant<RingOptions, XdpOptions>>& sources) {
  uint32_t count = 0;
  if (napi_get_array_length(env, given, &count) != napi_ok) return false;
  for (uint32_t i = 0; i < count; ++i) {
    napi_value one = nullptr;
    bool xdp = false;
    if (napi_get_element(env, given, i, &one) != napi_ok ||
        napi_has_named_property(env, one, "instructions", &xdp) != napi_ok)
      return false;
    const auto structures = [&](const char* name, auto& into) {
      return read_structures(elements_property<uint8_t>(env, one, name), into);
    };
    if (xdp) {
      XdpOptions socket;
      socket.interface = text_property(env, one, "interface");
      socket.queue = whole_property<uint32_t>(env, one, "queue");
      socket.queues = whole_property<uint32_t>(env, one, "queues");
      socket.buffer_octets = whole_property(env, one, "ringOctets", size_t{1} << 40);
      socket.snap_octets = whole_property<uint32_t>(env, one, "snapOctets");
      socket.promiscuous = flag_property(env, one, "promiscuous");
      if (!structures("instructions", socket.instructions)) return false;
      sources.emplace_back(std::move(socket));
      continue;
    }
    RingOptions ring;
    ring.interface = text_property(env, one, "interface");
    ring.ring_octets = whole_property(env, one, "ringOctets", size_t{1} << 40);
    ring.block_ms = whole_property<unsigned>(env, one, "blockMs", 10'000);
    ring.promiscuous = flag_property(env, one, "promiscuous");
    ring.changeable = flag_property(env, one, "changeable");
    ring.fanout_group = whole_property<uint16_t>(env, one, "fanoutGroup");
    ring.filter_descriptor = whole_property<int>(env, one, "filterDescriptor");
    if (!structures("filter", ring.filter) || !structures("fanout", ring.fanout) ||
        !structures("early", ring.early))
      return false;
    sources.emplace_back(std::move(ring));
  }
  return true;
}

/// liveOpen(options, sources): a handle, or [call, errno, source] of what failed
napi_value live_open(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  LiveOptions options;
  if (given.count != 2 || !read_meter_options(env, given[0], options.meter) ||
      !read_sources(env, given[1], options.sources))
    return fail(env, "liveOpen(options, sources)");
  options.prompt = flag_property(env, given[0], "prompt");
  options.threads = std::max(whole_property<unsigned>(env, given[0], "threads", 64), 1U);
  napi_value keeper = nullptr;
  bool keeps = false;
  if (napi_has_named_property(env, given[0], "keeper", &keeps) == napi_ok && keeps &&
      napi_get_named_property(env, given[0], "keeper", &keeper) == napi_ok) {
    options.keeper = keeper_of(env, keeper);
    if (!options.keeper) return fail(env, "liveOpen: no keeper");
  }
  OpenFault fault;
  size_t source = 0;
  std::string error;
  std::unique_ptr<LiveCapture> live = LiveCapture::open(options, fault, source, error);
  if (live) return new_handle<LiveCapture>(env, std::move(live));
  if (fault.call != nullptr) return list_of(env, fault.call, fault.error, source);
  napi_throw_error(env, "DARTA_USAGE", error.c_str());
  return nullptr;
}

/// liveStart(live, wake)
napi_value live_start(napi_env env, napi_callback_info info) {
  return start_waking<LiveCapture>(env, info, "darta live capture", "liveStart(live, wake)");
}

/// liveTake(live): [ended, error, octets, template, count, exportTime, octets, …]
napi_value live_take(napi_env env, napi_callback_info info) {
  LiveCapture* const live = thing_of<LiveCapture>(env, info);
  if (live == nullptr) return fail(env, "liveTake(live)");
  // Asked first: what was filled before the end is then sure to be taken with it.
  const bool ended = live->ended();
  List list(env);
  list.add(ended, live->error());
  return append_outputs(env, list, live->take()) ? list.value() : fail(env, "no buffer");
}

/// liveNotices(live): number of a source and errno, and the next, of what happened since the last call
napi_value live_notices(napi_env env, napi_callback_info info) {
  LiveCapture* const live = thing_of<LiveCapture>(env, info);
  if (live == nullptr) return fail(env, "liveNotices(live)");
  List list(env);
  for (const auto& [source, error] : live->take_notices()) list.add(source, error);
  return list.value();
}

/// liveFilter(live, source, filter): changes a socket filter; 0 or an errno
napi_value live_filter(napi_env env, napi_callback_info info) {
  const Arguments<3> given(env, info);
  LiveCapture* const live = thing_of<LiveCapture>(env, info);
  uint32_t source = 0;
  std::vector<sock_filter> program;
  if (live == nullptr || given.count != 3 ||
      napi_get_value_uint32(env, given[1], &source) != napi_ok || source >= live->sources() ||
      !read_structures(elements_of<uint8_t>(env, given[2]), program))
    return fail(env, "liveFilter(live, source, filter)");
  return to_value(env, live->change_filter(source, program));
}

napi_value live_stop(napi_env env, napi_callback_info info) {
  if (LiveCapture* const live = thing_of<LiveCapture>(env, info)) live->stop();
  return nullptr;
}

napi_value live_flush(napi_env env, napi_callback_info info) {
  if (LiveCapture* const live = thing_of<LiveCapture>(env, info)) live->flush();
  return nullptr;
}

/// liveCounters(live): NativeMeterCounters of each thread
napi_value live_counters(napi_env env, napi_callback_info info) {
  LiveCapture* const live = thing_of<LiveCapture>(env, info);
  if (live == nullptr) return fail(env, "liveCounters(live)");
  List list(env);
  for (const MeterCounters& counters : live->counters()) list.add(counters_value(env, counters));
  return list.value();
}

/// liveStatistics(live): packets, drops, freezes, link type and frames taken of each source, one after
/// another
napi_value live_statistics(napi_env env, napi_callback_info info) {
  LiveCapture* const live = thing_of<LiveCapture>(env, info);
  if (live == nullptr) return fail(env, "liveStatistics(live)");
  List list(env);
  for (size_t i = 0; i < live->sources(); ++i) {
    const SourceStatistics s = live->statistics(i);
    list.add(s.packets, s.drops, s.freezes, live->link_type(i), s.taken);
  }
  return list.value();
}

}  // namespace

void register_live(napi_env env, napi_value exports) {
  export_functions(env, exports,
                   {
                       {"liveOpen", live_open},
                       {"liveStart", live_start},
                       {"liveTake", live_take},
                       {"liveNotices", live_notices},
                       {"liveStop", live_stop},
                       {"liveFlush", live_flush},
                       {"liveCounters", live_counters},
                       {"liveStatistics", live_statistics},
                       {"liveFilter", live_filter},
                       {"liveClose", close_handle<LiveCapture>},
                   });
}

}  // namespace darta
