// Sends datagrams to one peer, many with one system call.
#pragma once
#include <cstdint>
#include <span>

namespace darta {

/// What came of a call: a descriptor or a count, and the errno where it stopped; 0: none.
struct SendResult {
  int64_t value;
  int error;
};

/// A non-blocking UDP socket connected to a numeric address, IPv6 with its zone. Datagrams are never fragmented: one that
/// the path is known not to carry is refused (RFC 7011 section 10.3.3).
[[nodiscard]] SendResult open_udp(const char* address, uint16_t port) noexcept;

/// Octets that an IP packet to the peer may have, as far as the system knows; 0 where it does not.
[[nodiscard]] SendResult path_mtu(int socket) noexcept;

/// Sends datagrams `from` to `to`: datagram i ends before ends[i], and begins where the one before ends. `value` of them
/// went out before the error.
[[nodiscard]] SendResult send_datagrams(int socket, std::span<const uint8_t> octets,
                                        std::span<const uint32_t> ends, size_t from,
                                        size_t to) noexcept;

/// How a stream socket's peer is doing.
struct StreamState {
  /// Octets that its system has not acknowledged; of a Unix socket, that it has not read.
  int64_t outstanding;
  /// Octets that it offers to take, and 0 where that is not known.
  int64_t window;
};

/// `value` is 0 when `state` was filled.
[[nodiscard]] SendResult stream_state(int socket, StreamState& state) noexcept;

}  // namespace darta
