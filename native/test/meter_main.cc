// Meters captures without Node, mapped and then in pieces of random sizes, and compares the two; for sanitizers
// and profilers. Prints the counters.
//
//   meter-test [--seed N] [--biflow] [--decap] [--packets] [--pcap] [--everything] [--max-flows N]
//              [--once] FILE...
//
// --once: mapped only, and records are counted but not looked at, so that the time is the meter's.
#include <ctime>

#include "test/check.h"

using namespace darta;

namespace {

struct Run {
  MeterStatus status = MeterStatus::ok;
  MeterCounters counters;
  check::Sums sums;
};

std::unique_ptr<Meter> create(const MeterOptions& options) {
  std::string error;
  auto meter = Meter::create(options, error);
  if (!meter) {
    std::fprintf(stderr, "%s\n", error.c_str());
    std::exit(1);
  }
  return meter;
}

void finish(Meter& meter, const MeterOptions& options, Run& run) {
  const MeterStatus status = check::finish(meter);
  if (run.status == MeterStatus::ok) run.status = status;
  run.sums.drain(meter, options);
  if (run.sums.look) check::check_balance(meter, options, run.sums);
  run.counters = meter.counters();
}

Run mapped(const MeterOptions& options, const char* path, bool look) {
  const auto meter = create(options);
  Run run;
  run.sums.look = look;
  MeterStatus before = MeterStatus::ok;
  if (const int error = meter->open(path, before)) {
    std::fprintf(stderr, "%s: %s\n", path, std::strerror(error));
    std::exit(1);
  }
  for (bool done = false; !done;) {
    run.status = meter->step(size_t{1} << 20, done);
    run.sums.drain(*meter, options);
    check::check_bounds(*meter, options);
  }
  finish(*meter, options, run);
  return run;
}

Run in_pieces(const MeterOptions& options, const char* path, uint64_t seed) {
  const auto meter = create(options);
  Run run;
  std::FILE* const file = std::fopen(path, "rb");
  if (file == nullptr) std::exit(1);
  for (;;) {
    const size_t n = 1 + next_random(seed) % (size_t{1} << next_random(seed) % 17);
    const std::unique_ptr<uint8_t[]> piece(new uint8_t[n]);
    const size_t got = std::fread(piece.get(), 1, n, file);
    if (got == 0) break;
    const MeterStatus status = meter->push(Octets(piece.get(), got));
    if (run.status == MeterStatus::ok) run.status = status;
    run.sums.drain(*meter, options);
    check::check_bounds(*meter, options);
  }
  std::fclose(file);
  finish(*meter, options, run);
  return run;
}

bool same(const std::vector<Reason>& a, const std::vector<Reason>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Reason& x, const Reason& y) {
    return x.name == y.name && x.count == y.count && x.first_offset == y.first_offset;
  });
}

void compare(const Run& a, const Run& b) {
  DARTA_CHECK(a.status == b.status);
  DARTA_CHECK(a.counters.frames == b.counters.frames);
  DARTA_CHECK(a.counters.ip_packets == b.counters.ip_packets);
  DARTA_CHECK(a.counters.ip_octets == b.counters.ip_octets);
  DARTA_CHECK(a.counters.lost_octets == b.counters.lost_octets);
  DARTA_CHECK(a.counters.flows_created == b.counters.flows_created);
  DARTA_CHECK(a.counters.flows_evicted == b.counters.flows_evicted);
  DARTA_CHECK(a.counters.first_time == b.counters.first_time);
  DARTA_CHECK(a.counters.last_time == b.counters.last_time);
  DARTA_CHECK(same(a.counters.skipped, b.counters.skipped));
  DARTA_CHECK(same(a.counters.lost, b.counters.lost));
  DARTA_CHECK(a.sums.hash == b.sums.hash);
}

void print(const char* path, const Run& run, double seconds) {
  const auto number = [](uint64_t value) { return static_cast<unsigned long long>(value); };
  std::printf("%s: %llu frames, %llu metered, %llu octets, %llu records, %.3f s\n", path,
              number(run.counters.frames), number(run.counters.ip_packets),
              number(run.counters.ip_octets), number(run.sums.records), seconds);
  for (const Reason& reason : run.counters.skipped)
    std::printf("  skipped %s %llu\n", reason.name.c_str(), number(reason.count));
  for (const Reason& reason : run.counters.lost) {
    std::printf("  lost %s %llu from octet %llu\n", reason.name.c_str(), number(reason.count),
                number(reason.first_offset));
  }
}

}  // namespace

int main(int count, char** arguments) {
  MeterOptions options;
  uint64_t seed = static_cast<uint64_t>(std::time(nullptr));
  bool everything = false, once = false;
  int at = 1;
  for (; at < count && arguments[at][0] == '-'; ++at) {
    const std::string option = arguments[at];
    const auto value = [&] {
      return at + 1 < count ? std::strtoull(arguments[++at], nullptr, 10) : 0;
    };
    if (option == "--seed") seed = value();
    if (option == "--max-flows") options.max_flows = value();
    if (option == "--packets") options.emit = Emit::packets;
    if (option == "--pcap") options.emit = Emit::pcap;
    options.biflow = options.biflow || option == "--biflow";
    options.decap = options.decap || option == "--decap";
    everything = everything || option == "--everything";
    once = once || option == "--once";
  }
  check::choose_fields(options, everything);
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  for (; at < count; ++at) {
    const clock_t begun = std::clock();
    const Run run = mapped(options, arguments[at], !once);
    const double seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
    if (!once) compare(run, in_pieces(options, arguments[at], seed++));
    print(arguments[at], run, seconds);
  }
  return 0;
}
