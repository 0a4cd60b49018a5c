#include "kernel/deal.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

#include "capture/octets.h"

namespace darta {
namespace {

constexpr size_t kMostKeyOctets = 1024;
constexpr size_t kAhead = 16;

static_assert(std::endian::native == std::endian::little);

uint32_t hash_key(const uint8_t* key, size_t octets, uint32_t seed) noexcept {
  uint32_t h = seed ^ static_cast<uint32_t>(octets);
  for (size_t at = 0; at < octets; at += 4) {
    const uint32_t k = std::rotl(load<uint32_t>(key + at) * 0xcc9e2d51U, 15) * 0x1b873593U;
    h = std::rotl(h ^ k, 13) * 5 + 0xe6546b64U;
  }
  h = (h ^ (h >> 16)) * 0x85ebca6bU;
  h = (h ^ (h >> 13)) * 0xc2b2ae35U;
  return h ^ (h >> 16);
}

bool fits(const DealProgram& program) noexcept {
  const size_t room = program.key.size();
  if (program.record_octets == 0 || room > kMostKeyOctets || room % 4 != 0 ||
      program.key_octets > room || 2 * program.half > room || program.moves.size() % 4 != 0) {
    return false;
  }
  for (size_t m = 0; m < program.moves.size(); m += 4) {
    const auto from = program.moves[m];
    const auto length = program.moves[m + 1];
    const auto to = program.moves[m + 2];
    if (from < 0 || length < 0 || to < 0) return false;
    if (static_cast<size_t>(from) + static_cast<size_t>(length) > program.record_octets ||
        static_cast<size_t>(to) + static_cast<size_t>(length) > room) {
      return false;
    }
  }
  return true;
}

/// `key` holds the constants of the program, or the key of another record.
void build_key(const DealProgram& program, const uint8_t* record, uint8_t* key) noexcept {
  // Where halves change places the constants between their values do too.
  if (program.half > 0) std::memcpy(key, program.key.data(), program.key.size());
  for (size_t m = 0; m < program.moves.size(); m += 4) {
    const auto length = static_cast<size_t>(program.moves[m + 1]);
    if (length == 0) continue;
    uint8_t* to = key + program.moves[m + 2];
    copy_few(to, record + program.moves[m], length);
    to[length - 1] &= static_cast<uint8_t>(program.moves[m + 3]);
  }
  if (program.half > 0 && std::memcmp(key, key + program.half, program.half) > 0) {
    std::swap_ranges(key, key + program.half, key + program.half);
  }
}

/// Copies a record: 16 octets at a time, the last 16 of which may overlap those before; records are mostly 50 to 120
/// octets long, where a call of memcpy costs as much as the copy.
void copy_record(uint8_t* to, const uint8_t* from, size_t size) noexcept {
  if (size < 16 || size > 256) {
    std::memcpy(to, from, size);
    return;
  }
  for (size_t at = 0; at + 16 < size; at += 16) std::memcpy(to + at, from + at, 16);
  std::memcpy(to + size - 16, from + size - 16, 16);
}

}  // namespace

bool deal_records(std::span<const uint8_t> octets, std::span<const int32_t> spans,
                  const DealProgram& program, uint32_t seed, DealTable& table,
                  std::span<uint8_t> into, std::span<uint32_t> counts) {
  constexpr size_t kSlots = size_t{1} << kDealSlotBits;
  if (!fits(program) || spans.size() % 2 != 0 || table.lanes.size() < kSlots ||
      table.loads.size() < kSlots) {
    return false;
  }
  const size_t size = program.record_octets;
  size_t total = 0;
  for (size_t s = 0; s < spans.size(); s += 2) {
    if (spans[s] < 0 || spans[s + 1] < 0) return false;
    const auto start = static_cast<size_t>(spans[s]);
    const auto records = static_cast<size_t>(spans[s + 1]);
    if (start > octets.size() || records > (octets.size() - start) / size) return false;
    total += records;
  }
  if (total > into.size() / size) return false;

  static thread_local std::vector<uint16_t> lanes;
  if (lanes.size() < total) lanes.resize(total);
  std::fill(counts.begin(), counts.end(), 0);
  const size_t room = program.key.size();
  // Keys are built some records ahead of their hashes: words that were just written octet by octet cannot be read at once.
  alignas(8) uint8_t keys[kAhead * kMostKeyOctets];
  for (size_t k = 0; k < kAhead; k++) std::memcpy(keys + k * room, program.key.data(), room);
  uint16_t* lane = lanes.data();
  for (size_t s = 0; s < spans.size(); s += 2) {
    const uint8_t* record = octets.data() + spans[s];
    for (size_t left = static_cast<size_t>(spans[s + 1]); left > 0;) {
      const size_t n = std::min(left, kAhead);
      left -= n;
      for (size_t k = 0; k < n; k++, record += size) build_key(program, record, keys + k * room);
      for (size_t k = 0; k < n; k++) {
        const uint32_t slot =
            hash_key(keys + k * room, program.key_octets, seed) >> (32 - kDealSlotBits);
        table.loads[slot]++;
        uint16_t to = table.lanes[slot];
        if (to == kByTurn && !table.ring.empty()) {
          const size_t turn = table.cursor % table.ring.size();
          table.cursor = static_cast<uint32_t>(turn + 1);
          to = table.ring[turn];
        }
        if (to >= counts.size()) return false;
        *lane++ = to;
        counts[to]++;
      }
    }
  }

  std::vector<uint8_t*> places(counts.size());
  uint8_t* place = into.data();
  for (size_t l = 0; l < counts.size(); l++) {
    places[l] = place;
    place += counts[l] * size;
  }
  lane = lanes.data();
  for (size_t s = 0; s < spans.size(); s += 2) {
    const uint8_t* record = octets.data() + spans[s];
    for (int32_t i = 0; i < spans[s + 1]; i++, record += size) {
      uint8_t*& to = places[*lane++];
      copy_record(to, record, size);
      to += size;
    }
  }
  return true;
}

}  // namespace darta
