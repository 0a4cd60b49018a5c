#include "capture/xdp_socket.h"

#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <utility>

namespace darta {
namespace {

// Headers of older kernels do not know these.
constexpr uint16_t use_scattered = 1 << 4;     // XDP_USE_SG
constexpr uint32_t packet_continued = 1 << 0;  // XDP_PKT_CONTD

/// Octets of each chunk of frame memory; the kernel keeps 256 of them before the frame.
constexpr uint32_t chunk_octets = 2048;
constexpr uint32_t least_frames = 1024;
constexpr uint32_t most_frames = 1 << 20;
/// Frames that are shown at a time.
constexpr uint32_t batch_frames = 1024;
/// What the program puts before each frame: this word and the time, both in the machine's order.
constexpr uint64_t time_mark = 0x64617274612d7473;
constexpr size_t mark_octets = 16;
/// The offset between the clocks only changes when someone sets the time.
constexpr int64_t clock_measure_ns = 200'000'000;
constexpr int64_t clock_tolerance_ns = 20'000;

uint64_t address(const void* at) noexcept { return reinterpret_cast<uintptr_t>(at); }

uint32_t load_acquire(const uint32_t* at) noexcept { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }
void store_release(uint32_t* at, uint32_t value) noexcept {
  __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

}  // namespace

XdpSocket::~XdpSocket() {
  for (const Ring& ring : {receive_, fill_}) {
    if (ring.map != nullptr) munmap(ring.map, ring.map_octets);
  }
  for (const int descriptor : {socket_, membership_}) {
    if (descriptor >= 0) close(descriptor);
  }
  if (frames_map_ != nullptr) munmap(frames_map_, frames_map_octets_);
}

OpenFault XdpSocket::open(const XdpOptions& o, std::shared_ptr<XdpProgram>& program) noexcept {
  const auto fault = [](const char* call) { return OpenFault{call, errno}; };
  interface_ = if_nametoindex(o.interface.c_str());
  if (interface_ == 0) return fault("if_nametoindex");
  uint16_t hardware = 0;
  OpenFault failed = hardware_type(o.interface.c_str(), hardware);
  if (failed.call != nullptr) return failed;
  if (!link_type_of(hardware, link_type_)) return {"SIOCGIFHWADDR", EOPNOTSUPP};
  snap_octets_ = o.snap_octets;
  socket_ = ::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return fault("socket(AF_XDP)");
  const size_t wanted =
      std::clamp<size_t>(o.buffer_octets / chunk_octets, least_frames, most_frames);
  count_ = static_cast<uint32_t>(std::bit_floor(wanted));
  // More than four frames a microsecond are not copied by one processor.
  gather_us_ = count_ / 4;
  failed = open_rings();
  if (failed.call != nullptr) return failed;
  if (!program) {
    program = std::make_shared<XdpProgram>(o.interface);
    failed = program->load(o.instructions, o.queues);
    if (failed.call != nullptr) return failed;
  }
  program_ = program;
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = interface_;
  address.sxdp_queue_id = o.queue;
  // Frames of more than a page come in several chunks where the kernel can do that.
  address.sxdp_flags = XDP_USE_NEED_WAKEUP | use_scattered;
  int bound = bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (bound != 0 && errno == EINVAL) {
    address.sxdp_flags = XDP_USE_NEED_WAKEUP;
    bound = bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  if (bound != 0) return fault("bind(AF_XDP)");
  if (o.promiscuous && o.queue == 0) {
    // A packet socket without a protocol sees nothing; it only holds the membership.
    membership_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (membership_ < 0) return fault("socket(AF_PACKET)");
    packet_mreq membership{};
    membership.mr_ifindex = static_cast<int>(interface_);
    membership.mr_type = PACKET_MR_PROMISC;
    if (setsockopt(membership_, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership,
                   sizeof membership) != 0)
      return fault("PACKET_ADD_MEMBERSHIP");
  }
  clock_offset_ = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_MONOTONIC);
  measure_clock();
  used_.reserve(batch_frames);
  frames_.reserve(batch_frames);
  return program_->add(o.queue, socket_);
}

OpenFault XdpSocket::map_ring(Ring& ring, const void* given, size_t entry_octets,
                              uint64_t page_offset) noexcept {
  const auto& offsets = *static_cast<const xdp_ring_offset*>(given);
  ring.map_octets = offsets.desc + count_ * entry_octets;
  void* const map = mmap(nullptr, ring.map_octets, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_POPULATE, socket_, static_cast<off_t>(page_offset));
  if (map == MAP_FAILED) return {"mmap", errno};
  ring.map = map;
  auto* const octets = static_cast<uint8_t*>(map);
  ring.producer = reinterpret_cast<uint32_t*>(octets + offsets.producer);
  ring.consumer = reinterpret_cast<uint32_t*>(octets + offsets.consumer);
  ring.entries = octets + offsets.desc;
  return {};
}

OpenFault XdpSocket::open_rings() noexcept {
  const auto fault = [](const char* call) { return OpenFault{call, errno}; };
  frames_map_octets_ = size_t{count_} * chunk_octets;
  void* const map = mmap(nullptr, frames_map_octets_, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (map == MAP_FAILED) return fault("mmap");
  frames_map_ = static_cast<uint8_t*>(map);
  xdp_umem_reg memory{};
  memory.addr = address(frames_map_);
  memory.len = frames_map_octets_;
  memory.chunk_size = chunk_octets;
  if (setsockopt(socket_, SOL_XDP, XDP_UMEM_REG, &memory, sizeof memory) != 0)
    return fault("XDP_UMEM_REG");
  const auto ring = [&](int option, uint32_t size) {
    return setsockopt(socket_, SOL_XDP, option, &size, sizeof size) == 0;
  };
  if (!ring(XDP_UMEM_FILL_RING, count_)) return fault("XDP_UMEM_FILL_RING");
  // Nothing is sent, but the kernel wants the ring.
  if (!ring(XDP_UMEM_COMPLETION_RING, 64)) return fault("XDP_UMEM_COMPLETION_RING");
  if (!ring(XDP_RX_RING, count_)) return fault("XDP_RX_RING");
  xdp_mmap_offsets offsets{};
  socklen_t size = sizeof offsets;
  if (getsockopt(socket_, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) != 0)
    return fault("XDP_MMAP_OFFSETS");
  OpenFault failed = map_ring(receive_, &offsets.rx, sizeof(xdp_desc), XDP_PGOFF_RX_RING);
  if (failed.call != nullptr) return failed;
  failed = map_ring(fill_, &offsets.fr, sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING);
  if (failed.call != nullptr) return failed;
  for (uint64_t i = 0; i < count_; ++i)
    store(fill_.entries + i * sizeof(uint64_t), i * chunk_octets);
  filled_ = count_;
  store_release(fill_.producer, filled_);
  return {};
}

/// Frames carry the monotonic clock, which programs may read; records the time of day.
void XdpSocket::measure_clock() noexcept {
  const int64_t before = clock_ns(CLOCK_MONOTONIC);
  const int64_t day = clock_ns(CLOCK_REALTIME);
  const int64_t after = clock_ns(CLOCK_MONOTONIC);
  // A thread that was stopped between the readings knows no more than that.
  const int64_t offset = day - (before + after) / 2;
  const int64_t unsure = std::max(after - before - clock_tolerance_ns / 4, int64_t{0});
  if (std::abs(offset - clock_offset_) > clock_tolerance_ns + unsure) clock_offset_ = offset;
  clock_measured_ = after;
}

SourceStatistics XdpSocket::statistics() noexcept {
  SourceStatistics all;
  xdp_statistics counted{};
  socklen_t size = sizeof counted;
  if (getsockopt(socket_, SOL_XDP, XDP_STATISTICS, &counted, &size) == 0)
    all.drops = counted.rx_dropped + counted.rx_ring_full;
  all.packets = received_.load(std::memory_order_relaxed) + all.drops;
  return all;
}

int XdpSocket::error() noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &value, &size) != 0) return errno;
  // An interface that is only down does not trouble the socket.
  return value == ENETDOWN ? ENODEV : value;
}

