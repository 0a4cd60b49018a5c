// A regular file mapped for one sequential pass.
#pragma once
#include <cstddef>

#include "capture/octets.h"

namespace darta {

/// Maps a file read-only. What has been read can be given back, so that the process stays small
/// whatever the size of the file. If the file is cut while it is mapped, `shrunk()` says so and the
/// octets that are gone read as zeros, instead of the process dying of SIGBUS.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() { close(); }

  /// Returns 0 or the errno of what failed; ESPIPE if it is no regular file.
  [[nodiscard]] int open(const char* path) noexcept;
  void close() noexcept;

  [[nodiscard]] Octets octets() const noexcept { return {data_, size_}; }
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  [[nodiscard]] bool shrunk() const noexcept;
  /// Says that octets before `offset` are not needed any more.
  void release(size_t offset) noexcept;
  /// Maps the pages of the range at once, which saves a fault for every 64 KiB.
  void populate(size_t offset, size_t octets) noexcept;

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
  size_t released_ = 0;
  size_t populated_ = 0;
  int guard_ = -1;
  bool open_ = false;
};

}  // namespace darta
