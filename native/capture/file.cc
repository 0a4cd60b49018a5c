#include "capture/file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <mutex>

namespace darta {
namespace {

constexpr size_t page = 4096;

/// Mappings that the SIGBUS handler looks after. A handler may only read atomics, hence the fixed
/// table.
struct Guard {
  std::atomic<uintptr_t> begin{0};
  std::atomic<uintptr_t> end{0};
  std::atomic<bool> shrunk{false};
};
constexpr int guard_count = 64;
Guard guards[guard_count];
struct sigaction previous;

void on_bus_error(int signal, siginfo_t* info, void* context) {
  const auto fault = reinterpret_cast<uintptr_t>(info->si_addr);
  for (Guard& g : guards) {
    const uintptr_t begin = g.begin.load(std::memory_order_acquire);
    const uintptr_t end = g.end.load(std::memory_order_acquire);
    if (begin == 0 || fault < begin || fault >= end) continue;
    const uintptr_t from = fault & ~(page - 1);
    void* const zeros = mmap(reinterpret_cast<void*>(from), end - from, PROT_READ,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (zeros == MAP_FAILED) break;
    g.shrunk.store(true, std::memory_order_release);
    return;
  }
  // Not ours: what was installed before decides.
  if (previous.sa_flags & SA_SIGINFO) {
    previous.sa_sigaction(signal, info, context);
  } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
    previous.sa_handler(signal);
  } else {
    sigaction(signal, &previous, nullptr);  // the fault repeats and ends the process as it should
  }
}

/// Takes a free guard for the mapping, or −1: then the mapping has no protection.
int take_guard(uintptr_t begin, uintptr_t end) noexcept {
  static std::mutex mutex;
  static bool installed = false;
  const std::lock_guard lock(mutex);
  if (!installed) {
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, &action, &previous) != 0) return -1;
    installed = true;
  }
  for (int i = 0; i < guard_count; ++i) {
    if (guards[i].begin.load() != 0) continue;
    guards[i].shrunk.store(false);
    guards[i].end.store(end);
    guards[i].begin.store(begin);
    return i;
  }
  return -1;
}

}  // namespace

int MappedFile::open(const char* path) noexcept {
  close();
  // Without O_NONBLOCK a named pipe would wait for its writer.
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return errno;
  struct stat status;
  int error = fstat(fd, &status) != 0 ? errno : 0;
  if (error == 0 && S_ISDIR(status.st_mode)) error = EISDIR;
  if (error == 0 && !S_ISREG(status.st_mode)) error = ESPIPE;
  size_ = error == 0 ? static_cast<size_t>(status.st_size) : 0;
  if (error == 0 && size_ > 0) {
    void* const at = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (at == MAP_FAILED) {
      error = errno;
    } else {
      madvise(at, size_, MADV_SEQUENTIAL);
      data_ = static_cast<const uint8_t*>(at);
      const auto begin = reinterpret_cast<uintptr_t>(at);
      guard_ = take_guard(begin, begin + (size_ + page - 1) / page * page);
    }
  }
  ::close(fd);
  open_ = error == 0;
  return error;
}

void MappedFile::close() noexcept {
  if (guard_ >= 0) {
    guards[guard_].begin.store(0);
    guards[guard_].end.store(0);
  }
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
  data_ = nullptr;
  size_ = released_ = populated_ = 0;
  guard_ = -1;
  open_ = false;
}

bool MappedFile::shrunk() const noexcept {
  return guard_ >= 0 && guards[guard_].shrunk.load(std::memory_order_acquire);
}

void MappedFile::release(size_t offset) noexcept {
  constexpr size_t stretch = size_t{1} << 20;
  const size_t until = std::min(offset, size_) / stretch * stretch;
  if (until <= released_) return;
  madvise(const_cast<uint8_t*>(data_) + released_, until - released_, MADV_DONTNEED);
  released_ = until;
}

void MappedFile::populate(size_t offset, size_t octets) noexcept {
#ifdef MADV_POPULATE_READ
  const size_t from = std::max(populated_, offset / page * page);
  const size_t until = std::min(offset + octets, size_) / page * page;
  if (until <= from) return;
  // Of no matter if it fails: then each page comes by its own fault.
  madvise(const_cast<uint8_t*>(data_) + from, until - from, MADV_POPULATE_READ);
  populated_ = until;
#else
  (void)offset;
  (void)octets;
#endif
}

}  // namespace darta
