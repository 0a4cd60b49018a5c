// Where Flows live: records in slots, an index to find them by hash. No policy here.
#pragma once
#include <vector>

#include "meter/hash.h"
#include "meter/memory.h"

namespace darta {

/// What every Flow has: one cache line.
struct alignas(64) Flow {
  KeyWords key;  // the two high octets of key.ports are tos and state, see below
  /// Of the forward direction.
  uint64_t octets;
  /// Of the forward direction. 0: the slot is free, and key.addresses is the next free one.
  uint64_t packets;
  /// Least and greatest packet time, nanoseconds since 1970, of both directions.
  int64_t start;
  int64_t end;
  /// Union over the packets of the forward direction.
  uint16_t tcp_flags;
  /// The first packet's.
  uint16_t icmp;
  /// Where it waits for its end, see wheel.h.
  uint32_t tick;

  static constexpr uint64_t fin_forward = uint64_t{1} << 56;
  static constexpr uint64_t fin_reverse = uint64_t{1} << 57;
  static constexpr uint64_t rst = uint64_t{1} << 58;
  static constexpr uint64_t ended_by_fin = uint64_t{1} << 59;
  static constexpr uint64_t ended = rst | ended_by_fin;

  [[nodiscard]] uint64_t ports_key() const noexcept { return key.ports & ports_key_mask; }
  /// The first packet's type of service.
  [[nodiscard]] uint8_t tos() const noexcept { return static_cast<uint8_t>(key.ports >> 48); }
  [[nodiscard]] uint8_t version() const noexcept {
    return static_cast<uint8_t>(key.path >> path_version);
  }
};
static_assert(sizeof(Flow) == 64);

/// The reverse direction of a Flow, and what is the forward direction's alone. RFC 5103.
struct alignas(64) Reverse {
  uint64_t octets;
  uint64_t packets;
  int64_t start;
  int64_t end;
  int64_t forward_start;
  int64_t forward_end;
  uint16_t tcp_flags;
};
static_assert(sizeof(Reverse) == 64);

/// Fields of the forward direction that only some options ask for.
struct Extra {
  uint64_t syn_packets;
  uint64_t fin_packets;
  uint64_t rst_packets;
  uint32_t shortest;
  uint32_t longest;
  uint32_t flow_label;
  uint32_t mpls;
  uint8_t least_ttl;
  uint8_t greatest_ttl;
  uint8_t fragment_flags;
};
static_assert(sizeof(Extra) == 48);

struct FlowTableOptions {
  /// Most Flows at once; 0: as many as the machine's memory may hold.
  uint32_t limit = 0;
  bool reverse = false;
  bool extra = false;
  bool link = false;
  /// Number the Flows in the order they are made.
  bool serial = false;
};

/// Slots and index. Slots of one region (32,768) lie together in each array; low regions are filled
/// first and an empty region's memory is given back, so that a burst of Flows does not stay for
/// ever.
class FlowTable {
 public:
  static constexpr uint32_t none = UINT32_MAX;

  [[nodiscard]] bool open(const FlowTableOptions& options) noexcept;

  /// Takes a free slot, or `none` when the limit or the system's memory is reached. Its Flow is not
  /// in the index yet.
  [[nodiscard]] uint32_t take() noexcept;
  void give_back(uint32_t slot) noexcept;

