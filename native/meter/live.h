// Meters live frames: threads that each read rings and run a meter of their own.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>

#include "capture/packet_ring.h"
#include "capture/xdp_socket.h"
#include "meter/meter.h"
#include "select/share_keeper.h"

namespace darta {

struct LiveOptions {
  MeterOptions meter;
  /// One for each interface and thread, or receive queue. XDP sockets of an interface stand together.
  std::vector<std::variant<RingOptions, XdpOptions>> sources;
  /// 1..64; source i belongs to thread i mod threads.
  unsigned threads = 1;
  /// Partly filled buffers are handed over now and then, for readers who wait.
  bool prompt = true;
  /// Decides which frames are metered, where the node's share of the link can change.
  std::shared_ptr<ShareKeeper> keeper;
};

/// What happened to a source that did not end the capture: ENETDOWN or ENODEV.
struct Notice {
  size_t source;
  int error;
};

/// Filled buffers wait in a queue of bounded size for whoever takes them. While it is full the
/// threads wait too, and the kernel counts what its rings cannot hold.
class LiveCapture {
 public:
  static constexpr size_t queue_octets = size_t{64} << 20;

  /// Opens all sources. `fault` and `source` say what failed and where; `error` what a meter refused.
  [[nodiscard]] static std::unique_ptr<LiveCapture> open(const LiveOptions& options,
                                                         OpenFault& fault, size_t& source,
                                                         std::string& error);
  ~LiveCapture();

  /// Starts the threads; each calls `ready` (from its own thread) when there is something to take
  /// and once more when it has ended.
  void start(std::function<void()> ready);
  /// Asks the threads to export all Flows and end.
  void stop() noexcept;
  /// Asks the threads to hand over partly filled buffers.
  void flush() noexcept;
  /// What happened to sources since the last call: down, or gone while others are still there.
  [[nodiscard]] std::vector<Notice> take_notices();
  /// Takes the filled buffers, oldest first.
  [[nodiscard]] std::vector<Output> take();
  /// Whether all threads have ended.
  [[nodiscard]] bool ended() const noexcept { return running_.load() == 0; }
  /// 0, or the errno of the last source that ended (ENODEV), or −1 for a full flow table (`fail`).
  [[nodiscard]] int error() const noexcept { return error_.load(); }

  /// Changes the socket filter of a source; 0 or an errno.
  [[nodiscard]] int change_filter(size_t source, const std::vector<sock_filter>& filter) noexcept {
    return sources_[source]->change_filter(filter);
  }

  /// Of each thread, and of its meters for packets with marks.
  [[nodiscard]] std::vector<MeterCounters> counters();
  [[nodiscard]] SourceStatistics statistics(size_t source);
  [[nodiscard]] size_t sources() const noexcept { return sources_.size(); }
  [[nodiscard]] uint32_t link_type(size_t source) const noexcept {
    return sources_[source]->link_type();
  }

 private:
  /// A meter and what other threads may know of it.
  struct Worker {
    std::unique_ptr<Meter> meter;
    /// By ShareMark; made when the first such packet comes.
    std::array<std::unique_ptr<Meter>, share_marks> marked;
    ShareSorter* sorter = nullptr;
    /// Numbers of its sources.
    std::vector<size_t> sources;
    /// An eventfd that ends its waiting.
    int wake = -1;
    std::thread thread;
    std::mutex mutex;
    std::vector<MeterCounters> counters;

    Worker() = default;
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker();
    /// Calls `what` with each meter that there is.
    template <class What>
    void each_meter(What what) {
      what(*meter);
      for (auto& one : marked) {
        if (one) what(*one);
      }
    }
  };

  LiveCapture() = default;
  void run(Worker& worker);
  [[nodiscard]] MeterStatus take(Worker& worker, const std::vector<Frame>& frames);
  [[nodiscard]] MeterStatus take_sorted(Worker& worker);
  void hand_over(Worker& worker);
  void publish(Worker& worker);
  void wake() noexcept;
  /// Whether the kernel may have frames of the source that it has not shown yet.
  [[nodiscard]] bool holds(size_t source);
  /// Looks at the source with an error; false if it is gone.
  [[nodiscard]] bool heed(size_t source);

  /// How many of so many frames are wanted, of all threads together.
  [[nodiscard]] size_t claim(size_t frames) noexcept;

  MeterOptions meter_options_;
  /// Frames until the limit, if there is one.
  std::atomic<uint64_t> wanted_{0};
  std::shared_ptr<ShareKeeper> keeper_;
  std::vector<std::unique_ptr<FrameSource>> sources_;
  std::atomic<size_t> sources_left_{0};
  /// Of each source.
  std::unique_ptr<std::atomic<uint64_t>[]> taken_;
  std::mutex statistics_mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::function<void()> ready_;
  bool prompt_ = true;
  /// How long the kernel may keep a frame before it shows it.
  int64_t held_ns_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<unsigned> running_{0};
  std::atomic<unsigned> flushes_{0};
  std::atomic<int> error_{0};

  std::mutex queue_mutex_;
  std::condition_variable room_;
  std::vector<Output> queue_;
  std::vector<Notice> notices_;
  size_t queued_octets_ = 0;
};

}  // namespace darta
