// Programs that see the frames of an interface first (Linux, XDP).
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "capture/frame_source.h"

namespace darta {

/// The program on an interface that sees each frame before the kernel makes a packet of it: hands it to
/// a socket, lets it go on or drops it. The kernel takes it off when the last descriptor of its link
/// is closed, however the process ends.
class XdpProgram {
 public:
  explicit XdpProgram(std::string interface) : interface_(std::move(interface)) {}
  XdpProgram(const XdpProgram&) = delete;
  XdpProgram& operator=(const XdpProgram&) = delete;
  ~XdpProgram();

  /// Makes the map of `queues` sockets, if there are any, and loads the program, struct bpf_insn after struct bpf_insn.
  /// Instructions that load a map (BPF_PSEUDO_MAP_FD) get this one.
  [[nodiscard]] OpenFault load(std::span<const uint8_t> instructions, uint32_t queues) noexcept;
  [[nodiscard]] OpenFault add(uint32_t queue, int socket) noexcept;
  /// From now on frames come.
  [[nodiscard]] OpenFault attach() noexcept;
  [[nodiscard]] const std::string& interface() const noexcept { return interface_; }

 private:
  std::string interface_;
  int map_ = -1;
  int program_ = -1;
  int link_ = -1;
};

}  // namespace darta
