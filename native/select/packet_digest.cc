#include "select/packet_digest.h"

#include <algorithm>
#include <cstring>

#include "capture/octets.h"

namespace darta {
namespace {

uint64_t mix(uint64_t x) noexcept {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93;
  return x ^ x >> 32;
}

}  // namespace

uint64_t packet_digest(std::span<const uint8_t> frame, size_t ip) noexcept {
  uint8_t octets[digest_octets] = {};
  const size_t from = ip == SIZE_MAX ? 0 : ip;
  size_t n = from < frame.size() ? std::min(frame.size() - from, digest_octets) : 0;
  if (ip != SIZE_MAX && n >= 20) {
    const bool v4 = frame[from] >> 4 == 4;
    // What stands behind the packet fills the frame up and is nobody's.
    const size_t length = v4 ? be16(&frame[from + 2]) : be16(&frame[from + 4]) + size_t{40};
    if (length >= 20) n = std::min(n, length);
    std::memcpy(octets, frame.data() + from, n);
    if (v4) {
      octets[8] = octets[10] = octets[11] = 0;
    } else {
      octets[7] = 0;
    }
  } else if (n > 0) {
    std::memcpy(octets, frame.data() + from, n);
  }
  uint64_t digest = 0x9e3779b97f4a7c15 ^ n;
  for (size_t i = 0; i < digest_octets; i += 8) {
    digest = mix(digest ^ little(load<uint64_t>(octets + i))) + i;
  }
  return digest;
}

}  // namespace darta
