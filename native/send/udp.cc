#include "send/udp.h"

#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>

namespace darta {
namespace {

/// Datagrams of one system call.
constexpr size_t kBurst = 128;
/// Room for what the interface does not take at once.
constexpr int kSendBufferOctets = 1 << 22;

void set_option(int socket, int level, int name, int value) noexcept {
  // Each of them only makes things better: a system without it still sends.
  (void)setsockopt(socket, level, name, &value, sizeof value);
}

}  // namespace

SendResult open_udp(const char* address, uint16_t port) noexcept {
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_DGRAM;
  std::array<char, 8> service;
  std::snprintf(service.data(), service.size(), "%u", static_cast<unsigned>(port));
  addrinfo* found = nullptr;
  if (getaddrinfo(address, service.data(), &hints, &found) != 0 || found == nullptr)
    return {-1, EADDRNOTAVAIL};
  const int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  int error = fd < 0 ? errno : 0;
  if (fd >= 0) {
    set_option(fd, SOL_SOCKET, SO_SNDBUF, kSendBufferOctets);
    if (found->ai_family == AF_INET6) {
      set_option(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DO);
    } else {
      set_option(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    }
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
      error = errno;
      close(fd);
    }
  }
  freeaddrinfo(found);
  return {error == 0 ? fd : -1, error};
}

SendResult path_mtu(int socket) noexcept {
  sockaddr_storage local = {};
  socklen_t size = sizeof local;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&local), &size) != 0) return {0, errno};
  int mtu = 0;
  size = sizeof mtu;
  const bool six = local.ss_family == AF_INET6;
  if (getsockopt(socket, six ? IPPROTO_IPV6 : IPPROTO_IP, six ? IPV6_MTU : IP_MTU, &mtu, &size) !=
      0)
    return {0, errno};
  return {mtu, 0};
}

SendResult send_datagrams(int socket, std::span<const uint8_t> octets,
                          std::span<const uint32_t> ends, size_t from, size_t to) noexcept {
  to = std::min(to, ends.size());
  size_t next = from;
  while (next < to) {
    std::array<mmsghdr, kBurst> headers = {};
    std::array<iovec, kBurst> parts;
    size_t count = 0;
    size_t start = next == 0 ? 0 : ends[next - 1];
    while (count < kBurst && next + count < to) {
      const size_t end = ends[next + count];
      if (end < start || end > octets.size()) return {static_cast<int64_t>(next - from), EINVAL};
      parts[count] = {const_cast<uint8_t*>(octets.data() + start), end - start};
      headers[count].msg_hdr.msg_iov = &parts[count];
      headers[count].msg_hdr.msg_iovlen = 1;
      start = end;
      ++count;
    }
    const int sent =
        sendmmsg(socket, headers.data(), static_cast<unsigned>(count), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      return {static_cast<int64_t>(next - from), errno};
    }
    next += static_cast<size_t>(sent);
  }
  return {static_cast<int64_t>(next - from), 0};
}

SendResult stream_state(int socket, StreamState& state) noexcept {
  int outstanding = 0;
  if (ioctl(socket, SIOCOUTQ, &outstanding) != 0) return {-1, errno};
  state.outstanding = outstanding;
  state.window = 0;
  // The system's structure grows with its versions: one that does not reach the field tells no window.
  tcp_info info = {};
  socklen_t size = sizeof info;
  constexpr size_t reach = offsetof(tcp_info, tcpi_snd_wnd) + sizeof info.tcpi_snd_wnd;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 && size >= reach)
    state.window = info.tcpi_snd_wnd;
  return {0, 0};
}

}  // namespace darta
