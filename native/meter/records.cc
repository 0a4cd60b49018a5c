#include "meter/records.h"

#include <algorithm>
#include <cstdlib>

#include "meter/ie_ids.h"

namespace darta {
namespace {

constexpr uint16_t variable_length = 65535;
constexpr uint64_t second = 1'000'000'000;

/// NTP format (RFC 7011 section 6.1.10): seconds since 1900, and the least fraction that is not
/// before the time, so that whoever cuts off gets the same time back.
uint64_t ntp_nanoseconds(int64_t time) noexcept {
  constexpr uint64_t from_1900 = 2208988800;
  const auto t = static_cast<uint64_t>(time);
  const uint64_t fraction = ((t % second << 32) + second - 1) / second;
  return (t / second + from_1900) << 32 | fraction;
}

/// RFC 7011 section 6.1.9: as above for whole microseconds, with the low 11 bits zero.
uint64_t ntp_microseconds(int64_t time) noexcept {
  return (ntp_nanoseconds(time - time % 1000) + 2047) & ~uint64_t{2047};
}

/// An unsigned integer of 1..8 octets; what is too great becomes the greatest.
inline uint8_t* put_number(uint8_t* at, uint64_t value, unsigned length) noexcept {
  switch (length) {
    case 1:
      *at = static_cast<uint8_t>(std::min<uint64_t>(value, UINT8_MAX));
      break;
    case 2:
      put_be16(at, static_cast<uint16_t>(std::min<uint64_t>(value, UINT16_MAX)));
      break;
    case 4:
      put_be32(at, static_cast<uint32_t>(std::min<uint64_t>(value, UINT32_MAX)));
      break;
    case 8:
      put_be64(at, value);
      break;
    default:
      value = std::min(value, (uint64_t{1} << (8 * length)) - 1);
      for (unsigned i = length; i-- > 0; value >>= 8) at[i] = static_cast<uint8_t>(value);
      break;
  }
  return at + length;
}

uint8_t* put_octets(uint8_t* at, const void* octets, size_t n) noexcept {
  std::memcpy(at, octets, n);
  return at + n;
}

uint8_t* put_be64_next(uint8_t* at, uint64_t value) noexcept {
  put_be64(at, value);
  return at + 8;
}

int64_t first_time(const FlowParts& p) noexcept {
  return p.reverse != nullptr ? p.reverse->forward_start : p.flow.start;
}
int64_t last_time(const FlowParts& p) noexcept {
  return p.reverse != nullptr ? p.reverse->forward_end : p.flow.end;
}
int64_t reverse_first_time(const FlowParts& p) noexcept {
  return p.reverse != nullptr ? p.reverse->start : 0;
}
int64_t reverse_last_time(const FlowParts& p) noexcept {
  return p.reverse != nullptr ? p.reverse->end : 0;
}

}  // namespace

Outputs::~Outputs() {
  for (const Output& output : filled_) std::free(output.octets);
}

SetBuffer::~SetBuffer() { std::free(octets_); }

void SetBuffer::open() noexcept {
  octets_ = static_cast<uint8_t*>(std::malloc(largest_message));
  if (octets_ == nullptr) std::abort();
  std::memset(octets_, 0, headroom);
  size_ = headroom + set_header;
  count_ = 0;
}

void SetBuffer::close(int64_t now, Outputs& outputs) {
  if (octets_ == nullptr) return;
  put_be16(octets_ + headroom, static_cast<uint16_t>(256 + template_index_));
  put_be16(octets_ + headroom + 2, static_cast<uint16_t>(size_ - headroom));
  outputs.add({octets_, size_, template_index_, count_, now / static_cast<int64_t>(second)});
  octets_ = nullptr;
  size_ = largest_message;
  count_ = 0;
}

bool RecordProgram::find(const FieldSpecifier& field, Source& source) noexcept {
  struct Known {
    uint32_t enterprise;
    uint16_t element;
    Source source;
  };
  static constexpr uint32_t reverse = ie::reverse_pen;
  static constexpr Known known[] = {
      {0, ie::octetDeltaCount, Source::octets},
      {0, ie::octetTotalCount, Source::octets},
      {0, ie::packetDeltaCount, Source::packets},
      {0, ie::packetTotalCount, Source::packets},
      {0, ie::protocolIdentifier, Source::protocol},
      {0, ie::ipClassOfService, Source::tos},
      {0, ie::tcpControlBits, Source::tcp_flags},
      {0, ie::sourceTransportPort, Source::source_port},
      {0, ie::destinationTransportPort, Source::destination_port},
      {0, ie::sourceIPv4Address, Source::source_ipv4},
      {0, ie::destinationIPv4Address, Source::destination_ipv4},
      {0, ie::sourceIPv6Address, Source::source_ipv6},
      {0, ie::destinationIPv6Address, Source::destination_ipv6},
      {0, ie::sourceMacAddress, Source::source_mac},
      {0, ie::destinationMacAddress, Source::destination_mac},
      {0, ie::ingressInterface, Source::interface},
      {0, ie::dot1qVlanId, Source::vlan},
      {0, ie::dot1qCustomerVlanId, Source::customer_vlan},
      {0, ie::icmpTypeCodeIPv4, Source::icmp},
      {0, ie::icmpTypeCodeIPv6, Source::icmp},
      {0, ie::flowEndReason, Source::end_reason},
      {0, ie::biflowDirection, Source::direction},
      {0, ie::ipVersion, Source::version},
      {0, ie::flowLabelIPv6, Source::flow_label},
      {0, ie::fragmentFlags, Source::fragment_flags},
      {0, ie::mplsTopLabelStackSection, Source::mpls},
      {0, ie::minimumIpTotalLength, Source::shortest},
      {0, ie::maximumIpTotalLength, Source::longest},
      {0, ie::minimumTTL, Source::least_ttl},
      {0, ie::maximumTTL, Source::greatest_ttl},
      {0, ie::tcpSynTotalCount, Source::syn_packets},
      {0, ie::tcpFinTotalCount, Source::fin_packets},
      {0, ie::tcpRstTotalCount, Source::rst_packets},
      {0, ie::flowDurationMilliseconds, Source::duration},
      {0, ie::flowStartSeconds, Source::start_seconds},
      {0, ie::flowEndSeconds, Source::end_seconds},
      {0, ie::flowStartMilliseconds, Source::start_milliseconds},
      {0, ie::flowEndMilliseconds, Source::end_milliseconds},
      {0, ie::flowStartMicroseconds, Source::start_microseconds},
      {0, ie::flowEndMicroseconds, Source::end_microseconds},
      {0, ie::flowStartNanoseconds, Source::start_nanoseconds},
      {0, ie::flowEndNanoseconds, Source::end_nanoseconds},
      {reverse, ie::octetDeltaCount, Source::reverse_octets},
      {reverse, ie::octetTotalCount, Source::reverse_octets},
      {reverse, ie::packetDeltaCount, Source::reverse_packets},
      {reverse, ie::packetTotalCount, Source::reverse_packets},
      {reverse, ie::tcpControlBits, Source::reverse_tcp_flags},
      {reverse, ie::flowStartSeconds, Source::reverse_start_seconds},
      {reverse, ie::flowEndSeconds, Source::reverse_end_seconds},
      {reverse, ie::flowStartMilliseconds, Source::reverse_start_milliseconds},
      {reverse, ie::flowEndMilliseconds, Source::reverse_end_milliseconds},
      {reverse, ie::flowStartMicroseconds, Source::reverse_start_microseconds},
      {reverse, ie::flowEndMicroseconds, Source::reverse_end_microseconds},
      {reverse, ie::flowStartNanoseconds, Source::reverse_start_nanoseconds},
      {reverse, ie::flowEndNanoseconds, Source::reverse_end_nanoseconds},
      {ie::darta_pen, ie::dartaTunnelDepth, Source::tunnel},
      {ie::darta_pen, ie::dartaShareMark, Source::share_mark},
      {0, ie::observationTimeNanoseconds, Source::time_nanoseconds},
      {0, ie::selectionSequenceId, Source::sequence},
      {0, ie::ipTotalLength, Source::total_length},
      {0, ie::ipHeaderPacketSection, Source::section},
  };
  for (const Known& k : known) {
    if (k.enterprise != field.enterprise || k.element != field.element) continue;
    source = k.source;
    return true;
  }
  return false;
}

std::optional<size_t> RecordProgram::compile(const std::vector<FieldSpecifier>& fields,
                                             bool packets, uint8_t mark) {
  mark_ = mark;
  for (size_t i = 0; i < fields.size(); ++i) {
    Source source;
    if (!find(fields[i], source)) return i;
    const uint16_t length = fields[i].length;
    bool fits;
    switch (source) {
      case Source::source_ipv4:
      case Source::destination_ipv4:
        fits = length == 4;
        break;
      case Source::source_ipv6:
      case Source::destination_ipv6:
        fits = length == 16;
        break;
      case Source::source_mac:
      case Source::destination_mac:
        fits = length == 6;
        break;
      case Source::mpls:
        fits = length == 3;
        break;
      case Source::section:
        fits = length == variable_length;
        break;
      case Source::start_seconds:
      case Source::end_seconds:
      case Source::reverse_start_seconds:
      case Source::reverse_end_seconds:
        fits = length == 4;
        break;
      case Source::time_nanoseconds:
        fits = length == 8;
        break;
      default:
        fits = source < Source::octets ? length == 8 : length >= 1 && length <= 8;
    }
    const bool of_packets = source >= Source::time_nanoseconds;
    // Packets and Flows alike are marked.
    if (!fits || (of_packets != packets && source != Source::share_mark)) return i;
    switch (source) {
      case Source::shortest:
      case Source::longest:
      case Source::least_ttl:
      case Source::greatest_ttl:
      case Source::flow_label:
      case Source::mpls:
      case Source::fragment_flags:
      case Source::syn_packets:
      case Source::fin_packets:
      case Source::rst_packets:
        needs_.extra = true;
        break;
      case Source::source_mac:
      case Source::destination_mac:
      case Source::interface:
        needs_.link = true;
        break;
      default:
        break;
    }
    steps_.push_back({source, static_cast<uint8_t>(length)});
    if (source == Source::section)
      ++sections_;
    else
      octets_ += length;
  }
  return std::nullopt;
}

inline uint64_t RecordProgram::number(Source source, const FlowParts& p) noexcept {
  const Flow& f = p.flow;
  const Reverse* const r = p.reverse;
  // Reversed elements of a Flow without a reverse direction, and extra ones without their part, are
  // 0.
  static constexpr Extra no_extra{};
  const Extra& extra = p.extra != nullptr ? *p.extra : no_extra;
  switch (source) {
    case Source::octets:
      return f.octets;
    case Source::packets:
      return f.packets;
    case Source::source_port:
      return network(static_cast<uint16_t>(little(static_cast<uint16_t>(f.key.ports))));
    case Source::destination_port:
      return network(static_cast<uint16_t>(little(static_cast<uint16_t>(f.key.ports >> 16))));
    case Source::vlan:
      return f.key.path & 0xfff;
    case Source::customer_vlan:
      return f.key.path >> 12 & 0xfff;
    case Source::tcp_flags:
      return f.tcp_flags;
    case Source::icmp:
      return f.icmp;
    case Source::protocol:
      return f.key.ports >> 32 & 0xff;
    case Source::tos:
      return f.tos();
    case Source::end_reason:
      return p.end_reason;
    case Source::reverse_octets:
      return r != nullptr ? r->octets : 0;
    case Source::reverse_packets:
      return r != nullptr ? r->packets : 0;
    case Source::reverse_tcp_flags:
      return r != nullptr ? r->tcp_flags : 0;
    case Source::direction:
      return 1;  // initiator
    case Source::tunnel:
      return f.key.path >> path_tunnel & 0xf;
    case Source::start_seconds:
      return static_cast<uint32_t>(static_cast<uint64_t>(first_time(p)) / second);
    case Source::end_seconds:
      return static_cast<uint32_t>(static_cast<uint64_t>(last_time(p)) / second);
    case Source::reverse_start_seconds:
      return static_cast<uint32_t>(static_cast<uint64_t>(reverse_first_time(p)) / second);
    case Source::reverse_end_seconds:
      return static_cast<uint32_t>(static_cast<uint64_t>(reverse_last_time(p)) / second);
    case Source::duration:
      return static_cast<uint64_t>(last_time(p) - first_time(p)) / 1'000'000;
    case Source::shortest:
      return extra.shortest;
    case Source::longest:
      return extra.longest;
    case Source::least_ttl:
      return extra.least_ttl;
    case Source::greatest_ttl:
      return extra.greatest_ttl;
    case Source::version:
      return f.version();
    case Source::interface:
      return p.link != nullptr ? p.link->interface : 0;
    case Source::flow_label:
      return extra.flow_label;
    case Source::fragment_flags:
      return extra.fragment_flags;
    case Source::syn_packets:
      return extra.syn_packets;
    case Source::fin_packets:
      return extra.fin_packets;
    case Source::rst_packets:
      return extra.rst_packets;
    default:
      return 0;
  }
}

void RecordProgram::write_flow(uint8_t* at, const FlowParts& p) const noexcept {
  static constexpr uint64_t million = 1'000'000;
  static constexpr Addresses no_addresses{};
  static constexpr Link no_link{};
  const Addresses& addresses = p.addresses != nullptr ? *p.addresses : no_addresses;
  const Link& link = p.link != nullptr ? *p.link : no_link;
  const Flow& f = p.flow;
  for (const Step step : steps_) {
    switch (step.source) {
      case Source::start_milliseconds:
        at = put_be64_next(at, static_cast<uint64_t>(first_time(p)) / million);
        break;
      case Source::end_milliseconds:
        at = put_be64_next(at, static_cast<uint64_t>(last_time(p)) / million);
        break;
      case Source::start_microseconds:
        at = put_be64_next(at, ntp_microseconds(first_time(p)));
        break;
      case Source::end_microseconds:
        at = put_be64_next(at, ntp_microseconds(last_time(p)));
        break;
      case Source::start_nanoseconds:
        at = put_be64_next(at, ntp_nanoseconds(first_time(p)));
        break;
      case Source::end_nanoseconds:
        at = put_be64_next(at, ntp_nanoseconds(last_time(p)));
        break;
      case Source::reverse_start_milliseconds:
        at = put_be64_next(at, static_cast<uint64_t>(reverse_first_time(p)) / million);
        break;
      case Source::reverse_end_milliseconds:
        at = put_be64_next(at, static_cast<uint64_t>(reverse_last_time(p)) / million);
        break;
      case Source::reverse_start_microseconds:
        at = put_be64_next(at, ntp_microseconds(reverse_first_time(p)));
        break;
      case Source::reverse_end_microseconds:
        at = put_be64_next(at, ntp_microseconds(reverse_last_time(p)));
        break;
      case Source::reverse_start_nanoseconds:
        at = put_be64_next(at, ntp_nanoseconds(reverse_first_time(p)));
        break;
      case Source::reverse_end_nanoseconds:
        at = put_be64_next(at, ntp_nanoseconds(reverse_last_time(p)));
        break;
      case Source::source_ipv4:
        at = put_octets(at, &f.key.addresses, 4);
        break;
      case Source::destination_ipv4:
        at = put_octets(at, reinterpret_cast<const uint8_t*>(&f.key.addresses) + 4, 4);
        break;
      case Source::source_ipv6:
        at = put_octets(at, &addresses.words[0], 16);
        break;
      case Source::destination_ipv6:
        at = put_octets(at, &addresses.words[2], 16);
        break;
      case Source::source_mac:
        at = put_octets(at, link.source_mac, 6);
        break;
      case Source::destination_mac:
        at = put_octets(at, link.destination_mac, 6);
        break;
      case Source::mpls:
        at = put_number(at, p.extra != nullptr ? p.extra->mpls : 0, 3);
        break;
      case Source::share_mark:
        at = put_number(at, mark_, step.length);
        break;
      default:
        at = put_number(at, number(step.source, p), step.length);
        break;
    }
  }
}

void RecordProgram::write_report(uint8_t* at, const Packet& packet,
                                 uint32_t section) const noexcept {
  for (const Step step : steps_) {
    switch (step.source) {
      case Source::time_nanoseconds:
        at = put_be64_next(at, ntp_nanoseconds(packet.time));
        break;
      case Source::sequence:
        at = put_number(at, 1, step.length);
        break;
      case Source::total_length:
        at = put_number(at, packet.octets, step.length);
        break;
      case Source::share_mark:
        at = put_number(at, mark_, step.length);
        break;
      default:  // section, variable-length encoding of RFC 7011 section 7
        if (section < 255) {
          *at++ = static_cast<uint8_t>(section);
        } else {
          *at++ = 255;
          put_be16(at, static_cast<uint16_t>(section));
          at += 2;
        }
        at = put_octets(at, packet.ip, section);
        break;
    }
  }
}

}  // namespace darta
