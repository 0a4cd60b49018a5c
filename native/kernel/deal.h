// Deals records to lanes by the hash of a key: src/record/deal-kernel.ts says what a program and a table are.
#pragma once
#include <cstdint>
#include <span>

namespace darta {

struct DealProgram {
  size_t record_octets;
  std::span<const uint8_t> key;
  size_t key_octets;
  size_t half;
  /// from, length, to, mask
  std::span<const int32_t> moves;
};

struct DealTable {
  std::span<const uint16_t> lanes;
  std::span<const uint16_t> ring;
  uint32_t& cursor;
  std::span<uint32_t> loads;
};

inline constexpr unsigned kDealSlotBits = 14;
inline constexpr uint16_t kByTurn = 0xffff;

/// False: the numbers of the program do not fit each other, a span leaves the octets, there is no room for the records, or a
/// slot names no lane.
[[nodiscard]] bool deal_records(std::span<const uint8_t> octets, std::span<const int32_t> spans,
                                const DealProgram& program, uint32_t seed, DealTable& table,
                                std::span<uint8_t> into, std::span<uint32_t> counts);

}  // namespace darta
