// Makes results out of rows of group tables: src/record/compose-rows.ts says what a list and a program are.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace darta {

struct Composition {
  std::span<const uint8_t> rows;
  std::span<const int32_t> list;
  std::span<const int32_t> code;
  std::span<const uint8_t> texts;
  std::span<uint8_t> out;
  std::span<uint32_t> ends;
};

/// False: a row, text or program is not there, or there is no room for a result.
[[nodiscard]] bool compose_rows(const Composition& given, size_t to) noexcept;

}  // namespace darta
