#include "meter/dissect.h"

#include <algorithm>
#include <array>

namespace darta {
namespace {

constexpr unsigned most_ethertypes = 40;
constexpr unsigned most_tunnels = 8;
constexpr unsigned most_extension_headers = 64;

/// `octets` without the first `n`, of which there are that many.
[[nodiscard]] Octets behind(Octets octets, size_t n) noexcept { return octets.subspan(n); }

/// The part of an IP packet of `length` octets behind its first `header` octets that was captured.
[[nodiscard]] Octets payload_of(Octets octets, size_t header, uint32_t length) noexcept {
  const size_t end = std::min<size_t>(octets.size(), length);
  return end <= header ? Octets() : octets.subspan(header, end - header);
}

/// By protocol: TCP, UDP, DCCP, SCTP, UDP-Lite.
constexpr std::array<uint8_t, 256> has_ports = [] {
  std::array<uint8_t, 256> ports{};
  for (const int protocol : {6, 17, 33, 132, 136}) ports[static_cast<size_t>(protocol)] = 1;
  return ports;
}();

}  // namespace

const char* verdict_name(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::short_frame:
      return "short-frame";
    case Verdict::not_ip:
      return "not-ip";
    case Verdict::arp:
      return "arp";
    case Verdict::rarp:
      return "rarp";
    case Verdict::lldp:
      return "lldp";
    case Verdict::pppoe_discovery:
      return "pppoe-discovery";
    case Verdict::eapol:
      return "eapol";
    case Verdict::slow_protocols:
      return "slow-protocols";
    case Verdict::ptp:
      return "ptp";
    case Verdict::cfm:
      return "cfm";
    case Verdict::loopback_test:
      return "loopback-test";
    case Verdict::nsh:
      return "nsh";
    case Verdict::llc:
      return "llc";
    case Verdict::nesting:
      return "nesting";
    case Verdict::ppp_control:
      return "ppp-control";
    case Verdict::wlan_null:
      return "wlan-null";
    case Verdict::wlan_protected:
      return "wlan-protected";
    case Verdict::wlan_management:
      return "wlan-management";
    case Verdict::wlan_control:
      return "wlan-control";
    case Verdict::wlan_extension:
      return "wlan-extension";
    case Verdict::ip_version:
      return "ip-version";
    case Verdict::ip_header_short:
      return "ip-header-short";
    case Verdict::metered:
    case Verdict::ethertype:
    case Verdict::link_type:
      break;
  }
  return "";
}

Dissector::Dissector(const DissectOptions& options, const HashSeeds& seeds) noexcept
    : options_(options), seeds_(seeds), fragments_(seeds) {
  const auto part = [&](uint32_t bit, auto mask) {
    return options.key & bit ? mask : decltype(mask){0};
  };
  // In the order of the octets in memory, whatever the machine's.
  uint8_t octets[8] = {};
  if (options.key & key_src) std::fill(octets, octets + 4, uint8_t{0xff});
  if (options.key & key_dst) std::fill(octets + 4, octets + 8, uint8_t{0xff});
  address_mask_ = load<uint64_t>(octets);
  all_addresses_ = address_mask_ == ~uint64_t{0};
  ports_mask_ = part(key_srcport, uint64_t{0xffff}) | part(key_dstport, uint64_t{0xffff} << 16) |
                part(key_proto, uint64_t{0xff} << 32) | part(key_tos, uint64_t{0xff} << 40);
  path_mask_ = part(key_vlan, (uint64_t{1} << path_tunnel) - 1) |
               part(key_tunnel, uint64_t{0xf} << path_tunnel) | uint64_t{0xf} << path_version;
}

Verdict Dissector::dissect(const Frame& frame, int64_t clock, Packet& packet) {
  // Most frames are this one kind; on its way nothing needs to lie in memory but the result.
  if (DARTA_LIKELY(frame.link_type == 1 && frame.captured >= 14)) {
    const uint16_t type = be16(frame.octets + 12);
    if (DARTA_LIKELY(type == 0x0800 || type == 0x86dd)) {
      Outside outside;
      outside.mac = frame.octets;
      return meter_ip(frame, Octets(frame.octets + 14, frame.captured - 14), outside, clock,
                      packet);
    }
  }
  return dissect_other(frame, clock, packet);
}

