#include "meter/live.h"

#include <poll.h>
#include <pthread.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>

namespace darta {
namespace {

/// How long records may wait in a partly filled buffer, and how often a quiet link's clock moves.
constexpr int64_t tick_ns = 200'000'000;
/// A frame may lie in a block this long before it is seen, so a quiet link's clock stays behind.
constexpr int64_t clock_lag_ns = 500'000'000;

int64_t now(clockid_t clock) noexcept {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<int64_t>(t.tv_sec) * 1000000000 + t.tv_nsec;
}

}  // namespace

std::unique_ptr<LiveCapture> LiveCapture::open(const LiveOptions& options, RingFault& fault,
                                               size_t& ring, std::string& error) {
  std::unique_ptr<LiveCapture> live(new LiveCapture());
  for (unsigned i = 0; i < options.threads; ++i) {
    auto worker = std::make_unique<Worker>();
    worker->meter = Meter::create(options.meter, error);
    if (!worker->meter) return nullptr;
    live->workers_.push_back(std::move(worker));
  }
  for (ring = 0; ring < options.rings.size(); ++ring) {
    auto opened = std::make_unique<PacketRing>();
    fault = opened->open(options.rings[ring]);
    if (fault.call != nullptr) return nullptr;
    live->workers_[ring % options.threads]->rings.push_back(opened.get());
    live->rings_.push_back(std::move(opened));
  }
  return live;
}

LiveCapture::~LiveCapture() {
  stop();
  for (auto& worker : workers_) {
    if (worker->thread.joinable()) worker->thread.join();
  }
  for (const Output& output : queue_) std::free(output.octets);
}

void LiveCapture::start(std::function<void()> ready) {
  ready_ = std::move(ready);
  running_ = static_cast<unsigned>(workers_.size());
  // Signals are for Node's own thread.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (auto& worker : workers_) worker->thread = std::thread([this, &w = *worker] { run(w); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void LiveCapture::stop() noexcept {
  stopping_ = true;
  room_.notify_all();
}

std::vector<Output> LiveCapture::take() {
  const std::lock_guard lock(queue_mutex_);
  queued_octets_ = 0;
  room_.notify_all();
  return std::exchange(queue_, {});
}

std::vector<MeterCounters> LiveCapture::counters() {
  std::vector<MeterCounters> all;
  for (auto& worker : workers_) {
    const std::lock_guard lock(worker->mutex);
    all.push_back(worker->counters);
  }
  return all;
}

RingStatistics LiveCapture::statistics(size_t ring) {
  const std::lock_guard lock(statistics_mutex_);
  return rings_[ring]->statistics();
}

void LiveCapture::hand_over(Worker& worker) {
  {
    const std::lock_guard lock(worker.mutex);
    worker.counters = worker.meter->counters();
  }
  std::vector<Output> outputs = worker.meter->take_outputs();
  if (outputs.empty()) return;
  {
    std::unique_lock lock(queue_mutex_);
    room_.wait(lock, [&] { return queued_octets_ < queue_octets || stopping_; });
    for (const Output& output : outputs) {
      queued_octets_ += output.size;
      queue_.push_back(output);
    }
  }
  ready_();
}

void LiveCapture::run(Worker& worker) {
  Meter& meter = *worker.meter;
  std::vector<pollfd> descriptors;
  for (const PacketRing* ring : worker.rings)
    descriptors.push_back({ring->descriptor(), POLLIN | POLLERR, 0});
  int64_t next_tick = now(CLOCK_MONOTONIC) + tick_ns;
  unsigned flushes = 0;
  bool last_round = false;
  for (;;) {
    bool any = false;
    for (PacketRing* ring : worker.rings) {
      const std::vector<Frame>& frames = ring->next_block();
      if (frames.empty()) continue;
      any = true;
      const MeterStatus status = meter.take(frames);
      ring->release();
      if (status == MeterStatus::table_full) {
        error_ = -1;
        stopping_ = true;
      }
    }
    if (meter.full()) stopping_ = true;
    const int64_t time = now(CLOCK_MONOTONIC);
    const unsigned asked = flushes_.load();
    if (time >= next_tick || asked != flushes) {
      // The frames decide the time; only where there are none does the clock of the host.
      if (!any) meter.tick(now(CLOCK_REALTIME) - clock_lag_ns);
      meter.flush();
      flushes = asked;
      next_tick = time + tick_ns;
    }
    hand_over(worker);
    if (last_round && (!any || meter.full())) break;
    if (stopping_) {
      // What is in the rings was seen before the end: one more walk through them.
      last_round = true;
      if (any) continue;
    }
    if (any) continue;
    if (poll(descriptors.data(), descriptors.size(), last_round ? 60 : 50) > 0) {
      for (size_t i = 0; i < descriptors.size(); ++i) {
        if ((descriptors[i].revents & POLLERR) == 0) continue;
        const int failed = worker.rings[i]->error();
        if (failed != 0) {
          error_ = failed;
          stopping_ = true;
        }
      }
    }
  }
  static_cast<void>(meter.finish());
  hand_over(worker);
  --running_;
  ready_();
}

}  // namespace darta
