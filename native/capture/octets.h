// Loads and stores of integers at any address, in either byte order.
#pragma once
#include <bit>
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
[[nodiscard]] inline uint16_t le16(const uint8_t* at) noexcept {
  return little(load<uint16_t>(at));
}

inline void put_be16(uint8_t* at, uint16_t v) noexcept { store(at, network(v)); }
inline void put_be32(uint8_t* at, uint32_t v) noexcept { store(at, network(v)); }
inline void put_be64(uint8_t* at, uint64_t v) noexcept { store(at, network(v)); }
inline void put_le16(uint8_t* at, uint16_t v) noexcept { store(at, little(v)); }
inline void put_le32(uint8_t* at, uint32_t v) noexcept { store(at, little(v)); }

#define DARTA_LIKELY(x) __builtin_expect(!!(x), 1)
#define DARTA_UNLIKELY(x) __builtin_expect(!!(x), 0)

}  // namespace darta
