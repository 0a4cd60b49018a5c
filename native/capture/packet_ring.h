// Live frames of one interface through a TPACKET_V3 ring (packet(7)), with their kernel times.
#pragma once
#include <linux/filter.h>

#include <string>
#include <vector>

#include "capture/octets.h"
#include "capture/reader.h"

namespace darta {

struct RingOptions {
  /// Empty: all interfaces, as cooked frames (SLL2).
  std::string interface;
  /// Octets of the ring.
  size_t ring_octets = size_t{64} << 20;
  bool promiscuous = true;
  /// Socket filter; its return value is the snap length. Empty: every frame, whole.
  std::vector<sock_filter> filter;
  /// Fanout group and the program that deals packets out (they start at layer 3); 0: no group.
  uint16_t fanout_group = 0;
  std::vector<sock_filter> fanout;
};

struct RingStatistics {
  /// Frames that passed the filter, dropped ones too.
  uint64_t packets = 0;
  uint64_t drops = 0;
  /// How often the ring was full and the queue stood still.
  uint64_t freezes = 0;
};

/// What went wrong while opening: the call and its errno.
struct RingFault {
  const char* call = nullptr;
  int error = 0;
};

class PacketRing {
 public:
  PacketRing() = default;
  PacketRing(const PacketRing&) = delete;
  PacketRing& operator=(const PacketRing&) = delete;
  ~PacketRing();

  /// Opens with protocol 0, sets up ring and filter, and only then binds, so that no frame enters
  /// that the filter has not seen.
  [[nodiscard]] RingFault open(const RingOptions& options) noexcept;
  [[nodiscard]] int descriptor() const noexcept { return socket_; }
  [[nodiscard]] uint32_t link_type() const noexcept { return link_type_; }
  /// What the kernel counted since the last call, added up. Any thread may ask, one at a time.
  [[nodiscard]] const RingStatistics& statistics() noexcept;

  /// Frames of the next filled block; empty if there is none. They stay valid until `release`.
  [[nodiscard]] const std::vector<Frame>& next_block() noexcept;
  /// Gives the block of `next_block` back to the kernel.
  void release() noexcept;
  /// Whether the interface is gone (ENODEV), or another error stands on the socket.
  [[nodiscard]] int error() const noexcept;

 private:
  static constexpr size_t block_octets = size_t{1} << 20;

  [[nodiscard]] uint8_t* block(size_t index) const noexcept { return map_ + index * block_octets; }
  void add(uint8_t* header) noexcept;

  int socket_ = -1;
  uint8_t* map_ = nullptr;
  size_t blocks_ = 0;
  size_t at_ = 0;
  bool cooked_ = false;
  uint32_t link_type_ = 1;
  uint64_t frames_before_ = 0;
  std::vector<Frame> frames_;
  RingStatistics statistics_;
};

}  // namespace darta
