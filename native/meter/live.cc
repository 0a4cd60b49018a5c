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

}  // namespace

std::unique_ptr<LiveCapture> LiveCapture::open(const LiveOptions& options, OpenFault& fault,
                                               size_t& source, std::string& error) {
  std::unique_ptr<LiveCapture> live(new LiveCapture());
  live->meter_options_ = options.meter;
  live->keeper_ = options.keeper;
  // Nodes of a group promise what they have handed over.
  live->prompt_ = options.prompt || options.keeper != nullptr;
  for (unsigned i = 0; i < options.threads; ++i) {
    auto worker = std::make_unique<Worker>();
    worker->meter = Meter::create(options.meter, error);
    if (!worker->meter) return nullptr;
    if (options.keeper) worker->sorter = &options.keeper->add_sorter();
    live->workers_.push_back(std::move(worker));
  }
  // Sockets keep their interface's program alive; it is put on when all its sockets are there.
  std::shared_ptr<XdpProgram> program;
  const auto attach = [&] {
    fault = program ? program->attach() : OpenFault{};
    program.reset();
    return fault.call == nullptr;
  };
  const auto open_one = [&](const auto& one) -> std::unique_ptr<FrameSource> {
    if constexpr (std::is_same_v<decltype(one), const RingOptions&>) {
      auto opened = std::make_unique<PacketRing>();
      fault = opened->open(one);
      return opened;
    } else {
      if (program && program->interface() != one.interface && !attach()) return nullptr;
      auto opened = std::make_unique<XdpSocket>();
      fault = opened->open(one, program);
      return opened;
    }
  };
  for (source = 0; source < options.sources.size(); ++source) {
    auto opened = std::visit(open_one, options.sources[source]);
    if (fault.call != nullptr) return nullptr;
    live->workers_[source % options.threads]->sources.push_back(source);
    live->sources_.push_back(std::move(opened));
  }
  live->sources_left_ = source;
  live->taken_ = std::make_unique<std::atomic<uint64_t>[]>(source);
  --source;
  return attach() ? std::move(live) : nullptr;
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
    all.insert(all.end(), worker->counters.begin(), worker->counters.end());
  }
  return all;
}

SourceStatistics LiveCapture::statistics(size_t source) {
  const std::lock_guard lock(statistics_mutex_);
  SourceStatistics all = sources_[source]->statistics();
  all.taken = taken_[source].load(std::memory_order_relaxed);
  return all;
}

std::vector<Notice> LiveCapture::take_notices() {
  const std::lock_guard lock(queue_mutex_);
  return std::exchange(notices_, {});
}

void LiveCapture::publish(Worker& worker) {
  const std::lock_guard lock(worker.mutex);
  worker.counters.clear();
  worker.each_meter([&](Meter& meter) { worker.counters.push_back(meter.counters()); });
}

MeterStatus LiveCapture::take(Worker& worker, const std::vector<Frame>& frames) {
  if (worker.sorter == nullptr) return worker.meter->take(frames);
  worker.sorter->sort(frames);
  return take_sorted(worker);
}

MeterStatus LiveCapture::take_sorted(Worker& worker) {
  MeterStatus status = MeterStatus::ok;
  for (size_t mark = 0; mark < share_marks; ++mark) {
    const std::vector<Frame>& frames = worker.sorter->taken(mark);
    if (frames.empty()) continue;
    Meter* meter = worker.meter.get();
    // A pcap file has one header and no room for marks.
    if (mark != mark_own && meter_options_.emit != Emit::pcap) {
      if (!worker.marked[mark]) {
        MeterOptions options = meter_options_;
        options.mark = static_cast<uint8_t>(mark);
        std::string error;
        worker.marked[mark] = Meter::create(options, error);
      }
      // Without memory for another table they are metered without their mark.
      if (worker.marked[mark]) meter = worker.marked[mark].get();
    }
    const MeterStatus one = meter->take(frames);
    if (one != MeterStatus::ok) status = one;
  }
  return status;
}

