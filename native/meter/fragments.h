// The memory of first fragments, so that later ones are counted in their Flow. docs/METERING.md
// section 2.3.
#pragma once
#include <memory>

#include "meter/hash.h"

namespace darta {

struct FragmentKey {
  Addresses addresses;
  uint32_t identification;
  /// 0 for IPv6, where it may differ between fragments.
  uint8_t protocol;
  uint8_t version;

  bool operator==(const FragmentKey&) const noexcept = default;
};

/// What later fragments take over from the first one.
struct FragmentOrigin {
  /// Source and destination port as in the packet.
  uint32_t ports;
  uint8_t protocol;
};

class FirstFragments {
 public:
  static constexpr size_t capacity = 4096;
  static constexpr int64_t lifetime = 30'000'000'000;

  explicit FirstFragments(HashSeeds seeds) noexcept : seeds_(seeds) {}

  /// Remembers a first fragment; one seen before is made anew, the oldest makes room.
  void remember(const FragmentKey& key, FragmentOrigin origin, int64_t clock);
  /// The origin of a later fragment, or nullptr.
  [[nodiscard]] const FragmentOrigin* find(const FragmentKey& key, int64_t clock) const noexcept;

 private:
  static constexpr uint16_t none = 0xffff;
  static constexpr size_t buckets = 2 * capacity;

  struct Entry {
    FragmentKey key;
    FragmentOrigin origin;
    int64_t made;
    uint16_t in_bucket;
    /// Neighbours by age.
    uint16_t older;
    uint16_t newer;
  };
  struct Table {
    Entry entries[capacity];
    uint16_t heads[buckets];
  };

  [[nodiscard]] size_t bucket_of(const FragmentKey& key) const noexcept;
  [[nodiscard]] uint16_t lookup(const FragmentKey& key) const noexcept;
  void unlink_from_bucket(uint16_t index) noexcept;
  void unlink_from_ages(uint16_t index) noexcept;

  HashSeeds seeds_;
  /// Most captures have no fragments: made with the first one.
  std::unique_ptr<Table> table_;
  uint16_t used_ = 0;
  uint16_t oldest_ = none;
  uint16_t newest_ = none;
};

}  // namespace darta
