#include "receive/datagrams.h"

#include <arpa/inet.h>
#include <linux/sock_diag.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace darta {
namespace {

/// A slot takes what a path of 1,500 octets carries; what is longer goes on in a room beside it.
constexpr size_t slot_octets = 2048;
constexpr size_t block_slots = 512;
constexpr size_t longest_octets = 65535;
/// Datagrams that one call takes.
constexpr size_t batch = 64;
/// A block with fewer is copied, so that a few octets do not keep a large block alive.
constexpr size_t copied_below = 32;
constexpr int idle_ms = 200;
/// Whoever takes the blocks is not called more often, unless they are full: each call costs as much as some thousand records.
constexpr double between_blocks_ms = 20;
/// While datagrams come, they are looked for after a pause, since being woken for each costs more than the datagram. The kernel's
/// buffer has to have room for what comes meanwhile.
constexpr int64_t longest_pause_us = 4000;
/// Where whoever takes blocks fetches them from the kernel, and its buffers take so many datagrams in a pause: what comes all at
/// once has to have room, too.
constexpr int64_t longest_fetched_us = 60000;
constexpr size_t least_in_pause = 1024;
constexpr int64_t shortest_pause_us = 50;
/// In shorter pauses the thread takes datagrams: waking another one so often costs more than it gains.
constexpr int64_t least_shared_us = 10000;
/// A datagram's time is 32 bits from that of its block.
constexpr double most_after_ms = 4294967295;
/// Octets that the kernel books for a datagram of usual size.
constexpr size_t kernel_octets = 2304;
/// Part of a kernel buffer that may fill up in a pause.
constexpr size_t filled_part = 16;

double now_ms() noexcept {
  timespec t{};
  clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<double>(t.tv_sec) * 1e3 + static_cast<double>(t.tv_nsec / 1000000);
}

/// FNV-1a over the sender and the socket.
uint32_t hash_of(const uint8_t* address, size_t octets, uint32_t port, uint32_t socket) noexcept {
  uint32_t hash = 2166136261u ^ (socket << 16) ^ port;
  for (size_t i = 0; i < octets; ++i) hash = (hash ^ address[i]) * 16777619u;
  return (hash ^ port) * 16777619u;
}

int bind_socket(const SocketOptions& options, const char*& call) noexcept {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(options.port);
  call = "getaddrinfo";
  if (getaddrinfo(options.address.c_str(), port.c_str(), &hints, &found) != 0) {
    errno = EINVAL;
    return -1;
  }
  call = "socket";
  const int descriptor = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor >= 0) {
    call = "bind";
    if (bind(descriptor, found->ai_addr, found->ai_addrlen) != 0) {
      const int error = errno;
      close(descriptor);
      freeaddrinfo(found);
      errno = error;
      return -1;
    }
  }
  freeaddrinfo(found);
  return descriptor;
}

/// What the kernel counts as dropped by this socket; 0 where it does not tell.
uint32_t kernel_drops(int descriptor) noexcept {
  uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof memory;
  if (getsockopt(descriptor, SOL_SOCKET, SO_MEMINFO, memory, &size) != 0 ||
      size <= SK_MEMINFO_DROPS * sizeof memory[0])
    return 0;
  return memory[SK_MEMINFO_DROPS];
}

/// Blocks that JavaScript is done with; 32 MiB at most.
constexpr size_t kept_blocks = 32;
std::mutex pool_mutex;
uint8_t* pool[kept_blocks];
size_t pooled = 0;

uint8_t* new_block() noexcept {
  {
    const std::lock_guard lock(pool_mutex);
    if (pooled > 0) return pool[--pooled];
  }
  return static_cast<uint8_t*>(std::malloc(block_slots * slot_octets));
}

/// A block that is no larger than its datagrams; without octets if there is no memory.
DatagramBlock copy_of(const DatagramBlock& block) {
  size_t size = 0;
  for (const DatagramInfo& info : block.datagrams) size += info.length;
  DatagramBlock copy;
  copy.octets = static_cast<uint8_t*>(std::malloc(size > 0 ? size : 1));
  if (copy.octets == nullptr) return copy;
  copy.base_ms = block.base_ms;
  copy.datagrams.reserve(block.datagrams.size());
  for (DatagramInfo info : block.datagrams) {
    std::memcpy(copy.octets + copy.size, block.octets + info.offset, info.length);
    info.offset = static_cast<uint32_t>(copy.size);
    copy.size += info.length;
    copy.datagrams.push_back(info);
  }
  return copy;
}

}  // namespace

