#include "meter/capacity.h"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>

#include "capture/packet_ring.h"
#include "meter/driver_frames.h"

namespace darta {
namespace {

constexpr uint32_t messages = 64;
constexpr size_t ethernet_octets = 14;

/// Processor time of this thread: what others take meanwhile does not count. The kernel receives on
/// a veth pair in the thread that sends.
double now_ns() noexcept {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

double lower_quartile(std::vector<double>& values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 4];
}

/// A failed call, thrown no further than `measure_capacity`; nothing here throws exceptions.
struct Fault {
  const char* call = nullptr;
  int error = 0;
  bool set(const char* what) noexcept {
    call = what;
    error = errno;
    return false;
  }
};

/// One rtnetlink request that makes an interface, or a veth pair. rtnetlink(7).
class LinkRequest {
 public:
  /// `peer`: of veth; else nullptr.
  LinkRequest(const char* kind, const char* name, const char* peer) noexcept {
    header_.nlmsg_type = RTM_NEWLINK;
    header_.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
    put(&header_, sizeof header_);
    const ifinfomsg link{};
    put(&link, sizeof link);
    attribute(IFLA_IFNAME, name, std::strlen(name) + 1);
    const size_t info = begin(IFLA_LINKINFO);
    attribute(IFLA_INFO_KIND, kind, std::strlen(kind) + 1);
    if (peer != nullptr) {
      const size_t data = begin(IFLA_INFO_DATA);
      const size_t other = begin(VETH_INFO_PEER);
      put(&link, sizeof link);
      attribute(IFLA_IFNAME, peer, std::strlen(peer) + 1);
      end(other);
      end(data);
    }
    end(info);
    header_.nlmsg_len = static_cast<uint32_t>(size_);
    std::memcpy(octets_, &header_, sizeof header_);
  }

  bool send(Fault& fault) const noexcept {
    const int socket = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (socket < 0) return fault.set("socket(AF_NETLINK)");
    char answer[1024];
    bool done = ::send(socket, octets_, size_, 0) >= 0;
    const ssize_t got = done ? recv(socket, answer, sizeof answer, 0) : -1;
    ::close(socket);
    if (got < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(nlmsgerr)))) return fault.set("RTM_NEWLINK");
    const auto* const said = reinterpret_cast<const nlmsgerr*>(answer + NLMSG_HDRLEN);
    if (said->error == 0) return true;
    errno = -said->error;
    return fault.set("RTM_NEWLINK");
  }

 private:
  void put(const void* data, size_t size) noexcept {
    std::memcpy(octets_ + size_, data, size);
    size_ += NLMSG_ALIGN(size);
  }
  void attribute(uint16_t type, const void* data, size_t size) noexcept {
    const rtattr head = {static_cast<unsigned short>(RTA_LENGTH(size)), type};
    put(&head, sizeof head);
    put(data, size);
  }
  size_t begin(uint16_t type) noexcept {
    const size_t at = size_;
    const rtattr head = {0, type};
    put(&head, sizeof head);
    return at;
  }
  void end(size_t at) noexcept {
    const auto length = static_cast<unsigned short>(size_ - at);
    std::memcpy(octets_ + at, &length, sizeof length);
  }

  nlmsghdr header_{};
  uint8_t octets_[512] = {};
  size_t size_ = 0;
};

bool set_up(const char* name, Fault& fault) noexcept {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return fault.set("socket");
  ifreq request{};
  std::memcpy(request.ifr_name, name, std::min(std::strlen(name), sizeof request.ifr_name - 1));
  request.ifr_flags = IFF_UP | IFF_NOARP;
  const bool done = ioctl(socket, SIOCSIFFLAGS, &request) == 0;
  const int error = errno;
  ::close(socket);
  errno = error;
  return done || fault.set("SIOCSIFFLAGS");
}

/// Lets the interface receive in polls, as drivers of cards do; without, frames of a driver come to no
/// veth.
bool set_polls(const char* name) noexcept {
  const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (socket < 0) return false;
  ethtool_value value{ETHTOOL_SGRO, 1};
  ifreq request{};
  std::memcpy(request.ifr_name, name, std::min(std::strlen(name), sizeof request.ifr_name - 1));
  request.ifr_data = reinterpret_cast<char*>(&value);
  const bool done = ioctl(socket, SIOCETHTOOL, &request) == 0;
  ::close(socket);
  return done;
}

/// A frame of UDP in IPv4.
std::vector<uint8_t> frame_of(uint32_t size) {
  std::vector<uint8_t> frame(size, 0);
  uint8_t* const f = frame.data();
  f[0] = f[6] = 2;
  f[5] = 1;
  f[11] = 2;
  put_be16(f + 12, 0x0800);
  f[14] = 0x45;
  put_be16(f + 16, static_cast<uint16_t>(size - ethernet_octets));
  f[22] = 64;
  f[23] = 17;
  put_be32(f + 26, 0x0a000001);
  put_be32(f + 30, 0xc0000201);
  put_be16(f + 36, 53);
  put_be16(f + 38, static_cast<uint16_t>(size - ethernet_octets - 20));
  return frame;
}

