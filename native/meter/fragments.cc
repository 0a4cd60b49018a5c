#include "meter/fragments.h"

#include <algorithm>

namespace darta {

size_t FirstFragments::bucket_of(const FragmentKey& key) const noexcept {
  const auto& a = key.addresses.words;
  const uint32_t source = seeds_.address(a[0], a[1]);
  const uint32_t destination = seeds_.address(a[2], a[3]);
  return seeds_.key({static_cast<uint64_t>(destination) << 32 | source,
                     static_cast<uint64_t>(key.protocol) << 32 | key.identification, key.version}) %
         buckets;
}

uint16_t FirstFragments::lookup(const FragmentKey& key) const noexcept {
  uint16_t i = table_->heads[bucket_of(key)];
  while (i != none && !(table_->entries[i].key == key)) i = table_->entries[i].in_bucket;
  return i;
}

void FirstFragments::unlink_from_bucket(uint16_t index) noexcept {
  uint16_t* link = &table_->heads[bucket_of(table_->entries[index].key)];
  while (*link != index) link = &table_->entries[*link].in_bucket;
  *link = table_->entries[index].in_bucket;
}

void FirstFragments::unlink_from_ages(uint16_t index) noexcept {
  const Entry& e = table_->entries[index];
  (e.older == none ? oldest_ : table_->entries[e.older].newer) = e.newer;
  (e.newer == none ? newest_ : table_->entries[e.newer].older) = e.older;
}

void FirstFragments::remember(const FragmentKey& key, FragmentOrigin origin, int64_t clock) {
  if (!table_) {
    table_ = std::make_unique<Table>();
    std::fill(std::begin(table_->heads), std::end(table_->heads), none);
  }
  uint16_t index = lookup(key);
  if (index == none && used_ == capacity) {
    index = oldest_;
    unlink_from_bucket(index);
    unlink_from_ages(index);
  } else if (index == none) {
    index = used_++;
  } else {
    unlink_from_bucket(index);
    unlink_from_ages(index);
  }
  uint16_t& head = table_->heads[bucket_of(key)];
  table_->entries[index] = Entry{key, origin, clock, head, newest_, none};
  head = index;
  (newest_ == none ? oldest_ : table_->entries[newest_].newer) = index;
  newest_ = index;
}

const FragmentOrigin* FirstFragments::find(const FragmentKey& key, int64_t clock) const noexcept {
  if (!table_) return nullptr;
  const uint16_t i = lookup(key);
  if (i == none || clock - table_->entries[i].made > lifetime) return nullptr;
  return &table_->entries[i].origin;
}

}  // namespace darta
