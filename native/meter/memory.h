// Memory of the flow table: address space that is filled from the bottom and never moves.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace darta {

/// Reserves `capacity` octets of address space and makes them usable as they are asked for. The
/// octets are zero when they are first used. What is large lies in huge pages where the system has
/// them: a table of a million Flows then needs tens of address translations instead of tens of
/// thousands.
class Reserved {
 public:
  static constexpr size_t step = size_t{1} << 21;
  static constexpr size_t small = step;

  Reserved() = default;
  Reserved(const Reserved&) = delete;
  Reserved& operator=(const Reserved&) = delete;
  ~Reserved() { reset(); }

  /// `always_huge`: all of it will be used soon.
  [[nodiscard]] bool reserve(size_t capacity, bool always_huge = false) noexcept {
    reset();
    const size_t size = (capacity + step - 1) / step * step + step;
    void* const at =
        mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED) return false;
    mapping_ = static_cast<uint8_t*>(at);
    mapped_ = size;
    const auto address = reinterpret_cast<uintptr_t>(at);
    data_ = mapping_ + ((step - address % step) % step);
    capacity_ = size - step;
    // Clearing a huge page takes longer than metering a small capture: those stay below `small`.
    const size_t first = capacity_ <= small ? capacity_ : always_huge ? 0 : step;
    if (first < capacity_) madvise(data_ + first, capacity_ - first, MADV_HUGEPAGE);
    return true;
  }

  /// Makes the first `octets` usable; false if the system has no memory left.
  [[nodiscard]] bool use(size_t octets) noexcept {
    if (octets <= usable_) return true;
    if (octets > capacity_) return false;
    const size_t until = std::min((octets + step - 1) / step * step, capacity_);
    if (mprotect(data_ + usable_, until - usable_, PROT_READ | PROT_WRITE) != 0) return false;
    usable_ = until;
    return true;
  }

  /// Gives the memory of a range back; it reads as zeros afterwards.
  void release(size_t from, size_t octets) noexcept {
    if (from < usable_) madvise(data_ + from, std::min(octets, usable_ - from), MADV_DONTNEED);
  }

  void reset() noexcept {
    if (mapping_ != nullptr) munmap(mapping_, mapped_);
    mapping_ = data_ = nullptr;
    mapped_ = capacity_ = usable_ = 0;
  }

  void swap(Reserved& other) noexcept {
    std::swap(mapping_, other.mapping_);
    std::swap(data_, other.data_);
    std::swap(mapped_, other.mapped_);
    std::swap(capacity_, other.capacity_);
    std::swap(usable_, other.usable_);
  }

  [[nodiscard]] uint8_t* data() const noexcept { return data_; }

 private:
  uint8_t* mapping_ = nullptr;
  uint8_t* data_ = nullptr;
  size_t mapped_ = 0;
  size_t capacity_ = 0;
  size_t usable_ = 0;
};

/// An array of trivial values over Reserved.
template <class T>
class ReservedArray {
 public:
  [[nodiscard]] bool reserve(size_t capacity) noexcept {
    return memory_.reserve(capacity * sizeof(T));
  }
  [[nodiscard]] bool use(size_t count) noexcept { return memory_.use(count * sizeof(T)); }
  void release(size_t from, size_t count) noexcept {
    memory_.release(from * sizeof(T), count * sizeof(T));
  }
  [[nodiscard]] explicit operator bool() const noexcept { return memory_.data() != nullptr; }
  [[nodiscard]] T* data() const noexcept { return reinterpret_cast<T*>(memory_.data()); }
  [[nodiscard]] T& operator[](size_t i) const noexcept { return data()[i]; }

 private:
  Reserved memory_;
};

}  // namespace darta