[[gnu::noinline]] Verdict Dissector::dissect_other(const Frame& frame, int64_t clock,
                                                   Packet& packet) {
  Octets rest(frame.octets, frame.captured);
  Outside outside;
  const Verdict verdict = find_ip(frame, rest, outside);
  return verdict == Verdict::metered ? meter_ip(frame, rest, outside, clock, packet) : verdict;
}

[[gnu::always_inline]] inline Verdict Dissector::meter_ip(const Frame& frame, Octets rest,
                                                          const Outside& outside, int64_t clock,
                                                          Packet& packet) {
  // Of an empty rest only the verdict is wanted.
  const auto before = static_cast<uint32_t>(rest.data() - frame.octets);
  const uint32_t whole = frame.original > before ? frame.original - before : 0;
  Ip ip;
  const Verdict verdict = read_ip(rest, whole, clock, ip);
  if (DARTA_UNLIKELY(verdict != Verdict::metered)) return verdict;
  unsigned tunnels = 0;
  if (DARTA_UNLIKELY(options_.decap)) {
    const Ip inner = enter_tunnels(ip, clock, tunnels);
    fill(inner, outside, tunnels, frame, packet);
  } else {
    fill(ip, outside, 0, frame, packet);
  }
  return Verdict::metered;
}

[[gnu::noinline]] Ip Dissector::enter_tunnels(Ip ip, int64_t clock, unsigned& tunnels) {
  for (tunnels = 0; tunnels < most_tunnels && !ip.later; ++tunnels) {
    const std::optional<Octets> found = inside(ip);
    if (!found || found->empty()) break;
    const auto headers = static_cast<size_t>(found->data() - ip.octets.data());
    const uint32_t left = ip.length > headers ? ip.length - static_cast<uint32_t>(headers) : 0;
    Ip inner;
    if (read_ip(*found, left, clock, inner) != Verdict::metered) break;
    ip = inner;
  }
  return ip;
}

[[gnu::always_inline]] inline void Dissector::fill(const Ip& ip, const Outside& outside,
                                                   unsigned tunnel, const Frame& frame,
                                                   Packet& packet) const noexcept {
  const uint8_t* const header = ip.octets.data();
  uint64_t addresses;
  if (ip.version == 4) {
    addresses = load<uint64_t>(header + 12);
  } else {
    packet.addresses = load<Addresses>(header + 8);
    if (DARTA_UNLIKELY(!all_addresses_)) {
      auto& words = packet.addresses.words;
      if (!(options_.key & key_src)) words[0] = words[1] = 0;
      if (!(options_.key & key_dst)) words[2] = words[3] = 0;
    }
    const auto& words = packet.addresses.words;
    const uint32_t both[2] = {seeds_.address(words[0], words[1]),
                              seeds_.address(words[2], words[3])};
    addresses = load<uint64_t>(reinterpret_cast<const uint8_t*>(both));
  }
  packet.key.addresses = addresses & address_mask_;
  packet.key.ports =
      (ip.ports | static_cast<uint64_t>(ip.protocol) << 32 | static_cast<uint64_t>(ip.tos) << 40) &
      ports_mask_;
  packet.key.path = (outside.vlans | static_cast<uint64_t>(outside.vlan_count) << path_vlan_count |
                     static_cast<uint64_t>(tunnel) << path_tunnel |
                     static_cast<uint64_t>(ip.version) << path_version) &
                    path_mask_;
  packet.octets = ip.length;
  packet.tcp_flags = ip.tcp_flags;
  packet.icmp = ip.icmp;
  packet.version = ip.version;
  packet.tos = ip.tos;
  if (options_.rich) {
    packet.ttl = ip.ttl;
    packet.fragment_flags = ip.fragment_flags;
    packet.flow_label = ip.flow_label;
    packet.mpls = outside.mpls;
    packet.link = Link{};
    if (outside.mac != nullptr) {
      std::memcpy(packet.link.destination_mac, outside.mac, 6);
      std::memcpy(packet.link.source_mac, outside.mac + 6, 6);
    }
    packet.link.interface = frame.interface;
    packet.ip = header;
    packet.ip_captured = static_cast<uint32_t>(std::min<size_t>(ip.octets.size(), ip.length));
  }
}

