#include "capture/frame_source.h"

#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace darta {
namespace {

/// ARPHRD_RAWIP, which glibc does not name.
constexpr uint16_t hardware_raw_ip = 519;

}  // namespace

bool link_type_of(uint16_t hardware, uint32_t& link_type) noexcept {
  switch (hardware) {
    case ARPHRD_ETHER:
    case ARPHRD_LOOPBACK:
      link_type = 1;
      return true;
    case hardware_raw_ip:
    case ARPHRD_NONE:
    case ARPHRD_TUNNEL:
    case ARPHRD_TUNNEL6:
    case ARPHRD_SIT:
      link_type = 101;
      return true;
    default:
      return false;
  }
}

OpenFault hardware_type(const char* interface, uint16_t& hardware) noexcept {
  const int probe = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return {"socket", errno};
  ifreq request{};
  std::strncpy(request.ifr_name, interface, sizeof request.ifr_name - 1);
  const int asked = ioctl(probe, SIOCGIFHWADDR, &request);
  const int error = errno;
  ::close(probe);
  if (asked != 0) return {"SIOCGIFHWADDR", error};
  hardware = request.ifr_hwaddr.sa_family;
  return {};
}

}  // namespace darta
