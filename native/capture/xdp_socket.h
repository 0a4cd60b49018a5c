// Live frames of one receive queue through an AF_XDP socket (Linux, Documentation/networking/af_xdp.rst).
#pragma once
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "capture/frame_source.h"
#include "capture/xdp_program.h"

namespace darta {

struct XdpOptions {
  std::string interface;
  /// Receive queue, and how many the interface has.
  uint32_t queue = 0;
  uint32_t queues = 1;
  /// Octets for frames.
  size_t buffer_octets = size_t{64} << 20;
  /// Octets of a frame that are shown.
  uint32_t snap_octets = UINT32_MAX;
  bool promiscuous = true;
  /// The interface's program.
  std::vector<uint8_t> instructions;
};

class XdpSocket final : public FrameSource {
 public:
  ~XdpSocket() override;

  /// Opens the socket and puts it into the map of `program`, which is loaded if it is empty.
  [[nodiscard]] OpenFault open(const XdpOptions& options,
                               std::shared_ptr<XdpProgram>& program) noexcept;

  [[nodiscard]] int descriptor() const noexcept override { return socket_; }
  [[nodiscard]] uint32_t link_type() const noexcept override { return link_type_; }
  [[nodiscard]] SourceStatistics statistics() noexcept override;
  [[nodiscard]] const std::vector<Frame>& next() noexcept override;
  void release() noexcept override;
  [[nodiscard]] int error() noexcept override;
  [[nodiscard]] unsigned gather_us() const noexcept override { return gather_us_; }

 private:
  /// One of the rings that are shared with the kernel: a producer and a consumer count, and entries.
  struct Ring {
    void* map = nullptr;
    size_t map_octets = 0;
    uint32_t* producer = nullptr;
    uint32_t* consumer = nullptr;
    uint8_t* entries = nullptr;
  };

  [[nodiscard]] OpenFault open_rings() noexcept;
  [[nodiscard]] OpenFault map_ring(Ring& ring, const void* offsets, size_t entry_octets,
                                   uint64_t page_offset) noexcept;
  void measure_clock() noexcept;
  void add(const uint8_t* octets, uint32_t captured, uint32_t original, int64_t time);

  std::shared_ptr<XdpProgram> program_;
  int socket_ = -1;
  int membership_ = -1;
  uint32_t link_type_ = 1;
  uint32_t interface_ = 0;
  uint32_t snap_octets_ = UINT32_MAX;
  unsigned gather_us_ = 0;
  /// Frames of `chunk_` octets each; a power of two of them.
  uint8_t* frames_map_ = nullptr;
  size_t frames_map_octets_ = 0;
  uint32_t count_ = 0;
  Ring receive_;
  Ring fill_;
  uint32_t read_ = 0;
  uint32_t filled_ = 0;
  std::vector<uint64_t> used_;
  std::vector<Frame> frames_;
  /// Frames that came in several chunks, put together. They are long, and few.
  std::vector<std::vector<uint8_t>> whole_;
  bool continued_ = false;
  uint32_t continued_original_ = 0;
  int64_t continued_time_ = 0;
  std::vector<uint8_t> continued_octets_;
  uint64_t frames_before_ = 0;
  std::atomic<uint64_t> received_{0};
  /// What CLOCK_REALTIME is ahead of CLOCK_MONOTONIC, in nanoseconds.
  int64_t clock_offset_ = 0;
  int64_t clock_measured_ = 0;
};

}  // namespace darta
