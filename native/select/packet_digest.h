// A digest that all nodes which see a packet agree on.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace darta {

/// Octets from the IP header on (without one: from the start of the frame) that count. Nodes that
/// compare digests capture at least so many behind the link header.
inline constexpr size_t digest_octets = 64;

/// Digest of the first `digest_octets` octets of a packet without what may differ between two
/// places: link header, TTL or hop limit, IPv4 header checksum. `ip`: where the IP header is,
/// SIZE_MAX for none.
[[nodiscard]] uint64_t packet_digest(std::span<const uint8_t> frame, size_t ip) noexcept;

}  // namespace darta
