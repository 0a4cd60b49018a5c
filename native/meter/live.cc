#include "meter/live.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>

namespace darta {
namespace {

constexpr int64_t ms = 1'000'000;
/// How long records may wait in a partly filled buffer, for readers who wait.
constexpr int64_t flush_ns = 200 * ms;
/// How often sources are asked how they are, counters are told, and a quiet link's clock moves.
constexpr int64_t tick_ns = 500 * ms;
/// What is due so soon is done with what has woken the thread before: at a few thousand packets a
/// second the wakings cost more than the packets.
constexpr int64_t slack_ns = 120 * ms;
/// What a quiet link's clock stays behind, and how long the end is waited for, beside twice and once
/// the time that the kernel may keep a frame.
constexpr int64_t clock_lag_ns = 400 * ms;
constexpr int64_t end_lag_ns = 20 * ms;
/// A clock of the host that goes back by more was set. A meter follows it when what came before is metered: left to itself it would
/// end each Flow with its first packet until the time comes that it had.
constexpr int64_t set_back_ns = 10'000 * ms;
constexpr int64_t settled_ns = 500 * ms;

}  // namespace

LiveCapture::Worker::~Worker() {
  if (wake >= 0) close(wake);
}

std::unique_ptr<LiveCapture> LiveCapture::open(const LiveOptions& options, OpenFault& fault,
                                               size_t& source, std::string& error) {
  std::unique_ptr<LiveCapture> live(new LiveCapture());
  live->meter_options_ = options.meter;
  live->wanted_ = options.meter.max_frames;
  live->keeper_ = options.keeper;
  // Nodes of a group promise what they have handed over.
  live->prompt_ = options.prompt || options.keeper != nullptr;
  for (unsigned i = 0; i < options.threads; ++i) {
    auto worker = std::make_unique<Worker>();
    worker->meter = Meter::create(options.meter, error);
    if (!worker->meter) return nullptr;
    worker->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->wake < 0) {
      fault = {"eventfd", errno};
      return nullptr;
    }
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
  live->held_ns_ = 50 * ms;
  for (const auto& one : options.sources) {
    if (const auto* const ring = std::get_if<RingOptions>(&one))
      live->held_ns_ = std::max(live->held_ns_, ring->block_ms * ms);
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
  const uint32_t first_type = link_type(0);
  for (const auto& worker : workers_) worker->meter->expect(first_type);
  // At once, so that programs behind a pipe know what they read before the first packet comes.
  if (meter_options_.emit == Emit::pcap) queue_.push_back(PcapOutput::header(first_type));
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
  wake();
}

void LiveCapture::flush() noexcept {
  flushes_.fetch_add(1);
  wake();
}

void LiveCapture::wake() noexcept {
  for (const auto& worker : workers_) eventfd_write(worker->wake, 1);
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

size_t LiveCapture::claim(size_t frames) noexcept {
  if (meter_options_.max_frames == 0) return frames;
  uint64_t left = wanted_.load();
  while (!wanted_.compare_exchange_weak(left, left - std::min<uint64_t>(left, frames))) {
  }
  if (left <= frames) stop();
  return std::min<uint64_t>(left, frames);
}

MeterStatus LiveCapture::take(Worker& worker, const std::vector<Frame>& frames) {
  if (worker.sorter == nullptr)
    return worker.meter->take(std::span(frames).first(claim(frames.size())));
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
    stop();
    return false;
  }
  {
    const std::lock_guard lock(queue_mutex_);
    notices_.push_back({source, failed});
  }
  ready_();
  return !gone;
}

bool LiveCapture::holds(size_t source) {
  const SourceStatistics all = statistics(source);
  // An XDP socket counts what it has shown: what is on its way to it is waited for in any case.
  return sources_[source]->gather_us() > 0 || all.packets - all.drops > all.taken;
}

void LiveCapture::run(Worker& worker) {
  Meter& meter = *worker.meter;
  std::vector<pollfd> descriptors;
  for (const size_t source : worker.sources)
    descriptors.push_back({sources_[source]->descriptor(), POLLIN | POLLERR, 0});
  descriptors.push_back({worker.wake, POLLIN, 0});
  // One that is gone is not asked again; what it still holds is read with the others.
  const auto look_after = [&] {
    for (size_t i = 0; i < worker.sources.size(); ++i) {
      if (descriptors[i].fd >= 0 && !heed(worker.sources[i])) descriptors[i].fd = -1;
    }
  };
  const auto heed_status = [&](MeterStatus status) {
    if (status != MeterStatus::table_full) return;
    error_ = -1;
    stop();
  };
  const bool grouped = worker.sorter != nullptr;
  const auto satisfied = [&] {
    return meter.full() || (!grouped && meter_options_.max_frames != 0 && wanted_ == 0);
  };
  const int64_t period = grouped ? ShareSorter::span : tick_ns;
  int64_t next_tick = clock_ns(CLOCK_MONOTONIC) + period;
  int64_t last_flush = 0;
  /// What the host's clock is ahead of the one that is never set, and when a meter follows it back; 0: no need.
  int64_t ahead = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
  int64_t set_back_at = 0;
  unsigned flushes = 0;
  bool last_round = false;
  int64_t asked_to_end = 0;
  int64_t ahead_at_end = 0;
  bool set_back_since_end = false;
  int64_t end_by = 0;
  // Of each source: frames came that are from after the end.
  std::vector<bool> through(worker.sources.size(), false);
  for (;;) {
    bool any = false;
    bool left = false;
    if (worker.sorter != nullptr && worker.sorter->refresh()) heed_status(take_sorted(worker));
    for (size_t i = 0; i < worker.sources.size(); ++i) {
      const size_t number = worker.sources[i];
      FrameSource& source = *sources_[number];
      const std::vector<Frame>& frames = source.next();
      if (frames.empty()) {
        left = left || (last_round && !through[i] && holds(number));
        continue;
      }
      // What came after the end was asked for does not put it off.
      through[i] = last_round && (frames.front().time >= asked_to_end || set_back_since_end);
      any = any || !through[i];
      const uint64_t before = meter.frames();
      const MeterStatus status = take(worker, frames);
      // A meter that is full takes no more; a sorter keeps them all.
      taken_[number].fetch_add(worker.sorter == nullptr ? meter.frames() - before : frames.size(),
                               std::memory_order_relaxed);
      source.release();
      heed_status(status);
    }
    if (satisfied()) stop();
    const int64_t time = clock_ns(CLOCK_MONOTONIC);
    const int64_t soon = any && !grouped ? time + slack_ns : time;
    const unsigned asked = flushes_.load();
    const bool due = soon >= next_tick || asked != flushes;
    if (soon >= next_tick) look_after();
    const int64_t day = clock_ns(CLOCK_REALTIME);
    // The frames decide the time; only where there are none does the clock of the host.
    const int64_t quiet = day - clock_lag_ns - 2 * held_ns_;
    if (ahead - (day - time) > set_back_ns) set_back_at = time + 2 * held_ns_ + settled_ns;
    ahead = day - time;
    // Frames that come then may seem to be from before it for hours.
    set_back_since_end = last_round && ahead_at_end - ahead > set_back_ns;
    if (set_back_at != 0 && time >= set_back_at) {
      set_back_at = 0;
      worker.each_meter([&](Meter& one) {
        if (one.clock() - day > set_back_ns) one.set_back(quiet);
      });
    }
    if (due && !any) worker.each_meter([&](Meter& one) { one.tick(quiet); });
    bool pending = false;
    if (prompt_) {
      worker.each_meter([&](const Meter& one) { pending = pending || one.pending(); });
    }
    // What comes seldom need not wait for more.
    if ((pending && time >= last_flush + flush_ns) || asked != flushes || (grouped && due)) {
      worker.each_meter([](Meter& one) { one.flush(); });
      last_flush = time;
      pending = false;
    }
    if (due) {
      publish(worker);
      flushes = asked;
      next_tick = time + period;
      if (grouped) {
        // In this order: what is accounted for as out is in filled buffers by then.
        hand_over(worker);
        // No later than now: before a clock was set back frames came of a time that is yet to come.
        const int64_t latest = std::min(worker.sorter->latest(), day);
        worker.sorter->close(any ? latest : std::max(latest, quiet));
        worker.sorter->publish();
        ready_();
      }
    }
    hand_over(worker);
    if (last_round && (satisfied() || (!any && (!left || time >= end_by)))) break;
    if (stopping_ && !last_round) {
      // What is in the rings was seen before the end: they are walked through until it is all there.
      asked_to_end = clock_ns(CLOCK_REALTIME);
      ahead_at_end = asked_to_end - clock_ns(CLOCK_MONOTONIC);
      end_by = time + held_ns_ + end_lag_ns;
      last_round = true;
      continue;
    }
    if (any) continue;
    int64_t until = last_round ? end_by : next_tick;
    if (pending) until = std::min(until, last_flush + flush_ns);
    const int64_t wait = std::max<int64_t>((until - time + ms - 1) / ms, 1);
    if (poll(descriptors.data(), descriptors.size(), static_cast<int>(wait)) <= 0) continue;
    if (eventfd_t ignored; (descriptors.back().revents & POLLIN) != 0)
      static_cast<void>(eventfd_read(worker.wake, &ignored));
    unsigned gather = 0;
    bool faulty = false;
    for (size_t i = 0; i < worker.sources.size(); ++i) {
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
