// Decides which records pass: src/record/filter-kernel.ts says what a program and a span are.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace darta {

class Filter {
 public:
  /// Number of a new program; -1 if the numbers do not fit each other.
  [[nodiscard]] int64_t program(std::span<const uint32_t> code);

  /// Runs spans of 4 words; `passed` becomes the records of each that pass. Records that do, or with `failing` those
  /// that do not, are copied into `into` unless that is empty. Nothing: a span leaves the octets or names no program,
  /// or there is no room.
  [[nodiscard]] std::optional<size_t> run(std::span<const uint8_t> octets,
                                          std::span<const uint32_t> spans,
                                          std::span<uint32_t> passed, std::span<uint8_t> into,
                                          bool failing) const noexcept;

  /// Takes Messages apart and keeps the records that pass, moved together where they are: `sift` of that file says how.
  /// Octet of the first Message that was left; nothing if the numbers do not fit each other.
  [[nodiscard]] std::optional<size_t> sift(std::span<uint8_t> octets, size_t from,
                                           std::span<const uint32_t> wanted,
                                           std::span<uint32_t> sequence, std::span<uint32_t> answer,
                                           std::span<uint32_t> runs) const;

 private:
  struct Step {
    uint32_t offset;
    uint32_t length;
    uint32_t mask;
    /// The only range of a number of up to 8 octets, as `value - low <= width`, where `value` is `(8 octets from window >> shift) & bits`.
    bool single;
    uint32_t window;
    uint32_t shift;
    uint64_t bits;
    uint64_t low;
    uint64_t width;
    const uint32_t* ranges;
    uint32_t count;
    const uint32_t* index;
    uint32_t then;
    uint32_t otherwise;
  };

  struct Program {
    std::vector<uint32_t> code;
    size_t least = 0;
    std::vector<Step> steps;
  };

  [[nodiscard]] static bool holds(const Step& step, const uint8_t* record) noexcept;
  [[nodiscard]] static uint64_t holding(const Step& step, const uint8_t* record, size_t stride,
                                        uint64_t asked, size_t count) noexcept;
  [[nodiscard]] static bool passes(const Program& program, const uint8_t* record) noexcept;
  [[nodiscard]] static uint64_t passing(const Program& program, const uint8_t* record,
                                        size_t stride, size_t count) noexcept;

  std::vector<std::unique_ptr<Program>> programs_;
};

}  // namespace darta
