// libFuzzer target: the first octets choose options and cuts, the rest is a capture that comes in pieces.
#include "test/check.h"

using namespace darta;

namespace {

constexpr size_t head = 12;

MeterOptions options_of(const uint8_t* b) {
  MeterOptions o;
  o.emit = (b[0] & 3) == 1 ? Emit::packets : (b[0] & 3) == 2 ? Emit::pcap : Emit::flows;
  o.biflow = b[0] & 4;
  o.decap = b[0] & 8;
  o.on_full = static_cast<OnFull>((b[0] >> 5) % 3);
  const uint32_t chosen = b[1] | static_cast<uint32_t>(b[2] & 7) << 8;
  if (chosen != 0) o.key = chosen;
  if (o.biflow) {  // both ends
    o.key |= key_src | key_dst;
    for (const uint32_t both : {key_srcport | key_dstport, key_srcmac | key_dstmac})
      if (o.key & both) o.key |= both;
  }
  static constexpr int64_t second = 1'000'000'000;
  static constexpr int64_t longest = INT64_MAX / 1'000'000 * 1'000'000;
  static constexpr int64_t timeouts[8] = {0,           second / 1000, second / 2,     5 * second,
                                          60 * second, 300 * second,  86400 * second, longest};
  o.idle_timeout = timeouts[b[3] & 7];
  o.active_timeout = timeouts[b[3] >> 3 & 7];
  o.tcp_fin_timeout = timeouts[b[4] & 7];
  o.tcp_rst_timeout = timeouts[b[4] >> 3 & 7];
  o.max_flows = b[5] & 15;
  o.max_memory = b[5] & 16 ? 4096 : 0;
  o.max_frames = b[5] & 32 ? b[6] : 0;
  o.section_octets = static_cast<uint32_t>(b[7]) << (b[5] >> 6) * 3;
  o.seed = b[8];
  check::choose_fields(o, b[0] & 16);
  return o;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < head) return 0;
  const MeterOptions options = options_of(data);
  std::string error;
  const auto meter = Meter::create(options, error);
  DARTA_CHECK(meter != nullptr);
  uint64_t random = data[9] | static_cast<uint64_t>(data[10]) << 8;
  const size_t largest = size_t{1} << data[11] % 18;
  const bool several = data[11] & 32;
  check::Sums sums;
  for (size_t at = head; at < size;) {
    const size_t n = std::min(size - at, 1 + next_random(random) % largest);
    // A copy of just the piece, so that reading beyond it is seen.
    const std::unique_ptr<uint8_t[]> piece(new uint8_t[n]);
    std::memcpy(piece.get(), data + at, n);
    (void)meter->push(Octets(piece.get(), n));
    sums.drain(*meter, options);
    if (at % 16 == 0) check::check_bounds(*meter, options);
    at += n;
    if (next_random(random) % 64 == 0) meter->flush();
    if (several && next_random(random) % 256 == 0) (void)meter->end_capture();
  }
  (void)check::finish(*meter);
  sums.drain(*meter, options);
  check::check_balance(*meter, options, sums);
  return 0;
}
