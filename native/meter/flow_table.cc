#include "meter/flow_table.h"

#include <unistd.h>

#include <cstdlib>

namespace darta {
namespace {

size_t physical_memory() noexcept {
  const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<size_t>(pages) * static_cast<size_t>(size)
                               : size_t{1} << 34;
}

/// Entries for each Flow that the index has at least. With 2 a third of all searches takes one more
/// step, and a step that nobody can foretell costs more than the memory.
constexpr size_t entries_per_flow = 4;
constexpr size_t index_octets_per_flow = 3 * entries_per_flow * sizeof(uint64_t);

}  // namespace

size_t FlowTable::octets_per_flow(const FlowTableOptions& options) noexcept {
  // The index may be about to double: 32 octets a Flow in the old one, 64 in the new one.
  return sizeof(Flow) + sizeof(Addresses) + (options.reverse ? sizeof(Reverse) : 0) +
         (options.extra ? sizeof(Extra) : 0) + (options.link ? sizeof(Link) : 0) +
         (options.serial ? sizeof(uint32_t) : 0) + index_octets_per_flow;
}

bool FlowTable::open(const FlowTableOptions& options) noexcept {
  const size_t most = physical_memory() / sizeof(Flow);
  const size_t wanted = options.limit == 0 ? most : options.limit;
  limit_ = options.limit == 0 ? UINT32_MAX : options.limit;
  slot_limit_ = static_cast<uint32_t>(
      std::min<size_t>((wanted + region_slots - 1) / region_slots * region_slots, size_t{1} << 31));
  slot_octets_ = octets_per_flow(options) - index_octets_per_flow;
  resize_index(least_index_bits);
  return flows_.reserve(slot_limit_) && addresses_.reserve(slot_limit_) &&
         (!options.reverse || reverses_.reserve(slot_limit_)) &&
         (!options.extra || extras_.reserve(slot_limit_)) &&
         (!options.link || links_.reserve(slot_limit_)) &&
         (!options.serial || serials_.reserve(slot_limit_));
}

bool FlowTable::open_region() noexcept {
  const size_t slots = (regions_.size() + 1) * region_slots;
  if (slots > slot_limit_ || !flows_.use(slots) || !addresses_.use(slots)) return false;
  if ((reverses_ && !reverses_.use(slots)) || (extras_ && !extras_.use(slots)) ||
      (links_ && !links_.use(slots)) || (serials_ && !serials_.use(slots)))
    return false;
  regions_.emplace_back();
  return true;
}

uint32_t FlowTable::take() noexcept {
  if (DARTA_UNLIKELY(live_ >= limit_)) return none;
  while (lowest_ < regions_.size() && regions_[lowest_].free == none &&
         regions_[lowest_].fresh == region_slots)
    ++lowest_;
  if (DARTA_UNLIKELY(lowest_ == regions_.size()) && !open_region()) return none;
  if (DARTA_UNLIKELY((live_ + 1) * entries_per_flow > index_mask_ + 1))
    resize_index(index_bits_ + 1);
  Region& region = regions_[lowest_];
  uint32_t slot = region.free;
  if (slot != none) {
    region.free = static_cast<uint32_t>(flows_[slot].key.addresses);
  } else {
    slot = lowest_ * region_slots + region.fresh++;
    ++fresh_;
  }
  ++region.live;
  ++live_;
  return slot;
}

void FlowTable::give_back(uint32_t slot) noexcept {
  const uint32_t r = slot / region_slots;
  Region& region = regions_[r];
  flows_[slot].packets = 0;
  flows_[slot].key.addresses = region.free;
  region.free = slot;
  --live_;
  lowest_ = std::min(lowest_, r);
  if (--region.live == 0) {
    // One empty region stays as it is, so that memory does not come and go with each Flow.
    if (spare_ != none && spare_ != r && regions_[spare_].live == 0) {
      release_region(std::max(spare_, r));
      spare_ = std::min(spare_, r);
    } else {
      spare_ = r;
    }
  }
  if (DARTA_UNLIKELY(index_bits_ > least_index_bits && live_ < (index_mask_ + 1) / 32))
    resize_index(index_bits_ - 2);
}

void FlowTable::release_region(uint32_t r) noexcept {
  const size_t from = static_cast<size_t>(r) * region_slots;
  flows_.release(from, region_slots);
  addresses_.release(from, region_slots);
  if (reverses_) reverses_.release(from, region_slots);
  if (extras_) extras_.release(from, region_slots);
  if (links_) links_.release(from, region_slots);
  if (serials_) serials_.release(from, region_slots);
  fresh_ -= regions_[r].fresh;
  regions_[r] = Region{};
}

void FlowTable::forget_index() noexcept {
  index_ = nullptr;
  resize_index(least_index_bits);
}

void FlowTable::resize_index(unsigned bits) noexcept {
  bits = std::max(bits, least_index_bits);
  const size_t size = size_t{1} << bits;
  Reserved memory;
  // Without an index nothing works, as without a stack.
  if (bits > 32 || !memory.reserve(size * sizeof(uint64_t), true) ||
      !memory.use(size * sizeof(uint64_t)))
    std::abort();
  uint64_t* const index = reinterpret_cast<uint64_t*>(memory.data());
  const size_t mask = size - 1;
  const unsigned shift = 32 - bits;
  // Homes are the high bits of tags, so this walks both indexes from front to back.
  for (size_t i = 0; index_ != nullptr && i <= index_mask_; ++i) {
    const uint64_t entry = index_[i];
    if (entry == 0) continue;
    size_t at = static_cast<size_t>(entry >> 32) >> shift;
    while (index[at] != 0) at = (at + 1) & mask;
    index[at] = entry;
  }
  index_memory_.swap(memory);
  index_ = index;
  index_mask_ = mask;
  index_bits_ = bits;
  shift_ = shift;
}

void FlowTable::insert(uint32_t tag, uint32_t slot) noexcept {
  size_t at = tag >> shift_;
  while (index_[at] != 0) at = (at + 1) & index_mask_;
  index_[at] = static_cast<uint64_t>(tag) << 32 | (slot + 1);
}

void FlowTable::remove(uint32_t tag, uint32_t slot) noexcept {
  const uint64_t entry = static_cast<uint64_t>(tag) << 32 | (slot + 1);
  size_t hole = tag >> shift_;
  while (index_[hole] != entry) hole = (hole + 1) & index_mask_;
  // Entries behind move up as far as their homes allow, so that no search ends too early.
  for (size_t at = (hole + 1) & index_mask_; index_[at] != 0; at = (at + 1) & index_mask_) {
    const size_t home_at = static_cast<size_t>(index_[at] >> 32) >> shift_;
    if (((at - home_at) & index_mask_) < ((at - hole) & index_mask_)) continue;
    index_[hole] = index_[at];
    hole = at;
  }
  index_[hole] = 0;
}

size_t FlowTable::memory() const noexcept {
  return fresh_ * slot_octets_ + (index_mask_ + 1) * sizeof(uint64_t);
}

}  // namespace darta