void give_back_block(uint8_t* octets, size_t size) noexcept {
  if (size == block_slots * slot_octets) {
    const std::lock_guard lock(pool_mutex);
    if (pooled < kept_blocks) {
      pool[pooled++] = octets;
      return;
    }
  }
  std::free(octets);
}

/// The block being filled, and what recvmmsg(2) wants to know.
struct DatagramReceiver::Filling {
  DatagramBlock block;
  /// Octets of slots that are used.
  size_t slots = 0;
  std::vector<uint8_t> beside = std::vector<uint8_t>(batch * longest_octets);
  mmsghdr messages[batch];
  iovec vectors[batch][2];
  sockaddr_storage senders[batch];
};

DatagramReceiver::DatagramReceiver() : filling_(std::make_unique<Filling>()) {}

std::unique_ptr<DatagramReceiver> DatagramReceiver::open(const std::vector<SocketOptions>& sockets,
                                                         SocketFault& fault) {
  std::unique_ptr<DatagramReceiver> receiver(new DatagramReceiver);
  for (size_t i = 0; i < sockets.size(); ++i) {
    const SocketOptions& options = sockets[i];
    auto one = std::make_unique<Socket>();
    const char* call = "descriptor";
    one->descriptor = options.descriptor >= 0 ? options.descriptor : bind_socket(options, call);
    if (one->descriptor < 0) {
      fault = {call, errno, i};
      return nullptr;
    }
    const int size = static_cast<int>(std::min(options.buffer_octets, size_t{1} << 30));
    // The first needs CAP_NET_ADMIN, the second is cut to net.core.rmem_max.
    if (setsockopt(one->descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
      setsockopt(one->descriptor, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    one->dropped_before = kernel_drops(one->descriptor);
    receiver->sockets_.push_back(std::move(one));
    // The kernel gives twice what it says.
    receiver->sockets_.back()->most_in_pause =
        2 * receiver->buffer_octets(i) / kernel_octets / filled_part;
  }
  receiver->wake_descriptor_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (receiver->wake_descriptor_ < 0) {
    fault = {"eventfd", errno, 0};
    return nullptr;
  }
  return receiver;
}

DatagramReceiver::~DatagramReceiver() {
  stop();
  {
    // Whoever waits for room waits no longer.
    const std::lock_guard lock(mutex_);
    for (const DatagramBlock& block : queue_) std::free(block.octets);
    queue_.clear();
    queued_octets_ = 0;
  }
  room_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (const DatagramBlock& block : queue_) std::free(block.octets);
  if (fetched_) std::free(fetched_->octets);
  std::free(filling_->block.octets);
  for (const auto& socket : sockets_) close(socket->descriptor);
  if (wake_descriptor_ >= 0) close(wake_descriptor_);
}

uint16_t DatagramReceiver::port(size_t socket) const noexcept {
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  if (getsockname(sockets_[socket]->descriptor, reinterpret_cast<sockaddr*>(&name), &size) != 0)
    return 0;
  // The port is at the same place in both families.
  return ntohs(reinterpret_cast<const sockaddr_in*>(&name)->sin_port);
}

size_t DatagramReceiver::buffer_octets(size_t socket) const noexcept {
  int octets = 0;
  socklen_t size = sizeof octets;
  getsockopt(sockets_[socket]->descriptor, SOL_SOCKET, SO_RCVBUF, &octets, &size);
  // The kernel counts its own records in, and doubles what was asked for to that end.
  return static_cast<size_t>(octets) / 2;
}

void DatagramReceiver::start(std::function<void()> ready) {
  ready_ = std::move(ready);
  thread_ = std::thread([this] { run(); });
}

void DatagramReceiver::stop() noexcept {
  stopping_.store(true);
  const uint64_t one = 1;
  if (wake_descriptor_ >= 0 && write(wake_descriptor_, &one, sizeof one) < 0) return;
}

std::vector<DatagramBlock> DatagramReceiver::take() {
  std::vector<DatagramBlock> blocks;
  if (fetched_ && first_ == 0) {
    blocks.push_back(std::move(*fetched_));
    fetched_.reset();
  }
  {
    const std::lock_guard lock(mutex_);
    for (DatagramBlock& block : queue_) blocks.push_back(std::move(block));
    queue_.clear();
    queued_octets_ = 0;
  }
  room_.notify_all();
  return blocks;
}

void DatagramReceiver::advance() {
  if (fetched_ && first_ >= fetched_->datagrams.size()) {
    give_back_block(fetched_->octets, fetched_->size);
    fetched_.reset();
    first_ = 0;
  }
  if (fetched_) return;
  fetch_queued();
  if (!fetched_) fetch();
}

void DatagramReceiver::fetch_queued() {
  {
    // One at a time: what is fetched is no longer in what the queue is bounded by.
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) return;
    fetched_ = std::move(queue_.front());
    queue_.pop_front();
    queued_octets_ -= fetched_->memory();
  }
  room_.notify_all();
}

void DatagramReceiver::fetch() {
  fetches_.store(true);
  if (!due_.load()) return;
  // The thread may wait for room in the queue, which only who calls this can make.
  const std::unique_lock draining(draining_, std::try_to_lock);
  if (!draining.owns_lock() || stopping_.load()) return;
  // What it has put there in the meantime comes first.
  fetch_queued();
  if (fetched_) return;
  // What the thread says meanwhile is of what comes behind.
  due_.store(false);
  if (fill(*filling_)) due_.store(true);
  if (!filling_->block.datagrams.empty()) fetched_ = taken_from(*filling_, false);
}

SocketStatistics DatagramReceiver::statistics(size_t index) const noexcept {
  const Socket& socket = *sockets_[index];
  // 32 bits that wrap: a difference of fewer than 2^32 is right all the same.
  return {socket.received.load(), kernel_drops(socket.descriptor) - socket.dropped_before};
}

size_t DatagramReceiver::drain(size_t index, Filling& filling) {
  Socket& socket = *sockets_[index];
  DatagramBlock& block = filling.block;
  if (block.octets == nullptr) {
    block.octets = new_block();
    if (block.octets == nullptr) return 0;
    block.size = block_slots * slot_octets;
    block.datagrams.clear();
    block.datagrams.reserve(block_slots);
    filling.slots = 0;
  }
  const size_t room = std::min(batch, block_slots - filling.slots);
  for (size_t i = 0; i < room; ++i) {
    filling.vectors[i][0] = {block.octets + (filling.slots + i) * slot_octets, slot_octets};
    filling.vectors[i][1] = {filling.beside.data() + i * longest_octets,
                             longest_octets - slot_octets};
    msghdr& header = filling.messages[i].msg_hdr;
    std::memset(&header, 0, sizeof header);
    header.msg_name = &filling.senders[i];
    header.msg_namelen = sizeof filling.senders[i];
    header.msg_iov = filling.vectors[i];
    header.msg_iovlen = 2;
  }
  int taken;
  do {
    taken = recvmmsg(socket.descriptor, filling.messages, static_cast<unsigned>(room), MSG_DONTWAIT,
                     nullptr);
  } while (taken < 0 && errno == EINTR);
  if (taken <= 0) return 0;
  const double time = now_ms();
  if (block.datagrams.empty()) block.base_ms = time;
  const double after = std::clamp(time - block.base_ms, 0.0, most_after_ms);
  for (int i = 0; i < taken; ++i) {
    DatagramInfo info{};
    info.offset = static_cast<uint32_t>((filling.slots + static_cast<size_t>(i)) * slot_octets);
    info.length = filling.messages[i].msg_len;
    info.socket = static_cast<uint32_t>(index);
    info.after_ms = static_cast<uint32_t>(after);
    const sockaddr_storage& sender = filling.senders[i];
    if (sender.ss_family == AF_INET) {
      const auto& in = reinterpret_cast<const sockaddr_in&>(sender);
      info.address_octets = 4;
      info.port = ntohs(in.sin_port);
      std::memcpy(info.address, &in.sin_addr, 4);
    } else if (sender.ss_family == AF_INET6) {
      const auto& in = reinterpret_cast<const sockaddr_in6&>(sender);
      info.port = ntohs(in.sin6_port);
      if (IN6_IS_ADDR_V4MAPPED(&in.sin6_addr)) {
        info.address_octets = 4;
        std::memcpy(info.address, in.sin6_addr.s6_addr + 12, 4);
      } else {
        info.address_octets = 16;
        std::memcpy(info.address, &in.sin6_addr, 16);
      }
    }
    info.hash = hash_of(info.address, info.address_octets, info.port, info.socket);
    if (info.length > slot_octets) {
      // Behind the slots there is room made for the whole of it.
      auto* const larger =
          static_cast<uint8_t*>(std::realloc(block.octets, block.size + info.length));
      if (larger == nullptr) {
        info.length = slot_octets;
      } else {
        block.octets = larger;
        std::memcpy(larger + block.size, larger + info.offset, slot_octets);
        std::memcpy(larger + block.size + slot_octets, filling.vectors[i][1].iov_base,
                    info.length - slot_octets);
        info.offset = static_cast<uint32_t>(block.size);
        block.size += info.length;
      }
    }
    block.datagrams.push_back(info);
  }
  filling.slots += static_cast<size_t>(taken);
  socket.received.fetch_add(static_cast<uint64_t>(taken));
  socket.since_pause.fetch_add(static_cast<size_t>(taken));
  return static_cast<size_t>(taken);
}

bool DatagramReceiver::fill(Filling& filling) {
  // What comes after the clock was set ahead by years begins another block.
  const DatagramBlock& block = filling.block;
  if (!block.datagrams.empty() && now_ms() - block.base_ms > most_after_ms / 2) return true;
  for (bool more = true; more;) {
    more = false;
    for (size_t i = 0; i < sockets_.size(); ++i) {
      if (drain(i, filling) == batch) more = true;
      if (filling.slots == block_slots) return true;
    }
  }
  return false;
}

DatagramBlock DatagramReceiver::taken_from(Filling& filling, bool copied) {
  DatagramBlock block;
  if (copied || filling.block.datagrams.size() < copied_below) block = copy_of(filling.block);
  if (block.octets != nullptr) {
    // The large one serves again; what was beside its slots is gone with the datagrams.
    filling.block.size = block_slots * slot_octets;
    filling.block.datagrams.clear();
  } else {
    block = std::exchange(filling.block, {});
  }
  filling.slots = 0;
  return block;
}

void DatagramReceiver::hand_over(Filling& filling) {
  if (filling.block.datagrams.empty()) return;
  size_t queued;
  {
    const std::lock_guard lock(mutex_);
    queued = queue_.size();
  }
  DatagramBlock block = taken_from(filling, queued >= queued_as_filled);
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return queued_octets_ < queue_octets || stopping_.load(); });
    queued_octets_ += block.memory();
    queue_.push_back(std::move(block));
  }
  ready_();
}

