#include "kernel/compose.h"

#include <cstring>

#include "capture/octets.h"

namespace darta {
namespace {

constexpr size_t list_words = 5;
constexpr size_t step_words = 3;
enum What : int32_t { kOctets = 0, kOtherOctets = 1, kColumns = 2, kOtherColumns = 3, kText = 4 };

/// Octets from `start` to `start + length`; nullptr if they are not all there.
const uint8_t* part_of(std::span<const uint8_t> octets, int64_t start, int64_t length) noexcept {
  if (start < 0 || length < 0 || start + length > static_cast<int64_t>(octets.size()))
    return nullptr;
  return octets.data() + start;
}

void copy_columns(uint8_t* to, const uint8_t* from, size_t octets) noexcept {
  for (size_t i = 0; i < octets; i += 8) put_be64(to + i, load<uint64_t>(from + i));
}

}  // namespace

bool compose_rows(const Composition& given, size_t to) noexcept {
  const auto& [rows, list, code, texts, out, ends] = given;
  const size_t count = list.size() / list_words;
  if (ends.size() < count || to > out.size()) return false;
  uint8_t* at = out.data() + to;
  uint8_t* const end = out.data() + out.size();
  for (size_t i = 0; i < count; ++i) {
    const int32_t* const entry = &list[list_words * i];
    const int64_t row = entry[0], other = entry[1];
    if (entry[2] < 0 || static_cast<size_t>(entry[2]) >= code.size()) return false;
    const auto program = code.subspan(static_cast<size_t>(entry[2]));
    if (program[0] < 0 || static_cast<size_t>(program[0]) > (program.size() - 1) / step_words)
      return false;
    const int32_t* step = &program[1];
    for (int32_t left = program[0]; left > 0; --left, step += step_words) {
      const int32_t what = step[0], from = step[1], length = step[2];
      const int64_t begin = what == kOtherOctets || what == kOtherColumns ? other : row;
      const uint8_t* const source =
          what == kText ? part_of(texts, from, length) : part_of(rows, begin + from, length);
      if (source == nullptr || from < 0 || length > end - at) return false;
      const auto octets = static_cast<size_t>(length);
      if (what == kColumns || what == kOtherColumns) {
        if (octets % 8 != 0) return false;
        copy_columns(at, source, octets);
      } else if (octets > 0) {
        copy_few(at, source, octets);
      }
      at += octets;
    }
    const uint8_t* const text = part_of(texts, entry[3], entry[4]);
    if (text == nullptr || entry[4] > end - at) return false;
    if (entry[4] > 0) std::memcpy(at, text, static_cast<size_t>(entry[4]));
    at += entry[4];
    ends[i] = static_cast<uint32_t>(at - out.data());
  }
  return true;
}

}  // namespace darta
