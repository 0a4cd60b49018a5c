// Frames that an interface's driver gets as if they had come from a wire: no packet of the kernel has
// been made of them yet (Linux, Documentation/bpf/bpf_prog_run.rst, live frames).
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "capture/frame_source.h"

namespace darta {

class DriverFrames {
 public:
  /// What becomes of them: they come out of the other end of a veth pair, or nowhere.
  enum class Way : uint8_t { pair, nowhere };

  DriverFrames() = default;
  DriverFrames(const DriverFrames&) = delete;
  DriverFrames& operator=(const DriverFrames&) = delete;
  ~DriverFrames();

  /// `frame`: IPv4 behind Ethernet, 60..3,000 octets; the last two of its source address change from
  /// frame to frame. `interface`: this end of the pair.
  [[nodiscard]] OpenFault open(const char* interface, std::span<const uint8_t> frame,
                               Way way) noexcept;
  /// Sends so many; false if that cannot be done, see errno.
  [[nodiscard]] bool send(uint32_t count) noexcept;

 private:
  int program_ = -1;
  uint32_t interface_ = 0;
  std::vector<uint8_t> frame_;
};

}  // namespace darta
