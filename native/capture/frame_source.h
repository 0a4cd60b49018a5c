// Where live frames come from: what a thread that meters them sees of a packet ring or an XDP socket.
#pragma once
#include <linux/filter.h>

#include <cerrno>
#include <ctime>
#include <vector>

#include "capture/reader.h"

namespace darta {

struct SourceStatistics {
  /// Frames that passed the filter, dropped ones too.
  uint64_t packets = 0;
  uint64_t drops = 0;
  /// How often the ring was full and the queue stood still.
  uint64_t freezes = 0;
  /// Frames that were taken out and looked at; LiveCapture counts these.
  uint64_t taken = 0;
};

/// What went wrong while opening: the call and its errno.
struct OpenFault {
  const char* call = nullptr;
  int error = 0;
};

class FrameSource {
 public:
  FrameSource() = default;
  FrameSource(const FrameSource&) = delete;
  FrameSource& operator=(const FrameSource&) = delete;
  virtual ~FrameSource() = default;

  /// For poll(2).
  [[nodiscard]] virtual int descriptor() const noexcept = 0;
  [[nodiscard]] virtual uint32_t link_type() const noexcept = 0;
  /// What the kernel counted since the start. Any thread may ask, one at a time.
  [[nodiscard]] virtual SourceStatistics statistics() noexcept = 0;
  /// The next frames; empty if there are none. They stay valid until `release`, which must follow if
  /// there are any.
  [[nodiscard]] virtual const std::vector<Frame>& next() noexcept = 0;
  /// Gives the room of `next` back to the kernel.
  virtual void release() noexcept = 0;
  /// What has happened to the socket: 0, or ENODEV if the interface is gone, ENETDOWN (once) if it
  /// is down and may come up again, or another errno. To be asked now and then: poll(2) does not
  /// tell of all.
  [[nodiscard]] virtual int error() noexcept = 0;
  /// Puts another socket filter in the place of the one there is, at once for all frames that follow;
  /// 0 or an errno. Any thread may ask.
  [[nodiscard]] virtual int change_filter(const std::vector<sock_filter>&) noexcept {
    return ENOTSUP;
  }
  /// How long to let frames gather after poll(2) has told of the first one, in microseconds.
  [[nodiscard]] virtual unsigned gather_us() const noexcept { return 0; }
};

/// What a clock says, in nanoseconds.
[[nodiscard]] inline int64_t clock_ns(clockid_t clock) noexcept {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

/// LINKTYPE_ of a hardware type (ARPHRD_) whose link header the kernel shows as it is; false if its
/// headers are of no use to us.
[[nodiscard]] bool link_type_of(uint16_t hardware, uint32_t& link_type) noexcept;
/// Hardware type (ARPHRD_) of an interface, or what failed.
[[nodiscard]] OpenFault hardware_type(const char* interface, uint16_t& hardware) noexcept;

}  // namespace darta
