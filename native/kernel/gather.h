// Takes Messages of a stream apart in one go: src/record/gather-kernel.ts says what goes in and out.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace darta {

/// A Template whose records have one size.
struct PlainTemplate {
  uint32_t id;
  uint32_t octets;
};

/// Records of one Template, by its number, that lie one behind the other.
struct RecordRun {
  uint32_t of;
  uint32_t from;
  uint32_t octets;
};

constexpr size_t most_plain_templates = 64;
/// Words of an answer that `list_messages` sets: Messages, records, export time.
constexpr size_t listed_words = 3;

/// Lists the records of Messages of Observation Domain `domain` from octet `from` on, in their order, as long as nothing about
/// them has to be decided and there are no more than `most` runs; keeps `sequence`. Octet of the first Message that was left.
[[nodiscard]] size_t list_messages(std::span<const uint8_t> octets, size_t from, uint32_t domain,
                                   std::span<const PlainTemplate> templates,
                                   std::span<uint32_t> sequence, std::span<uint32_t> answer,
                                   std::vector<RecordRun>& runs, size_t most);

/// Whether `sequence` is one that `list_messages` can go on with.
[[nodiscard]] bool is_sequence(std::span<const uint32_t> sequence) noexcept;

/// Octet of the first Message from `from` on that was left; nothing if the numbers do not fit each other.
[[nodiscard]] std::optional<size_t> gather_messages(std::span<uint8_t> octets, size_t from,
                                                    std::span<const uint32_t> program,
                                                    std::span<uint32_t> sequence,
                                                    std::span<uint32_t> answer);

}  // namespace darta
