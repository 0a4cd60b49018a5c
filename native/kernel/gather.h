// Takes Messages of a stream apart in one go: src/record/gather-kernel.ts says what goes in and out.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace darta {

/// Octet of the first Message from `from` on that was left; nothing if the numbers do not fit each other.
[[nodiscard]] std::optional<size_t> gather_messages(std::span<uint8_t> octets, size_t from,
                                                    std::span<const uint32_t> program,
                                                    std::span<uint32_t> sequence,
                                                    std::span<uint32_t> answer);

}  // namespace darta