  /// The first index entry that `tag` may be in.
  [[nodiscard]] const uint64_t* home(uint32_t tag) const noexcept { return &index_[tag >> shift_]; }
  /// The slot that `tag` most likely stands for, or `none`. The first entries are looked at without
  /// a branch on them: which one it is cannot be foretold.
  [[nodiscard]] uint32_t guess(uint32_t tag) const noexcept {
    const size_t home_at = tag >> shift_;
    uint64_t found = 0;
    for (size_t i = 2; i-- > 0;) {
      const uint64_t entry = index_[(home_at + i) & index_mask_];
      const uint64_t keep = uint64_t{0} - static_cast<uint64_t>(entry >> 32 == tag);
      found = (entry & keep) | (found & ~keep);
    }
    return static_cast<uint32_t>(found) - 1;
  }
  /// The slot with this tag for which `matches(slot)`, or `none`.
  template <class Matches>
  [[nodiscard]] uint32_t find(uint32_t tag, Matches&& matches) const noexcept {
    for (size_t i = tag >> shift_;; i = (i + 1) & index_mask_) {
      const uint64_t entry = index_[i];
      if (entry == 0) return none;
      if (static_cast<uint32_t>(entry >> 32) != tag) continue;
      const uint32_t slot = static_cast<uint32_t>(entry) - 1;
      if (matches(slot)) return slot;
    }
  }
  /// Fetches what comparing a key with a Flow's needs; `slot` may be `none`.
  void prefetch(uint32_t slot, bool v6) const noexcept {
    const auto flow = reinterpret_cast<uintptr_t>(&flows_[slot]);
    const auto addresses = reinterpret_cast<uintptr_t>(&addresses_[slot]);
    __builtin_prefetch(reinterpret_cast<const void*>(flow), 1);
    // Without a branch: the versions of packets come in no order.
    const uintptr_t keep = uintptr_t{0} - static_cast<uintptr_t>(v6);
    __builtin_prefetch(reinterpret_cast<const void*>(flow ^ ((flow ^ addresses) & keep)));
  }
  void insert(uint32_t tag, uint32_t slot) noexcept;
  void remove(uint32_t tag, uint32_t slot) noexcept;

  [[nodiscard]] Flow& flow(uint32_t slot) const noexcept { return flows_[slot]; }
  [[nodiscard]] Addresses& addresses(uint32_t slot) const noexcept { return addresses_[slot]; }
  [[nodiscard]] Reverse& reverse(uint32_t slot) const noexcept { return reverses_[slot]; }
  [[nodiscard]] Extra& extra(uint32_t slot) const noexcept { return extras_[slot]; }
  [[nodiscard]] Link& link(uint32_t slot) const noexcept { return links_[slot]; }
  [[nodiscard]] uint32_t& serial(uint32_t slot) const noexcept { return serials_[slot]; }

  [[nodiscard]] uint32_t live() const noexcept { return live_; }
  [[nodiscard]] bool full() const noexcept { return live_ >= limit_; }
  /// Octets that slots in use or used before and the index take.
  [[nodiscard]] size_t memory() const noexcept;
  /// Octets that one Flow more may need at most, by these options.
  [[nodiscard]] static size_t octets_per_flow(const FlowTableOptions& options) noexcept;

  /// Empties the table: calls `visit(slot)` for all Flows, in the order of their slots, and gives memory
  /// back on the way, so that what is made of the Flows does not come on top of them.
  template <class Visit>
  void drain(Visit&& visit) {
    forget_index();
    for (uint32_t r = 0; r < regions_.size(); ++r) {
      const uint32_t begin = r * region_slots;
      for (uint32_t i = 0; i < regions_[r].fresh; ++i) {
        if (flows_[begin + i].packets != 0) visit(begin + i);
      }
      release_region(r);
    }
    live_ = lowest_ = 0;
    spare_ = none;
  }

 private:
  static constexpr uint32_t region_slots = 32768;
  static constexpr unsigned least_index_bits = 12;

  struct Region {
    /// Slots that have been used since the region's memory was last given back.
    uint32_t fresh = 0;
    uint32_t live = 0;
    uint32_t free = none;
  };

  void resize_index(unsigned bits) noexcept;
  void forget_index() noexcept;
  [[nodiscard]] bool open_region() noexcept;
  void release_region(uint32_t region) noexcept;

  ReservedArray<Flow> flows_;
  ReservedArray<Addresses> addresses_;
  ReservedArray<Reverse> reverses_;
  ReservedArray<Extra> extras_;
  ReservedArray<Link> links_;
  ReservedArray<uint32_t> serials_;
  std::vector<Region> regions_;
  /// No region below has a free slot.
  uint32_t lowest_ = 0;
  /// The last region that became empty.
  uint32_t spare_ = none;
  uint32_t slot_limit_ = 0;
  uint32_t limit_ = 0;
  uint32_t live_ = 0;
  size_t fresh_ = 0;
  size_t slot_octets_ = 0;

  /// Entries are tag << 32 | slot + 1; 0 is free. Open addressing, at most a quarter full.
  uint64_t* index_ = nullptr;
  size_t index_mask_ = 0;
  unsigned index_bits_ = 0;
  unsigned shift_ = 32;
  Reserved index_memory_;
};

}  // namespace darta
