// Prefix-preserving permutation of addresses with the AES instructions of the processor:
// src/record/crypto-pan-kernel.ts says what it takes.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace darta {

class CryptoPan {
 public:
  /// Whether this processor has the instructions.
  [[nodiscard]] static bool supported() noexcept;

  /// `key` has 32 octets.
  explicit CryptoPan(std::span<const uint8_t> key);

  /// Changes fields in place: `spans` holds start, records, octets of a record, offset and length of the field (4, 6 or
  /// 16). False: one leaves the octets, or has another length.
  [[nodiscard]] bool run(std::span<uint8_t> octets, std::span<const uint32_t> spans) noexcept;

 private:
  struct Wide {
    uint64_t high;
    uint64_t low;
    bool operator==(const Wide&) const = default;
  };
  struct Entry4 {
    uint32_t address;
    uint32_t value;
  };
  struct Entry6 {
    Wide address;
    Wide value;
  };

  [[nodiscard]] Wide flips(Wide address, unsigned bits) const noexcept;
  [[nodiscard]] uint32_t ipv4(uint32_t address) noexcept;
  [[nodiscard]] Wide ipv6(Wide address) noexcept;

  /// Round keys, 16 octets each.
  alignas(16) uint8_t keys_[11][16];
  Wide pad_{};
  std::vector<Entry4> cache4_;
  std::vector<Entry6> cache6_;
};

}  // namespace darta
