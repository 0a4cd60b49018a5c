// What no input may break, for the test program and the fuzzer.
#pragma once
#include <cstdio>
#include <cstdlib>

#include "meter/ie_ids.h"
#include "meter/meter.h"

namespace darta::check {

[[noreturn]] inline void broken(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: not so: %s\n", file, line, condition);
  std::abort();
}

#define DARTA_CHECK(condition) \
  if (!(condition)) darta::check::broken(__FILE__, __LINE__, #condition)

/// Flow fields; the first four are the counters, so that they are found without reading templates.
inline std::vector<FieldSpecifier> fields(bool v6, bool everything) {
  constexpr uint32_t reverse = ie::reverse_pen;
  const uint16_t address = v6 ? 16 : 4;
  std::vector<FieldSpecifier> list = {
      {0, ie::octetDeltaCount, 8},
      {0, ie::packetDeltaCount, 8},
      {reverse, ie::octetDeltaCount, 8},
      {reverse, ie::packetDeltaCount, 8},
      {0, ie::flowStartMilliseconds, 8},
      {0, ie::flowEndMilliseconds, 8},
      {0, v6 ? ie::sourceIPv6Address : ie::sourceIPv4Address, address},
      {0, v6 ? ie::destinationIPv6Address : ie::destinationIPv4Address, address},
      {0, ie::sourceTransportPort, 2},
      {0, ie::destinationTransportPort, 2},
      {0, ie::dot1qVlanId, 2},
      {0, ie::dot1qCustomerVlanId, 2},
      {0, ie::tcpControlBits, 2},
      {0, v6 ? ie::icmpTypeCodeIPv6 : ie::icmpTypeCodeIPv4, 2},
      {0, ie::protocolIdentifier, 1},
      {0, ie::ipClassOfService, 1},
      {0, ie::flowEndReason, 1},
  };
  const std::vector<FieldSpecifier> others = {
      {0, ie::flowStartSeconds, 4},
      {0, ie::flowEndMicroseconds, 8},
      {reverse, ie::flowStartNanoseconds, 8},
      {reverse, ie::flowEndMicroseconds, 8},
      {reverse, ie::tcpControlBits, 2},
      {0, ie::flowDurationMilliseconds, 4},
      {0, ie::minimumIpTotalLength, 8},
      {0, ie::maximumIpTotalLength, 8},
      {0, ie::minimumTTL, 1},
      {0, ie::maximumTTL, 1},
      {0, ie::ipVersion, 1},
      {0, ie::sourceMacAddress, 6},
      {0, ie::destinationMacAddress, 6},
      {0, ie::ingressInterface, 4},
      {0, ie::flowLabelIPv6, 4},
      {0, ie::mplsTopLabelStackSection, 3},
      {0, ie::fragmentFlags, 1},
      {0, ie::tcpSynTotalCount, 8},
      {0, ie::tcpFinTotalCount, 8},
      {0, ie::tcpRstTotalCount, 8},
      {0, ie::biflowDirection, 1},
      {ie::darta_pen, ie::dartaTunnelDepth, 1},
  };
  if (everything) list.insert(list.end(), others.begin(), others.end());
  return list;
}

inline std::vector<FieldSpecifier> report_fields() {
  return {{0, ie::observationTimeNanoseconds, 8},
          {0, ie::selectionSequenceId, 8},
          {0, ie::ipTotalLength, 8},
          {0, ie::ipHeaderPacketSection, 65535}};
}

inline void choose_fields(MeterOptions& options, bool everything) {
  const bool packets = options.emit == Emit::packets;
  options.v4 = packets ? report_fields() : fields(false, everything);
  options.v6 = packets ? report_fields() : fields(true, everything);
}

/// Sums over outputs, and a hash of all their octets.
class Sums {
 public:
  uint64_t records = 0;
  uint64_t packets = 0;
  uint64_t octets = 0;
  uint64_t hash = 0xcbf29ce484222325;
  /// False: only counts records.
  bool look = true;

  /// Takes what the meter has filled and looks at every record.
  void drain(Meter& meter, const MeterOptions& options) {
    for (const Output& output : meter.take_outputs()) {
      records += output.count;
      if (look) look_at(options, output);
      std::free(output.octets);
    }
  }

 private:
  void look_at(const MeterOptions& options, const Output& output) {
    for (size_t i = 0; i < output.size; ++i) hash = (hash ^ output.octets[i]) * 0x100000001b3;
    if (options.emit == Emit::pcap)
      packets += output.count;
    else
      read_set(options, output);
  }

  void read_set(const MeterOptions& options, const Output& output) {
    DARTA_CHECK(output.size > 20 && output.size <= 65535 && output.count > 0);
    DARTA_CHECK(be16(output.octets + 16) == 256 + output.template_index);
    DARTA_CHECK(be16(output.octets + 18) == output.size - 16);
    size_t at = 20;
    for (uint32_t i = 0; i < output.count; ++i)
      at += options.emit == Emit::flows ? read_flow(options, output, at) : read_report(output, at);
    DARTA_CHECK(at == output.size);
  }

  size_t read_flow(const MeterOptions& options, const Output& output, size_t at) {
    size_t size = 0;
    for (const FieldSpecifier& f : output.template_index == 0 ? options.v4 : options.v6)
      size += f.length;
    DARTA_CHECK(at + size <= output.size);
    const auto be64 = [&](size_t i) { return network(load<uint64_t>(output.octets + at + i)); };
    octets += be64(0) + be64(16);
    packets += be64(8) + be64(24);
    return size;
  }

  size_t read_report(const Output& output, size_t at) {
    DARTA_CHECK(at + 25 <= output.size);
    octets += be32(output.octets + at + 20);
    ++packets;
    const size_t length = output.octets[at + 24];
    return length < 255 ? 25 + length : 27 + be16(output.octets + at + 25);
  }
};

/// At any time: Flows are where they are counted, and the table is as small as it says.
inline void check_bounds(const Meter& meter, const MeterOptions& options) {
  const MeterCounters c = meter.counters();
  DARTA_CHECK(c.flows_created == c.flows_exported + c.flows_live);
  if (options.max_flows != 0) DARTA_CHECK(c.flows_live <= options.max_flows);
  DARTA_CHECK(c.memory_octets <= 300 * c.flows_live + (uint64_t{64} << 20));
}

/// After the end: every frame is metered, skipped or lost, and what was metered is in records.
inline void check_balance(const Meter& meter, const MeterOptions& options, const Sums& sums) {
  const MeterCounters c = meter.counters();
  uint64_t accounted = c.ip_packets;
  for (const Reason& reason : c.skipped) accounted += reason.count;
  for (const Reason& reason : c.lost) accounted += reason.count;
  DARTA_CHECK(c.frames == accounted);
  DARTA_CHECK(sums.packets == c.ip_packets);
  if (options.emit != Emit::pcap) DARTA_CHECK(sums.octets == c.ip_octets);
  DARTA_CHECK(c.flows_live == 0 && c.flows_created == c.flows_exported);
  if (options.emit == Emit::flows) DARTA_CHECK(sums.records == c.flows_exported);
  DARTA_CHECK(c.flows_evicted <= c.flows_exported);
}

/// Ends the input; a capture that is none is told once.
inline MeterStatus finish(Meter& meter) {
  const MeterStatus status = meter.finish();
  if (status != MeterStatus::ok) DARTA_CHECK(meter.finish() == MeterStatus::ok);
  return status;
}

}  // namespace darta::check