/// Octets of each frame that is sent.
uint32_t frame_size(const CapacityOptions& options) noexcept {
  return std::clamp<uint32_t>(options.frame_octets, 64, 1514);
}

/// Frames of UDP in IPv4 of many Flows, sent to one end of a pair.
class Sender {
 public:
  ~Sender() {
    if (socket_ >= 0) ::close(socket_);
  }

  bool open(const char* name, const CapacityOptions& options, Fault& fault) {
    flows_ = std::max(options.flows, 1U);
    size_ = frame_size(options);
    socket_ = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return fault.set("socket(AF_PACKET)");
    const int yes = 1;
    setsockopt(socket_, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_ifindex = static_cast<int>(if_nametoindex(name));
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      return fault.set("bind");
    const std::vector<uint8_t> frame = frame_of(size_);
    frames_.reserve(size_t{messages} * size_);
    for (uint32_t i = 0; i < messages; ++i) {
      frames_.insert(frames_.end(), frame.begin(), frame.end());
      vectors_[i] = {frames_.data() + size_t{i} * size_, size_};
      list_[i] = {};
      list_[i].msg_hdr.msg_iov = &vectors_[i];
      list_[i].msg_hdr.msg_iovlen = 1;
    }
    return true;
  }

  /// Nanoseconds a frame; below 0 if they cannot be sent.
  double send(uint32_t count) noexcept {
    const double start = now_ns();
    for (uint32_t sent = 0; sent < count;) {
      for (uint32_t i = 0; i < messages; ++i) {
        const uint32_t flow = next_++ % flows_;
        put_be32(static_cast<uint8_t*>(vectors_[i].iov_base) + 26, 0x0a000000 + flow);
        put_be16(static_cast<uint8_t*>(vectors_[i].iov_base) + 34,
                 static_cast<uint16_t>(1024 + (flow & 0x7fff)));
      }
      const int done = sendmmsg(socket_, list_, messages, 0);
      if (done < 0 && errno != ENOBUFS && errno != EAGAIN && errno != ENETDOWN) return -1;
      sent += messages;
    }
    return (now_ns() - start) / count;
  }

 private:
  int socket_ = -1;
  uint32_t flows_ = 1;
  uint32_t size_ = 0;
  uint32_t next_ = 0;
  std::vector<uint8_t> frames_;
  iovec vectors_[messages] = {};
  mmsghdr list_[messages] = {};
};

/// One way to receive: what it costs more than others is what is wanted.
struct Lane {
  Sender sender;
  PacketRing ring;
  /// In the place of the sender, for frames that a driver hands over.
  DriverFrames driver;
  std::unique_ptr<XdpProgram> early;
  bool used = false;
  std::vector<double> sent;