void LiveCapture::hand_over(Worker& worker) {
  std::vector<Output> outputs;
  worker.each_meter([&](Meter& meter) {
    const std::vector<Output> some = meter.take_outputs();
    outputs.insert(outputs.end(), some.begin(), some.end());
  });
  if (outputs.empty()) return;
  publish(worker);
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

bool LiveCapture::heed(size_t source) {
  const int failed = sources_[source]->error();
  if (failed == 0) return true;
  const bool gone = failed != ENETDOWN;
  if (gone && sources_left_.fetch_sub(1) == 1) {
    error_ = failed;
    stopping_ = true;
    return false;
  }
  {
    const std::lock_guard lock(queue_mutex_);
    notices_.push_back({source, failed});
  }
  ready_();
  return !gone;
}

void LiveCapture::run(Worker& worker) {
  Meter& meter = *worker.meter;
  std::vector<pollfd> descriptors;
  for (const size_t source : worker.sources)
    descriptors.push_back({sources_[source]->descriptor(), POLLIN | POLLERR, 0});
  // One that is gone is not asked again; what it still holds is read with the others.
  const auto look_after = [&] {
    for (size_t i = 0; i < descriptors.size(); ++i) {
      if (descriptors[i].fd >= 0 && !heed(worker.sources[i])) descriptors[i].fd = -1;
    }
  };
  const auto heed_status = [&](MeterStatus status) {
    if (status != MeterStatus::table_full) return;
    error_ = -1;
    stopping_ = true;
  };
  const int64_t period = worker.sorter == nullptr ? tick_ns : ShareSorter::span;
  int64_t next_tick = clock_ns(CLOCK_MONOTONIC) + period;
  unsigned flushes = 0;
  bool last_round = false;
  int64_t asked_to_end = 0;
  for (;;) {
    bool any = false;
    if (worker.sorter != nullptr && worker.sorter->refresh()) heed_status(take_sorted(worker));
    for (const size_t number : worker.sources) {
      FrameSource& source = *sources_[number];
      const std::vector<Frame>& frames = source.next();
      if (frames.empty()) continue;
      // What came after the end was asked for does not put it off.
      any = any || !last_round || frames.front().time < asked_to_end;
      const uint64_t before = meter.frames();
      const MeterStatus status = take(worker, frames);
      // A meter that is full takes no more; a sorter keeps them all.
      taken_[number].fetch_add(worker.sorter == nullptr ? meter.frames() - before : frames.size(),
                               std::memory_order_relaxed);
      source.release();
      heed_status(status);
    }
    if (meter.full()) stopping_ = true;
    const int64_t time = clock_ns(CLOCK_MONOTONIC);
    if (time >= next_tick) look_after();
    const unsigned asked = flushes_.load();
    if (time >= next_tick || asked != flushes) {
      // The frames decide the time; only where there are none does the clock of the host.
      const int64_t quiet = clock_ns(CLOCK_REALTIME) - clock_lag_ns;
      worker.each_meter([&](Meter& one) {
        if (!any) one.tick(quiet);
        if (prompt_ || asked != flushes) one.flush();
      });
      publish(worker);
      flushes = asked;
      next_tick = time + period;
      if (worker.sorter != nullptr) {
        // In this order: what is accounted for as out is in filled buffers by then.
        hand_over(worker);
        worker.sorter->close(any ? worker.sorter->latest()
                                 : std::max(worker.sorter->latest(), quiet));
        worker.sorter->publish();
        ready_();
      }
    }
    hand_over(worker);
    if (last_round && (!any || meter.full())) break;
    if (stopping_) {
      // What is in the rings was seen before the end: one more walk through them.
      if (!last_round) asked_to_end = clock_ns(CLOCK_REALTIME);
      last_round = true;
      if (any) continue;
    }
    if (any) continue;
    if (poll(descriptors.data(), descriptors.size(), last_round ? 60 : 50) <= 0) continue;
    unsigned gather = 0;
    bool faulty = false;
    for (size_t i = 0; i < descriptors.size(); ++i) {
      if ((descriptors[i].revents & POLLIN) != 0)
        gather = std::max(gather, sources_[worker.sources[i]]->gather_us());
      faulty = faulty || (descriptors[i].revents & POLLERR) != 0;
    }
    if (faulty) look_after();
    if (gather > 0 && !stopping_) {
      const timespec pause = {0, static_cast<long>(gather) * 1000};
      nanosleep(&pause, nullptr);
    }
  }
  worker.each_meter([](Meter& one) { static_cast<void>(one.finish()); });
  publish(worker);
  hand_over(worker);
  if (worker.sorter != nullptr) {
    worker.sorter->finish();
    worker.sorter->publish();
  }
  --running_;
  ready_();
}

}  // namespace darta