void XdpSocket::add(const uint8_t* octets, uint32_t captured, uint32_t original, int64_t time) {
  frames_.push_back({.octets = octets,
                     .captured = std::min(captured, snap_octets_),
                     .original = original,
                     .link_type = link_type_,
                     .interface = interface_,
                     .time = time,
                     .offset = frames_before_++});
}

const std::vector<Frame>& XdpSocket::next() noexcept {
  frames_.clear();
  const uint32_t ready = load_acquire(receive_.producer) - read_;
  if (ready == 0) return frames_;
  const uint32_t batch = std::min(ready, batch_frames);
  int64_t now = clock_ns(CLOCK_MONOTONIC);
  if (now - clock_measured_ > clock_measure_ns) measure_clock();
  for (uint32_t i = 0; i < batch; ++i) {
    const auto slot = size_t{(read_ + i) & (count_ - 1)};
    xdp_desc descriptor;
    std::memcpy(&descriptor, receive_.entries + slot * sizeof descriptor, sizeof descriptor);
    used_.push_back(descriptor.addr & ~uint64_t{chunk_octets - 1});
    uint8_t* const octets = frames_map_ + descriptor.addr;
    const bool more = (descriptor.options & packet_continued) != 0;
    int64_t time = continued_time_;
    if (!continued_) {
      uint8_t* const mark = octets - mark_octets;
      const bool marked = load<uint64_t>(mark) == time_mark;
      time = clock_offset_ + (marked ? load<int64_t>(mark + 8) : now);
      // The chunk's next frame may have none.
      if (marked) store(mark, uint64_t{0});
      if (!more) {
        add(octets, descriptor.len, descriptor.len, time);
        continue;
      }
      continued_ = true;
      continued_time_ = time;
    }
    continued_original_ += descriptor.len;
    const size_t room = snap_octets_ - std::min<size_t>(snap_octets_, continued_octets_.size());
    continued_octets_.insert(continued_octets_.end(), octets,
                             octets + std::min<size_t>(room, descriptor.len));
    if (more) continue;
    whole_.push_back(std::exchange(continued_octets_, {}));
    add(whole_.back().data(), static_cast<uint32_t>(whole_.back().size()), continued_original_,
        time);
    continued_ = false;
    continued_original_ = 0;
  }
  read_ += batch;
  received_.fetch_add(frames_.size(), std::memory_order_relaxed);
  // Chunks of a frame that goes on are copied already.
  if (frames_.empty()) release();
  return frames_;
}

void XdpSocket::release() noexcept {
  store_release(receive_.consumer, read_);
  for (const uint64_t chunk : used_) {
    store(fill_.entries + size_t{filled_ & (count_ - 1)} * sizeof(uint64_t), chunk);
    ++filled_;
  }
  store_release(fill_.producer, filled_);
  used_.clear();
  frames_.clear();
  whole_.clear();
}

}  // namespace darta