// ---- down to IP
// -----------------------------------------------------------------------------------

Verdict Dissector::find_ip(const Frame& frame, Octets& rest, Outside& outside) {
  switch (frame.link_type) {
    case 1:
      if (rest.size() < 14) return Verdict::short_frame;
      if (be16(rest.data() + 12) == 0x8903) {  // FabricPath
        if (rest.size() < 16 + 14) return Verdict::short_frame;
        rest = behind(rest, 16);
      }
      outside.mac = rest.data();
      return ethernet(rest, &outside);
    case 12:
    case 14:
    case 101:
    case 228:
    case 229:
      break;
    case 113: {
      if (rest.size() < 16) return Verdict::short_frame;
      const uint16_t type = be16(rest.data() + 14);
      rest = behind(rest, 16);
      return by_ethertype(type, rest, &outside);
    }
    case 276: {
      if (rest.size() < 20) return Verdict::short_frame;
      const uint16_t type = be16(rest.data());
      rest = behind(rest, 20);
      return by_ethertype(type, rest, &outside);
    }
    case 0:
    case 108:
      if (rest.size() < 4) return Verdict::short_frame;
      rest = behind(rest, 4);
      break;
    case 9:
    case 50: {
      bool mpls = false;
      const Verdict verdict = ppp(rest, mpls);
      return mpls ? by_ethertype(0x8847, rest, &outside) : verdict;
    }
    case 104: {
      if (rest.size() < 4) return Verdict::short_frame;
      const uint16_t type = be16(rest.data() + 2);
      rest = behind(rest, 4);
      return by_ethertype(type, rest, &outside);
    }
    case 107: {
      if (rest.size() < 4) return Verdict::short_frame;
      const uint16_t type = be16(rest.data() + 2);
      rest = behind(rest, 4);
      return type == 0x03cc || type == 0x0800 ? Verdict::metered : Verdict::not_ip;
    }
    case 127: {
      if (rest.size() < 4) return Verdict::short_frame;
      const uint16_t length = le16(rest.data() + 2);
      if (rest.size() < length) return Verdict::short_frame;
      rest = behind(rest, length);
      return wlan(rest, &outside);
    }
    case 105:
      return wlan(rest, &outside);
    case 239: {
      const Verdict verdict = nflog(rest);
      if (verdict != Verdict::metered) return verdict;
      break;
    }
    default:
      detail_ = frame.link_type;
      return Verdict::link_type;
  }
  if (rest.empty()) return Verdict::short_frame;
  return rest[0] >> 4 == 4 || rest[0] >> 4 == 6 ? Verdict::metered : Verdict::not_ip;
}

Verdict Dissector::ethernet(Octets& rest, Outside* outside) {
  if (rest.size() < 14) return Verdict::short_frame;
  const uint16_t type = be16(rest.data() + 12);
  rest = behind(rest, 14);
  return by_ethertype(type, rest, outside);
}

