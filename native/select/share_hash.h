// The hash that divides a link between capture nodes; src/metering/share-hash.ts says what it is
// and why. Both and the classic BPF program agree bit for bit.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace darta {

enum class ShareAddresses : uint8_t { both, source, destination };

struct ShareSelector {
  ShareAddresses addresses = ShareAddresses::both;
  bool protocol = true;
  bool ports = false;
};

inline constexpr uint32_t share_slots = 4096;

/// Hash slot, 0..4095, of a frame as captured. Nothing is assumed of `frame`.
[[nodiscard]] uint32_t share_slot(std::span<const uint8_t> frame, uint32_t link_type,
                                  const ShareSelector& selector, uint32_t seed) noexcept;

/// Where a frame belongs, and where its IP header is.
struct SharePlace {
  uint32_t slot;
  /// SIZE_MAX: it has none that the hash can find.
  size_t ip;
};

/// As share_slot, with what was found on the way.
[[nodiscard]] SharePlace share_place(std::span<const uint8_t> frame, uint32_t link_type,
                                     const ShareSelector& selector, uint32_t seed) noexcept;

}  // namespace darta
