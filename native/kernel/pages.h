// Memory of the group tables: zeroed, grows without being copied, and is the system's again when it is freed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>
#ifdef __linux__
#include <sys/mman.h>
#endif

namespace darta {

/// An array of trivial values. What is large is mapped: growing moves pages instead of octets, so that a table of
/// some hundred MB never is there twice; and freeing gives them back, which a heap may not.
template <typename T>
class Pages {
 public:
  Pages() = default;
  Pages(const Pages&) = delete;
  Pages& operator=(const Pages&) = delete;
  Pages(Pages&& other) noexcept { swap(other); }
  Pages& operator=(Pages&& other) noexcept {
    swap(other);
    return *this;
  }
  ~Pages() { reset(); }

  /// Makes room for `count` values, of which new ones are zero; false if the system has none: nothing changes.
  [[nodiscard]] bool grow(size_t count) noexcept {
    const size_t octets = count * sizeof(T);
    if (octets <= octets_) return true;
    void* grown = nullptr;
    if (!is_mapped(octets)) {
      grown = std::realloc(data_, octets);
      if (grown == nullptr) return false;
      std::memset(static_cast<uint8_t*>(grown) + octets_, 0, octets - octets_);
    } else if (is_mapped(octets_)) {
      grown = remap(octets);
      if (grown == nullptr) return false;
    } else {
      grown = map(octets);
      if (grown == nullptr) return false;
      if (octets_ > 0) std::memcpy(grown, data_, octets_);
      std::free(data_);
    }
    data_ = static_cast<T*>(grown);
    octets_ = octets;
    return true;
  }

  void swap(Pages& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(octets_, other.octets_);
  }

  [[nodiscard]] T& operator[](size_t i) const noexcept { return data_[i]; }

 private:
#ifdef __linux__
  static constexpr size_t kMapped = size_t{1} << 20;

  static bool is_mapped(size_t octets) noexcept { return octets >= kMapped; }

  static constexpr size_t kPage = 4096;
  static constexpr size_t kHugePage = size_t{1} << 21;

  /// Addresses that begin with a huge page and that nothing else uses; nullptr if there are none.
  static void* reserve(size_t octets) noexcept {
    octets = (octets + kPage - 1) / kPage * kPage;
    void* const all =
        mmap(nullptr, octets + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) return nullptr;
    auto* const begin = static_cast<uint8_t*>(all);
    const size_t before = (kHugePage - reinterpret_cast<uintptr_t>(begin) % kHugePage) % kHugePage;
    if (before > 0) munmap(begin, before);
    if (before < kHugePage) munmap(begin + before + octets, kHugePage - before);
    return begin + before;
  }

  static void* map(size_t octets) noexcept {
    void* const at = reserve(octets);
    if (at == nullptr) return nullptr;
    if (mprotect(at, octets, PROT_READ | PROT_WRITE) == 0) return advised(at, octets);
    munmap(at, octets);
    return nullptr;
  }

  void* remap(size_t octets) noexcept {
    void* at = mremap(data_, octets_, octets, 0);
    if (at != MAP_FAILED) return advised(at, octets);
    // A huge page stays one only if it moves to where one can be.
    void* const place = reserve(octets);
    if (place == nullptr) return nullptr;
    at = mremap(data_, octets_, octets, MREMAP_MAYMOVE | MREMAP_FIXED, place);
    if (at != MAP_FAILED) return advised(at, octets);
    munmap(place, octets);
    return nullptr;
  }

  /// Tables are read at random: with huge pages a miss costs one memory access instead of several. All of the mapping has
  /// to be advised alike, or the system would see several that cannot be moved together.
  static void* advised(void* memory, size_t octets) noexcept {
    (void)madvise(memory, octets, MADV_HUGEPAGE);
    return memory;
  }

  void reset() noexcept {
    if (is_mapped(octets_))
      munmap(data_, octets_);
    else
      std::free(data_);
  }
#else
  static bool is_mapped(size_t) noexcept { return false; }
  static void* map(size_t) noexcept { return nullptr; }
  void* remap(size_t) noexcept { return nullptr; }
  void reset() noexcept { std::free(data_); }
#endif

  T* data_ = nullptr;
  size_t octets_ = 0;
};

}  // namespace darta