Verdict Dissector::by_ethertype(uint16_t type, Octets& rest, Outside* outside) {
  for (unsigned looked_up = 0; looked_up < most_ethertypes; ++looked_up) {
    const uint8_t* const at = rest.data();
    switch (type) {
      case 0x8100:
      case 0x88a8:
      case 0x9100:
      case 0x9200:
        if (rest.size() < 4) return Verdict::short_frame;
        if (outside != nullptr) outside->add_vlan(be16(at) & 0xfff);
        type = be16(at + 2);
        rest = behind(rest, 4);
        continue;
      case 0x0800:
      case 0x86dd:
        return Verdict::metered;
      case 0x8864: {
        if (rest.size() < 6) return Verdict::short_frame;
        rest = behind(rest, 6);
        bool mpls = false;
        const Verdict verdict = ppp(rest, mpls);
        if (!mpls) return verdict;
        type = 0x8847;
        continue;
      }
      case 0x8847:
      case 0x8848: {
        bool bottom = false;
        while (!bottom) {
          if (rest.size() < 4) return Verdict::short_frame;
          if (outside != nullptr) outside->add_label(be32(rest.data()) >> 8);
          bottom = (rest[2] & 1) != 0;
          rest = behind(rest, 4);
        }
        if (rest.empty()) return Verdict::short_frame;
        if (rest[0] >> 4 == 4 || rest[0] >> 4 == 6) return Verdict::metered;
        if (rest[0] >> 4 == 0 && rest.size() > 18) rest = behind(rest, 4);  // control word
        if (rest.size() < 14) return Verdict::short_frame;
        type = be16(rest.data() + 12);
        rest = behind(rest, 14);
        continue;
      }
      case 0x893f:
        if (rest.size() < 8) return Verdict::short_frame;
        type = be16(at + 6);
        rest = behind(rest, 8);
        continue;
      case 0x8926:
        if (rest.size() < 6) return Verdict::short_frame;
        type = be16(at + 4);
        rest = behind(rest, 6);
        continue;
      case 0x88e7:
        if (rest.size() < 18) return Verdict::short_frame;
        type = be16(at + 16);
        rest = behind(rest, 18);
        continue;
      case 0x894f: {
        if (rest.size() < 8) return Verdict::short_frame;
        const size_t length = (be16(at) & 0x3f) * 4u;
        const uint8_t next = at[3];
        if (length < 8 || next < 1 || next > 3) return Verdict::nsh;
        if (rest.size() < length) return Verdict::short_frame;
        rest = behind(rest, length);
        if (next != 3) return Verdict::metered;
        if (rest.size() < 14) return Verdict::short_frame;
        type = be16(rest.data() + 12);
        rest = behind(rest, 14);
        continue;
      }
      case 0x0806:
        return Verdict::arp;
      case 0x8035:
        return Verdict::rarp;
      case 0x88cc:
        return Verdict::lldp;
      case 0x8863:
        return Verdict::pppoe_discovery;
      case 0x888e:
        return Verdict::eapol;
      case 0x8809:
        return Verdict::slow_protocols;
      case 0x88f7:
        return Verdict::ptp;
      case 0x8902:
        return Verdict::cfm;
      case 0x9000:
        return Verdict::loopback_test;
      default:
        if (type > 1500) {
          detail_ = type;
          return Verdict::ethertype;
        }
        // An 802.3 length: LLC.
        if (rest.size() < 3) return Verdict::short_frame;
        if (at[0] == 0x06 && at[1] == 0x06 && at[2] == 0x03) {
          rest = behind(rest, 3);
          return Verdict::metered;
        }
        if (at[0] != 0xaa || at[1] != 0xaa || at[2] != 0x03) return Verdict::llc;
        if (rest.size() < 8) return Verdict::short_frame;
        if (at[3] != 0 || at[4] != 0 || at[5] != 0) return Verdict::llc;
        type = be16(at + 6);
        rest = behind(rest, 8);
        continue;
    }
  }
  return Verdict::nesting;
}

Verdict Dissector::ppp(Octets& rest, bool& mpls) noexcept {
  if (rest.size() >= 2 && rest[0] == 0xff && rest[1] == 0x03) rest = behind(rest, 2);
  if (rest.empty()) return Verdict::short_frame;
  uint16_t protocol = rest[0];
  if (protocol & 1) {
    rest = behind(rest, 1);
  } else {
    if (rest.size() < 2) return Verdict::short_frame;
    protocol = be16(rest.data());
    rest = behind(rest, 2);
  }
  mpls = protocol == 0x281 || protocol == 0x283;
  return mpls || protocol == 0x21 || protocol == 0x57 ? Verdict::metered : Verdict::ppp_control;
}

