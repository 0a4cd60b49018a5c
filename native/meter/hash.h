// Seeded hashing of Flow Keys: nobody who can send packets should be able to aim at one slot.
#pragma once
#include "meter/packet.h"

namespace darta {

/// Product of two words folded to one; the mixing step of wyhash.
[[nodiscard]] inline uint64_t fold(uint64_t a, uint64_t b) noexcept {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

/// splitmix64, to make many words of one seed.
[[nodiscard]] inline uint64_t next_random(uint64_t& state) noexcept {
  uint64_t z = state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

struct HashSeeds {
  uint64_t words[6];

  explicit HashSeeds(uint64_t seed) noexcept {
    for (uint64_t& w : words) w = next_random(seed) | 1;
  }
  [[nodiscard]] uint32_t address(uint64_t high, uint64_t low) const noexcept {
    const uint64_t h = fold(high ^ words[0], low ^ words[1]);
    return static_cast<uint32_t>(h >> 32) ^ static_cast<uint32_t>(h);
  }
  [[nodiscard]] uint32_t key(const KeyWords& k) const noexcept {
    const uint64_t h = fold(k.addresses ^ words[2], (k.ports + k.path * words[3]) ^ words[4]);
    return static_cast<uint32_t>(h >> 32) ^ static_cast<uint32_t>(h);
  }
};

/// The key with its two ends exchanged.
[[nodiscard]] inline KeyWords reversed(const KeyWords& k) noexcept {
  const uint64_t ports =
      (k.ports & ~uint64_t{0xffffffff}) | (k.ports & 0xffff) << 16 | (k.ports >> 16 & 0xffff);
  return {k.addresses << 32 | k.addresses >> 32, ports, k.path};
}

[[nodiscard]] inline Addresses reversed(const Addresses& a) noexcept {
  return {{a.words[2], a.words[3], a.words[0], a.words[1]}};
}

}  // namespace darta
