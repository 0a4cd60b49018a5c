// Meters live frames: threads that each read rings and run a meter of their own.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "capture/packet_ring.h"
#include "meter/meter.h"

namespace darta {

struct LiveOptions {
  MeterOptions meter;
  /// One ring for each interface and thread.
  std::vector<RingOptions> rings;
  /// 1..64; ring i belongs to thread i mod threads.
  unsigned threads = 1;
};

/// Filled buffers wait in a queue of bounded size for whoever takes them. While it is full the
/// threads wait too, and the kernel counts what its rings cannot hold.
class LiveCapture {
 public:
  static constexpr size_t queue_octets = size_t{64} << 20;

  /// Opens all rings. `fault` and `ring` say what failed and where; `error` what a meter refused.
  [[nodiscard]] static std::unique_ptr<LiveCapture> open(const LiveOptions& options,
                                                         RingFault& fault, size_t& ring,
                                                         std::string& error);
  ~LiveCapture();

  /// Starts the threads; each calls `ready` (from its own thread) when there is something to take
  /// and once more when it has ended.
  void start(std::function<void()> ready);
  /// Asks the threads to export all Flows and end.
  void stop() noexcept;
  /// Asks the threads to hand over partly filled buffers.
  void flush() noexcept { flushes_.fetch_add(1); }
  /// Takes the filled buffers, oldest first.
  [[nodiscard]] std::vector<Output> take();
  /// Whether all threads have ended.
  [[nodiscard]] bool ended() const noexcept { return running_.load() == 0; }
  /// 0, or the errno that ended a thread (ENODEV, ENETDOWN), or −1 for a full flow table (`fail`).
  [[nodiscard]] int error() const noexcept { return error_.load(); }

  /// Sums over the threads.
  [[nodiscard]] std::vector<MeterCounters> counters();
  [[nodiscard]] RingStatistics statistics(size_t ring);
  [[nodiscard]] size_t rings() const noexcept { return rings_.size(); }
  [[nodiscard]] uint32_t link_type(size_t ring) const noexcept { return rings_[ring]->link_type(); }

 private:
  /// A meter and what other threads may know of it.
  struct Worker {
    std::unique_ptr<Meter> meter;
    std::vector<PacketRing*> rings;
    std::thread thread;
    std::mutex mutex;
    MeterCounters counters;
  };

  LiveCapture() = default;
  void run(Worker& worker);
  void hand_over(Worker& worker);

  std::vector<std::unique_ptr<PacketRing>> rings_;
  std::mutex statistics_mutex_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::function<void()> ready_;
  std::atomic<bool> stopping_{false};
  std::atomic<unsigned> running_{0};
  std::atomic<unsigned> flushes_{0};
  std::atomic<int> error_{0};

  std::mutex queue_mutex_;
  std::condition_variable room_;
  std::vector<Output> queue_;
  size_t queued_octets_ = 0;
};

}  // namespace darta
