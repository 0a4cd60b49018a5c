// Live frames of one interface through a TPACKET_V3 ring (packet(7)), with their kernel times.
#pragma once
#include <linux/filter.h>

#include <memory>
#include <string>
#include <vector>

#include "capture/frame_source.h"
#include "capture/xdp_program.h"

namespace darta {

struct RingOptions {
  /// Empty: all interfaces, as cooked frames (SLL2).
  std::string interface;
  /// Octets of the ring.
  size_t ring_octets = size_t{64} << 20;
  /// A block that is not full is handed over after this long.
  unsigned block_ms = 50;
  bool promiscuous = true;
  /// Socket filter; its return value is the snap length. Empty: every frame, whole.
  std::vector<sock_filter> filter;
  /// The filter may be changed; else it is locked.
  bool changeable = false;
  /// A filter of eBPF in place of `filter`, by its descriptor; 0: none.
  int filter_descriptor = 0;
  /// Fanout group and the program that deals packets out (they start at layer 3); 0: no group.
  uint16_t fanout_group = 0;
  std::vector<sock_filter> fanout;
  /// An XDP program, struct bpf_insn after struct bpf_insn, for the interface: it may drop what the
  /// filter would reject. Empty: none.
  std::vector<uint8_t> early;
};

class PacketRing final : public FrameSource {
 public:
  ~PacketRing() override;

  /// Opens with protocol 0, sets up ring and filter, and only then binds, so that no frame enters
  /// that the filter has not seen.
  [[nodiscard]] OpenFault open(const RingOptions& options) noexcept;
  [[nodiscard]] int descriptor() const noexcept override { return socket_; }
  [[nodiscard]] uint32_t link_type() const noexcept override { return link_type_; }
  [[nodiscard]] SourceStatistics statistics() noexcept override;
  /// Frames of the next filled block.
  [[nodiscard]] const std::vector<Frame>& next() noexcept override;
  void release() noexcept override;
  [[nodiscard]] int error() noexcept override;
  [[nodiscard]] int change_filter(const std::vector<sock_filter>& filter) noexcept override;

 private:
  static constexpr size_t block_octets = size_t{1} << 20;

  [[nodiscard]] uint8_t* block(size_t index) const noexcept { return map_ + index * block_octets; }
  void add(uint8_t* header) noexcept;

  int socket_ = -1;
  std::unique_ptr<XdpProgram> early_;
  uint8_t* map_ = nullptr;
  size_t blocks_ = 0;
  size_t at_ = 0;
  bool cooked_ = false;
  /// The interface was down at least once.
  bool down_ = false;
  uint32_t link_type_ = 1;
  uint64_t frames_before_ = 0;
  std::vector<Frame> frames_;
  SourceStatistics statistics_;
};

}  // namespace darta
