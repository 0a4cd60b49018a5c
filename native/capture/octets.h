// Loads and stores of integers at any address, in either byte order.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace darta {

using Octets = std::span<const uint8_t>;

template <class T>
[[nodiscard]] inline T load(const uint8_t* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <class T>
inline void store(uint8_t* at, T value) noexcept {
  std::memcpy(at, &value, sizeof value);
}

[[nodiscard]] constexpr uint8_t swapped(uint8_t v) noexcept { return v; }
[[nodiscard]] constexpr uint16_t swapped(uint16_t v) noexcept { return __builtin_bswap16(v); }
[[nodiscard]] constexpr uint32_t swapped(uint32_t v) noexcept { return __builtin_bswap32(v); }
[[nodiscard]] constexpr uint64_t swapped(uint64_t v) noexcept { return __builtin_bswap64(v); }

/// Host order from or to network order.
template <class T>
[[nodiscard]] constexpr T network(T v) noexcept {
  return std::endian::native == std::endian::little ? swapped(v) : v;
}

/// Host order from or to little-endian.
template <class T>
[[nodiscard]] constexpr T little(T v) noexcept {
  return std::endian::native == std::endian::little ? v : swapped(v);
}

[[nodiscard]] inline uint16_t be16(const uint8_t* at) noexcept {
  return network(load<uint16_t>(at));
}
[[nodiscard]] inline uint32_t be32(const uint8_t* at) noexcept {
  return network(load<uint32_t>(at));
}
[[nodiscard]] inline uint64_t be64(const uint8_t* at) noexcept {
  return network(load<uint64_t>(at));
}
[[nodiscard]] inline uint16_t le16(const uint8_t* at) noexcept {
  return little(load<uint16_t>(at));
}

/// Unsigned integer of 1..8 octets in network order.
[[nodiscard]] inline uint64_t be_number(const uint8_t* at, size_t length) noexcept {
  switch (length) {
    case 1:
      return *at;
    case 2:
      return be16(at);
    case 4:
      return be32(at);
    case 8:
      return be64(at);
    default: {
      uint64_t value = 0;
      for (size_t i = 0; i < length; i++) value = value << 8 | at[i];
      return value;
    }
  }
}

inline void put_be16(uint8_t* at, uint16_t v) noexcept { store(at, network(v)); }
inline void put_be32(uint8_t* at, uint32_t v) noexcept { store(at, network(v)); }
inline void put_be64(uint8_t* at, uint64_t v) noexcept { store(at, network(v)); }
inline void put_le16(uint8_t* at, uint16_t v) noexcept { store(at, little(v)); }
inline void put_le32(uint8_t* at, uint32_t v) noexcept { store(at, little(v)); }

/// Copies a few octets: addresses and ports have fixed lengths, for which the compiler knows better than a call.
inline void copy_few(uint8_t* to, const uint8_t* from, size_t length) noexcept {
  switch (length) {
    case 1:
      *to = *from;
      return;
    case 2:
      std::memcpy(to, from, 2);
      return;
    case 4:
      std::memcpy(to, from, 4);
      return;
    case 6:
      std::memcpy(to, from, 6);
      return;
    case 8:
      std::memcpy(to, from, 8);
      return;
    case 16:
      std::memcpy(to, from, 16);
      return;
    default:
      std::memcpy(to, from, length);
  }
}

#define DARTA_LIKELY(x) __builtin_expect(!!(x), 1)
#define DARTA_UNLIKELY(x) __builtin_expect(!!(x), 0)

}  // namespace darta