Verdict Dissector::wlan(Octets& rest, Outside* outside) {
  if (rest.size() < 2) return Verdict::short_frame;
  const uint8_t control = rest[0], flags = rest[1];
  switch (control >> 2 & 3) {
    case 0:
      return Verdict::wlan_management;
    case 1:
      return Verdict::wlan_control;
    case 3:
      return Verdict::wlan_extension;
    default:
      break;
  }
  if (control & 0x40) return Verdict::wlan_null;
  if (flags & 0x40) return Verdict::wlan_protected;
  const bool quality = (control & 0x80) != 0;
  const size_t header =
      24u + ((flags & 3) == 3 ? 6 : 0) + (quality ? 2 : 0) + (quality && (flags & 0x80) ? 4 : 0);
  if (rest.size() < header) return Verdict::short_frame;
  rest = behind(rest, header);
  return by_ethertype(0, rest, outside);
}

Verdict Dissector::nflog(Octets& rest) noexcept {
  if (rest.size() < 4) return Verdict::short_frame;
  for (size_t at = 4; at + 4 <= rest.size();) {
    const size_t length = le16(rest.data() + at);
    if (length < 4) return Verdict::not_ip;
    if (le16(rest.data() + at + 2) == 9) {
      rest = rest.subspan(at + 4, std::min(length - 4, rest.size() - at - 4));
      return Verdict::metered;
    }
    at += (length + 3) / 4 * 4;
  }
  return Verdict::not_ip;
}

// ---- IP
// -------------------------------------------------------------------------------------------

[[gnu::always_inline]] inline Verdict Dissector::read_ip(Octets octets, uint32_t whole,
                                                         int64_t clock, Ip& ip) {
  if (DARTA_UNLIKELY(octets.empty())) return Verdict::ip_header_short;
  const unsigned version = octets[0] >> 4;
  if (version == 4) return read_ipv4(octets, whole, clock, ip);
  if (version == 6) return read_ipv6(octets, whole, clock, ip);
  return Verdict::ip_version;
}

[[gnu::always_inline]] inline Verdict Dissector::read_ipv4(Octets octets, uint32_t whole,
                                                           int64_t clock, Ip& ip) {
  const uint8_t* const at = octets.data();
  const size_t header = (at[0] & 15) * 4u;
  if (DARTA_UNLIKELY(octets.size() < 20 || header < 20)) return Verdict::ip_header_short;
  const uint16_t total = be16(at + 2);
  ip.octets = octets;
  ip.length = DARTA_LIKELY(total != 0) ? total : whole;
  ip.payload = payload_of(octets, header, ip.length);
  ip.version = 4;
  ip.protocol = at[9];
  ip.tos = at[1];
  ip.ttl = at[8];
  ip.fragment_flags = at[6] & 0xe0;
  ip.flow_label = 0;
  const uint16_t fragment = be16(at + 6) & 0x3fff;
  ip.later = (fragment & 0x1fff) != 0;
  read_transport(ip, ip.protocol == 1);
  if (DARTA_UNLIKELY(fragment != 0)) {
    FragmentKey key{};
    key.addresses.words[0] = load<uint32_t>(at + 12);
    key.addresses.words[2] = load<uint32_t>(at + 16);
    key.identification = be16(at + 4);
    key.protocol = ip.protocol;
    key.version = 4;
    const FragmentOrigin origin = follow_fragment(key, ip.later, {ip.ports, ip.protocol}, clock);
    ip.ports = origin.ports;
    ip.protocol = origin.protocol;
  }
  return Verdict::metered;
}

