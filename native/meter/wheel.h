// When to look at which Flow: a timing wheel, and a heap for the few that are next.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

namespace darta {

/// Slots by the tick of time in which their Flow may end. Packets do not move a Flow in the wheel:
/// when its tick has come and it has lived on, it is put where it then belongs. So an entry may be
/// stale; it counts only while the Flow's own `tick` is the one that it is filed under.
class Wheel {
 public:
  /// `shift`: a tick is 2^shift nanoseconds.
  explicit Wheel(unsigned shift) : shift_(shift), buckets_(bucket_count) {}

  [[nodiscard]] uint64_t tick_of(uint64_t time) const noexcept { return time >> shift_; }
  /// First nanosecond of the tick behind the current one.
  [[nodiscard]] uint64_t next_tick_time() const noexcept { return (current_ + 1) << shift_; }
  [[nodiscard]] uint64_t current() const noexcept { return current_; }

  void start(uint64_t time) noexcept { current_ = tick_of(time); }

  /// The tick under which a Flow with this deadline is filed: not the past, not beyond the wheel.
  [[nodiscard]] uint64_t filing_tick(uint64_t deadline) const noexcept {
    return std::clamp(tick_of(deadline), current_, current_ + bucket_count - 1);
  }

  void file(uint64_t tick, uint32_t slot) {
    Bucket& bucket = buckets_[tick % bucket_count];
    if (bucket.last == none || blocks_[bucket.last].count == block_slots) add_block(bucket);
    Block& block = blocks_[bucket.last];
    block.slots[block.count++] = slot;
  }

  /// Takes all slots filed under `tick`, in the order they were filed, in groups:
  /// `visit(tick, const uint32_t* slots, uint32_t count)`, which may file them again.
  template <class Visit>
  void empty(uint64_t tick, Visit&& visit) {
    Bucket& bucket = buckets_[tick % bucket_count];
    const uint32_t first = bucket.first;
    bucket = Bucket{};
    drain(tick, first, visit);
  }

  /// Moves to `tick` and empties all that is over then.
  template <class Visit>
  void advance(uint64_t tick, Visit&& visit) {
    if (tick - current_ < bucket_count) {
      while (current_ < tick) {
        ++current_;
        empty(current_ - 1, visit);
      }
      return;
    }
    // All is over. What lives on may be filed anywhere, so the old buckets are set aside first.
    std::vector<Bucket> old(bucket_count);
    old.swap(buckets_);
    const uint64_t from = current_;
    current_ = tick;
    for (uint64_t t = from; t < from + bucket_count; ++t)
      drain(t, old[t % bucket_count].first, visit);
  }

  [[nodiscard]] size_t memory() const noexcept {
    return blocks_.capacity() * sizeof(Block) + buckets_.size() * sizeof(Bucket);
  }

  static constexpr uint64_t bucket_count = 4096;

 private:
  static constexpr uint32_t none = UINT32_MAX;
  static constexpr uint32_t block_slots = 62;

  struct Block {
    uint32_t next;
    uint32_t count;
    uint32_t slots[block_slots];
  };
  static_assert(sizeof(Block) == 256);
  struct Bucket {
    uint32_t first = none;
    uint32_t last = none;
  };

  template <class Visit>
  void drain(uint64_t tick, uint32_t at, Visit&& visit) {
    while (at != none) {
      const Block block = blocks_[at];  // a copy: visiting may move the blocks
      blocks_[at].next = free_;
      free_ = at;
      visit(tick, block.slots, block.count);
      at = block.next;
    }
  }

  void add_block(Bucket& bucket) {
    uint32_t block = free_;
    if (block != none) {
      free_ = blocks_[block].next;
    } else {
      block = static_cast<uint32_t>(blocks_.size());
      blocks_.emplace_back();
    }
    blocks_[block].next = none;
    blocks_[block].count = 0;
    (bucket.last == none ? bucket.first : blocks_[bucket.last].next) = block;
    bucket.last = block;
  }

  unsigned shift_;
  uint64_t current_ = 0;
  uint32_t free_ = none;
  std::vector<Bucket> buckets_;
  std::vector<Block> blocks_;
};

}  // namespace darta
