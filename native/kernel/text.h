// Records to text: JSON objects and rows of cells. The twin of src/formats/text/, octet for octet.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace darta {

/// Why rendering stopped.
enum class TextStop : uint32_t {
  /// All spans are written.
  kDone = 0,
  /// The output might not hold the next record.
  kFull = 1,
  /// The next record says more than its values do: the caller writes it.
  kPlain = 2,
  /// A span or its program does not lie within what was given.
  kOutside = 3,
};

/// Where rendering goes on.
struct TextProgress {
  /// Span.
  uint32_t span;
  /// Record in the span.
  uint32_t record;
  /// Octet in the input where that record begins; counts only for records of variable length, from the second
  /// on.
  uint32_t octet;
  /// Octets of output written.
  uint32_t written;
};

/// Words of a span: octet of its first record, records, word of its program, export time, domain, sequence
/// number.
constexpr size_t kSpanWords = 6;

/// Writes the records of `spans` until the output is full. Programs are made by src/formats/text/program.ts,
/// whose comments say what they hold; their numbers are trusted to fit each other. Nothing is assumed of
/// `octets`.
[[nodiscard]] TextStop render_text(std::span<const uint32_t> programs,
                                   std::span<const uint8_t> octets, std::span<const uint32_t> spans,
                                   std::span<uint8_t> output, TextProgress& progress) noexcept;

}  // namespace darta