[[gnu::always_inline]] inline Verdict Dissector::read_ipv6(Octets octets, uint32_t whole,
                                                           int64_t clock, Ip& ip) {
  const uint8_t* const at = octets.data();
  if (DARTA_UNLIKELY(octets.size() < 40)) return Verdict::ip_header_short;
  const uint16_t length = be16(at + 4);
  uint8_t next = at[6];
  ip.octets = octets;
  ip.length = length + 40u;
  if (DARTA_UNLIKELY(length == 0 && (next == 0 || next == 6)))
    ip.length = std::max<uint32_t>(whole, 40);
  Octets payload = payload_of(octets, 40, ip.length);
  ip.version = 6;
  ip.tos = static_cast<uint8_t>(be16(at) >> 4);
  ip.ttl = at[7];
  ip.fragment_flags = 0;
  ip.flow_label = be32(at) & 0xfffff;
  ip.later = false;
  bool fragment = false;
  uint32_t identification = 0;
  for (unsigned i = 0; i < most_extension_headers && payload.size() >= 8; ++i) {
    size_t header;
    switch (next) {
      case 0:
      case 43:
      case 60:
        header = 8 + payload[1] * 8u;
        break;
      case 135:
      case 139:
      case 140:  // these need not be followed by anything
        header = payload[0] == 59 ? 0 : 8 + payload[1] * 8u;
        break;
      case 51:
        header = (payload[1] + 2) * 4u;
        break;
      case 44: {
        const uint16_t word = be16(payload.data() + 2);
        fragment = (word & 0xfff9) != 0;
        ip.later = (word & 0xfff8) != 0;
        ip.fragment_flags = word & 1 ? 0x20 : 0;
        identification = be32(payload.data() + 4);
        header = 8;
        break;
      }
      default:
        header = 0;
        break;
    }
    if (header == 0) break;
    next = payload[0];
    // Of a header that is cut it is known what comes next, and no more.
    payload = payload.size() > header ? behind(payload, header) : Octets();
    if (ip.later) break;
  }
  ip.payload = payload;
  ip.protocol = next;
  read_transport(ip, next == 58);
  if (DARTA_UNLIKELY(fragment)) {
    FragmentKey key{};
    key.addresses = load<Addresses>(at + 8);
    key.identification = identification;
    key.version = 6;
    const FragmentOrigin origin = follow_fragment(key, ip.later, {ip.ports, ip.protocol}, clock);
    ip.ports = origin.ports;
    ip.protocol = origin.protocol;
  }
  return Verdict::metered;
}

inline void Dissector::read_transport(Ip& ip, bool icmp) noexcept {
  // Protocols come in no order, so what is not there is read from zeros instead of branched around.
  static constexpr uint8_t zeros[16] = {};
  const auto from = [](uintptr_t at, int64_t mask) {
    const auto none = reinterpret_cast<uintptr_t>(zeros);
    return reinterpret_cast<const uint8_t*>(none ^ ((none ^ at) & static_cast<uintptr_t>(mask)));
  };
  const auto at = reinterpret_cast<uintptr_t>(ip.payload.data());
  const auto n = static_cast<int64_t>(ip.later ? 0 : ip.payload.size());
  const auto at_least = [n](int64_t octets) { return (octets - 1 - n) >> 63; };
  const int64_t tcp = -int64_t{ip.protocol == 6};
  ip.ports = little(load<uint32_t>(from(at, -int64_t{has_ports[ip.protocol]} & at_least(4))));
  ip.tcp_flags = be16(from(at + 12, tcp & at_least(14))) & 0x0fff;
  ip.icmp = be16(from(at, -int64_t{icmp} & at_least(2)));
}

[[gnu::noinline]] FragmentOrigin Dissector::follow_fragment(const FragmentKey& key, bool later,
                                                            FragmentOrigin origin, int64_t clock) {
  if (!later) {
    fragments_.remember(key, origin, clock);
    return origin;
  }
  const FragmentOrigin* const first = fragments_.find(key, clock);
  return first != nullptr ? *first : origin;
}

// ---- tunnels
// --------------------------------------------------------------------------------------

std::optional<Octets> Dissector::inside(const Ip& ip) {
  switch (ip.protocol) {
    case 4:
    case 41:
      return ip.payload;
    case 47:
      return inside_gre(ip.payload);
    case 17:
      return inside_udp(ip);
    default:
      return std::nullopt;
  }
}