  /// Nanoseconds a frame; below 0 if they cannot be sent.
  double send(uint32_t count, bool by_driver) noexcept {
    if (!by_driver) return sender.send(count);
    const double start = now_ns();
    return driver.send(count) ? (now_ns() - start) / count : -1;
  }
};

enum : size_t {
  lane_nowhere,
  lane_none,
  lane_reject_all,
  lane_reject,
  lane_turn,
  lane_accept,
  lane_whole,
  // By a driver from here on.
  lane_driver_nowhere,
  lane_driver_none,
  lane_early_drop,
  lane_early_pass,
  lane_count
};

/// Sets up one of the ways of a driver's frames; false where this kernel has none.
bool open_driver_lane(Lane& lane, size_t number, const char* name, const char* peer,
                      const CapacityOptions& options) {
  const bool nowhere = number == lane_driver_nowhere;
  const OpenFault refused =
      lane.driver.open(name, frame_of(frame_size(options)),
                       nowhere ? DriverFrames::Way::nowhere : DriverFrames::Way::pair);
  if (refused.call != nullptr || (!nowhere && !set_polls(peer))) return false;
  const std::vector<uint8_t>* program = nullptr;
  if (number == lane_early_drop) program = &options.early_drop;
  if (number == lane_early_pass) program = &options.early_pass;
  if (program != nullptr) {
    lane.early = std::make_unique<XdpProgram>(peer);
    if (lane.early->load(*program, 0).call != nullptr || lane.early->attach().call != nullptr)
      return false;
  }
  return lane.driver.send(64);
}

/// Empties a ring, into a meter if there is one. Returns nanoseconds a packet.
double drain(PacketRing& ring, uint64_t wanted, Meter* meter, std::string& call) {
  double spent = 0;
  uint64_t packets = 0;
  while (packets < wanted) {
    const double start = now_ns();
    const std::vector<Frame>& frames = ring.next();
    if (frames.empty()) {
      // The last block is handed over when its time is up.
      pollfd waiting = {ring.descriptor(), POLLIN, 0};
      if (poll(&waiting, 1, 120) <= 0) break;
      continue;
    }
    packets += frames.size();
    if (meter != nullptr && meter->take(frames) != MeterStatus::ok) call = "metering";
    ring.release();
    spent += now_ns() - start;
    if (meter != nullptr) {
      for (const Output& output : meter->take_outputs()) std::free(output.octets);
    }
  }
  return packets == 0 ? -1 : spent / static_cast<double>(packets);
}

bool measure(const CapacityOptions& options, Capacity& capacity, std::string& call, int& error) {
  Fault fault;
  const auto failed = [&] {
    call = fault.call;
    error = fault.error;
    return false;
  };
  if (unshare(CLONE_NEWNET) != 0) {
    fault.set("unshare(CLONE_NEWNET)");
    return failed();
  }
  // Nothing but our own frames.
  if (const int file = ::open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);
      file >= 0) {
    static_cast<void>(!write(file, "1", 1));
    ::close(file);
  }
  Lane lanes[lane_count];
  for (size_t i = 0; i < lane_count; ++i) {
    if (i == lane_turn && options.turn <= 0) continue;
    char name[16] = "outa";
    char peer[16] = "ina";
    name[3] = peer[2] = static_cast<char>('a' + i);
    Lane& lane = lanes[i];
    if (i == lane_nowhere) {
      // Interfaces that drop what is sent to them; where there is neither, sending counts as receiving.
      if (!LinkRequest("dummy", name, nullptr).send(fault) &&
          !LinkRequest("ifb", name, nullptr).send(fault))
        continue;
    } else if (!LinkRequest("veth", name, peer).send(fault) || !set_up(peer, fault)) {
      return failed();
    }
    if (!set_up(name, fault)) return failed();
    if (i >= lane_driver_nowhere) {
      lane.used = open_driver_lane(lane, i, name, peer, options);
      continue;
    }
    lane.used = true;
    if (i >= lane_reject_all) {
      RingOptions ring;
      ring.interface = peer;
      ring.ring_octets = size_t{32} << 20;
      if (i == lane_turn) ring.filter_descriptor = options.turn;
      if (i == lane_reject_all) ring.filter = {{BPF_RET | BPF_K, 0, 0, 0}};
      if (i == lane_reject) ring.filter = options.reject;
      if (i == lane_accept) ring.filter = options.accept;
      if (i == lane_whole) ring.filter = options.whole;
      if (const OpenFault refused = lane.ring.open(ring); refused.call != nullptr) {
        call = refused.call;
        error = refused.error;
        return false;
      }
    }
    if (!lane.sender.open(name, options, fault)) return failed();
  }
  std::string words;
  const std::unique_ptr<Meter> meter = Meter::create(options.meter, words);
  if (!meter) {
    call = words;
    return false;
  }
  std::vector<double> metered;
  for (uint32_t round = 0; round <= options.rounds; ++round) {
    for (size_t i = 0; i < lane_count; ++i) {
      // In turns that begin elsewhere each time: what slows the machine for a while meets all.
      const size_t at = (i + round) % lane_count;
      Lane& lane = lanes[at];
      if (!lane.used) continue;
      const double each = lane.send(options.batch, at >= lane_driver_nowhere);
      if (each < 0) {
        fault.set("sendmmsg");
        return failed();
      }
      double read = 0;
      if (at == lane_accept || at == lane_whole)
        read = drain(lane.ring, options.batch, at == lane_accept ? meter.get() : nullptr, call);
      if (read < 0) {
        call = "reading the ring: no packet came";
        return false;
      }
      if (round == 0) continue;
      lane.sent.push_back(each);
      if (at == lane_accept) metered.push_back(read);
    }
  }
  const auto cost = [&](size_t lane) { return lower_quartile(lanes[lane].sent); };
  const auto more = [&](size_t lane, size_t than) {
    return std::max(cost(lane) - cost(than), 0.0);
  };
  capacity.send = cost(lane_nowhere);
  capacity.receive = more(lane_none, lane_nowhere);
  capacity.reject_all = more(lane_reject_all, lane_none);
  capacity.reject = more(lane_reject, lane_none);
  capacity.reject_turn = options.turn > 0 ? more(lane_turn, lane_none) : 0;
  capacity.accept = more(lane_accept, lane_none);
  capacity.accept_whole = more(lane_whole, lane_none);
  capacity.meter = lower_quartile(metered);
  bool by_driver = true;
  for (size_t i = lane_driver_nowhere; i < lane_count; ++i) by_driver = by_driver && lanes[i].used;
  if (by_driver) {
    capacity.early_drop = more(lane_early_drop, lane_driver_nowhere);
    capacity.early_pass = more(lane_early_pass, lane_driver_none);
  }
  return true;
}

}  // namespace

bool measure_capacity(const CapacityOptions& options, Capacity& capacity, std::string& call,
                      int& error) {
  bool done = false;
  // A network namespace is a thread's own, and goes away with the last that is in it.
  std::thread worker([&] { done = measure(options, capacity, call, error); });
  worker.join();
  return done;
}

}  // namespace darta
