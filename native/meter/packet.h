// What the meter keeps of one frame, between dissecting it and finding its Flow.
#pragma once
#include "capture/octets.h"

namespace darta {

/// Bits of MeterOptions.key, in the order of KeyPart in src/metering/meter.ts.
enum KeyPart : uint32_t {
  key_src = 1 << 0,
  key_dst = 1 << 1,
  key_proto = 1 << 2,
  key_srcport = 1 << 3,
  key_dstport = 1 << 4,
  key_vlan = 1 << 5,
  key_tunnel = 1 << 6,
  key_interface = 1 << 7,
  key_tos = 1 << 8,
  key_srcmac = 1 << 9,
  key_dstmac = 1 << 10,
};
constexpr uint32_t key_5tuple = key_src | key_dst | key_proto | key_srcport | key_dstport;

/// The Flow Key as three words that are compared at once. Addresses and ports are in network order,
/// so that they are loaded from the packet and stored in records as they are.
///
///     addresses   IPv4: source 4, destination 4. IPv6: a 32-bit hash of each; the addresses lie
///     elsewhere ports       source port 2, destination port 2, protocol 1, type of service 1; 2
///     not of the key path        VLAN ids 4 × 12 bits, their number 4, tunnel depth 4, IP version
///     4
struct KeyWords {
  uint64_t addresses;
  uint64_t ports;
  uint64_t path;
};

constexpr uint64_t ports_key_mask = 0x0000ffffffffffff;
constexpr int path_vlan_count = 48;
constexpr int path_tunnel = 52;
constexpr int path_version = 56;

/// Source and destination address as they are in an IPv6 header.
struct Addresses {
  uint64_t words[4];

  bool operator==(const Addresses&) const noexcept = default;
};

/// Key parts and fields below IP; kept only where options ask for them.
struct Link {
  uint8_t source_mac[6];
  uint8_t destination_mac[6];
  uint32_t interface;
};
static_assert(sizeof(Link) == 16);

struct Packet {
  KeyWords key;
  Addresses addresses;
  /// Nanoseconds since 1970: of the packet, and the greatest so far.
  int64_t time;
  int64_t clock;
  /// IP length.
  uint32_t octets;
  /// Hash of the key; its high bits are the home slot in the index.
  uint32_t tag;
  /// Slot where its Flow most likely is.
  uint32_t guess;
  /// Low 12 bits of octets 12 and 13 of the TCP header.
  uint16_t tcp_flags;
  /// Type × 256 + code.
  uint16_t icmp;
  uint8_t version;
  uint8_t tos;
  uint8_t ttl;
  /// As in fragmentFlags.
  uint8_t fragment_flags;
  uint32_t flow_label;
  /// First label stack entry's first 3 octets, 0 without.
  uint32_t mpls;
  Link link;
  /// Of the frame in the input.
  uint64_t offset;
  /// The metered IP packet and how much of it was captured, cut to its own length.
  const uint8_t* ip;
  uint32_t ip_captured;
};

namespace tcp {
constexpr uint16_t fin = 0x01;
constexpr uint16_t syn = 0x02;
constexpr uint16_t rst = 0x04;
constexpr uint16_t ack = 0x10;
}  // namespace tcp

}  // namespace darta