std::optional<Octets> Dissector::inside_gre(Octets payload) {
  if (payload.size() < 4) return std::nullopt;
  const uint16_t flags = be16(payload.data());
  const uint16_t type = be16(payload.data() + 2);
  const bool checksum = (flags & 0x8000) != 0, routing = (flags & 0x4000) != 0;
  const bool key = (flags & 0x2000) != 0, sequence = (flags & 0x1000) != 0;
  size_t header;
  switch (flags & 7) {
    case 0:
      if (routing) return std::nullopt;
      header = 4u + (checksum ? 4 : 0) + (key ? 4 : 0) + (sequence ? 4 : 0);
      break;
    case 1:
      header = 8u + (sequence ? 4 : 0) + (flags & 0x80 ? 4 : 0);
      break;
    default:
      return std::nullopt;
  }
  if (payload.size() < header) return std::nullopt;
  Octets rest = behind(payload, header);
  Verdict verdict;
  if (type == 0x6558) {
    verdict = ethernet(rest, nullptr);
  } else if (type == 0x88be || type == 0x22eb) {
    size_t erspan = sequence ? 8 : 0;
    if (type == 0x22eb) erspan = rest.size() > 11 && (rest[11] & 1) ? 20 : 12;
    if (rest.size() < erspan) return std::nullopt;
    rest = behind(rest, erspan);
    verdict = ethernet(rest, nullptr);
  } else if (type == 0x880b) {
    bool mpls = false;
    verdict = ppp(rest, mpls);
    if (mpls) verdict = by_ethertype(0x8847, rest, nullptr);
  } else {
    verdict = by_ethertype(type, rest, nullptr);
  }
  if (verdict != Verdict::metered) return std::nullopt;
  return rest;
}

std::optional<Octets> Dissector::inside_udp(const Ip& ip) {
  if (ip.payload.size() < 8) return std::nullopt;
  Octets rest = behind(ip.payload, 8);
  const uint8_t* const at = rest.data();
  const uint16_t source = be16(ip.payload.data()), destination = be16(ip.payload.data() + 2);
  const auto either = [&](uint16_t port) { return source == port || destination == port; };
  if (either(4789) || either(8472)) {  // VXLAN
    if (rest.size() <= 8 || !(at[0] & 0x08)) return std::nullopt;
    rest = behind(rest, 8);
    if (ethernet(rest, nullptr) != Verdict::metered) return std::nullopt;
    return rest;
  }
  if (destination == 6081) {  // Geneve
    if (rest.size() <= 8) return std::nullopt;
    const size_t header = 8 + (at[0] & 63) * 4u;
    const uint16_t type = be16(at + 2);
    if (rest.size() < header) return std::nullopt;
    rest = behind(rest, header);
    const Verdict verdict =
        type == 0x6558 ? ethernet(rest, nullptr) : by_ethertype(type, rest, nullptr);
    if (verdict != Verdict::metered) return std::nullopt;
    return rest;
  }
  if (either(2152)) {  // GTP-U
    if (rest.size() <= 8 || at[0] >> 5 != 1 || at[1] != 255) return std::nullopt;
    size_t header = 8u + (at[0] & 7 ? 4 : 0);
    if ((at[0] & 4) && rest.size() > 12) {
      uint8_t next = at[11];
      while (next != 0 && header < rest.size() && at[header] != 0) {
        const size_t length = at[header] * 4u;
        next = header + length <= rest.size() ? at[header + length - 1] : 0;
        header += length;
      }
    }
    if (rest.size() < header) return std::nullopt;
    return behind(rest, header);
  }
  if (either(3544)) {  // Teredo
    if (rest.size() > 4 && rest[0] == 0 && rest[1] == 1) {
      const size_t header = 4u + rest[2] + rest[3] + 9;
      if (rest.size() < header) return std::nullopt;
      rest = behind(rest, header);
    }
    if (rest.size() >= 2 && rest[0] == 0 && rest[1] == 0) {
      if (rest.size() < 8) return std::nullopt;
      rest = behind(rest, 8);
    }
    if (rest.empty() || rest[0] >> 4 != 6) return std::nullopt;
    return rest;
  }
  return std::nullopt;
}

}  // namespace darta