void DatagramReceiver::run() {
  std::vector<pollfd> polled;
  bool roomy = true;
  for (const auto& socket : sockets_) {
    polled.push_back({socket->descriptor, POLLIN, 0});
    if (socket->most_in_pause < least_in_pause) roomy = false;
  }
  polled.push_back({wake_descriptor_, POLLIN, 0});
  bool waited = false;
  /// Some may be held that were not handed over.
  bool held = false;
  double handed_ms = 0;
  int64_t pause_us = longest_pause_us;
  const auto hand_over_all = [&] {
    hand_over(*filling_);
    handed_ms = now_ms();
  };
  for (;;) {
    const bool there = poll(polled.data(), polled.size(), waited ? 0 : idle_ms) > 0;
    const bool last = stopping_.load();
    // Who was told and did not come is busy.
    if (due_.exchange(false)) fetches_.store(false);
    const bool fetched = fetches_.load();
    if (fetched && pause_us >= least_shared_us && !last) {
      waited = there || held;
      held = false;
      if (waited) {
        due_.store(true);
        ready_();
      }
    } else {
      const std::lock_guard draining(draining_);
      while (fill(*filling_)) hand_over_all();
      if (last) {
        hand_over(*filling_);
        break;
      }
      const double now = now_ms();
      // A clock that was put back does not hold anything back.
      const bool early = now >= handed_ms && now - handed_ms < between_blocks_ms;
      if (!early) hand_over_all();
      held = early;
      // After a time without any the next one wakes us.
      waited = early;
    }
    bool long_pause = false;
    for (const auto& socket : sockets_) {
      if (socket->since_pause.exchange(0) > socket->most_in_pause) long_pause = true;
    }
    pause_us = long_pause ? std::max(pause_us / 2, shortest_pause_us)
                          : std::min(pause_us + pause_us / 8 + 1,
                                     fetched && roomy ? longest_fetched_us : longest_pause_us);
    if (waited) pause(pause_us);
  }
  ended_.store(true);
  ready_();
}

void DatagramReceiver::pause(int64_t us) const noexcept {
  pollfd woken{wake_descriptor_, POLLIN, 0};
  const timespec time{us / 1000000, us % 1000000 * 1000};
  ppoll(&woken, 1, &time, nullptr);
}

}  // namespace darta
