#include "capture/packet_ring.h"

#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace darta {
namespace {

/// Room in front of each frame for a VLAN tag that the kernel took off, or a cooked header.
constexpr int reserved_octets = 32;
constexpr uint32_t sll2_octets = 20;

constexpr uint16_t all_protocols = 0x0003;

int set_option(int socket, int name, const void* value, socklen_t size) noexcept {
  return setsockopt(socket, SOL_PACKET, name, value, size);
}

sock_fprog program_of(const std::vector<sock_filter>& instructions) noexcept {
  return {static_cast<unsigned short>(instructions.size()),
          const_cast<sock_filter*>(instructions.data())};
}

}  // namespace

PacketRing::~PacketRing() {
  if (map_ != nullptr) munmap(map_, blocks_ * block_octets);
  if (socket_ >= 0) close(socket_);
}

OpenFault PacketRing::open(const RingOptions& o) noexcept {
  const auto fault = [](const char* call) { return OpenFault{call, errno}; };
  unsigned index = 0;
  cooked_ = o.interface.empty();
  if (!cooked_) {
    index = if_nametoindex(o.interface.c_str());
    if (index == 0) return fault("if_nametoindex");
    uint16_t hardware = 0;
    if (const OpenFault unknown = hardware_type(o.interface.c_str(), hardware);
        unknown.call != nullptr)
      return unknown;
    cooked_ = !link_type_of(hardware, link_type_);
  }
  if (cooked_) link_type_ = 276;
  socket_ = ::socket(AF_PACKET, (cooked_ ? SOCK_DGRAM : SOCK_RAW) | SOCK_CLOEXEC, 0);
  if (socket_ < 0) return fault("socket(AF_PACKET)");
  const int version = TPACKET_V3;
  if (set_option(socket_, PACKET_VERSION, &version, sizeof version) != 0)
    return fault("PACKET_VERSION");
  if (set_option(socket_, PACKET_RESERVE, &reserved_octets, sizeof reserved_octets) != 0)
    return fault("PACKET_RESERVE");
  blocks_ = std::max<size_t>(o.ring_octets / block_octets, 4);
  tpacket_req3 ring{};
  ring.tp_block_size = block_octets;
  ring.tp_block_nr = static_cast<unsigned>(blocks_);
  ring.tp_frame_size = 2048;
  ring.tp_frame_nr = static_cast<unsigned>(blocks_ * (block_octets / 2048));
  ring.tp_retire_blk_tov = o.block_ms;
  if (set_option(socket_, PACKET_RX_RING, &ring, sizeof ring) != 0) return fault("PACKET_RX_RING");
  if (o.filter_descriptor > 0) {
    if (setsockopt(socket_, SOL_SOCKET, SO_ATTACH_BPF, &o.filter_descriptor,
                   sizeof o.filter_descriptor) != 0)
      return fault("SO_ATTACH_BPF");
  } else if (!o.filter.empty()) {
    sock_fprog program = program_of(o.filter);
    if (setsockopt(socket_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) != 0)
      return fault("SO_ATTACH_FILTER");
  }
  void* const map = mmap(nullptr, blocks_ * block_octets, PROT_READ | PROT_WRITE,
                         MAP_SHARED | MAP_POPULATE, socket_, 0);
  if (map == MAP_FAILED) return fault("mmap");
  map_ = static_cast<uint8_t*>(map);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = network(all_protocols);
  address.sll_ifindex = static_cast<int>(index);
  if (bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return fault("bind");
  if (o.promiscuous && index != 0) {
    packet_mreq membership{};
    membership.mr_ifindex = static_cast<int>(index);
    membership.mr_type = PACKET_MR_PROMISC;
    if (set_option(socket_, PACKET_ADD_MEMBERSHIP, &membership, sizeof membership) != 0)
      return fault("PACKET_ADD_MEMBERSHIP");
  }
  if (o.fanout_group != 0) {
    const int group = o.fanout_group | PACKET_FANOUT_CBPF << 16;
    if (set_option(socket_, PACKET_FANOUT, &group, sizeof group) != 0)
      return fault("PACKET_FANOUT");
    sock_fprog program = program_of(o.fanout);
    if (set_option(socket_, PACKET_FANOUT_DATA, &program, sizeof program) != 0)
      return fault("PACKET_FANOUT_DATA");
  }
  // Nothing may take the filter off again. A locked socket takes no fanout program, so this comes last.
  const int locked = o.changeable ? 0 : 1;
  if (setsockopt(socket_, SOL_SOCKET, SO_LOCK_FILTER, &locked, sizeof locked) != 0)
    return fault("SO_LOCK_FILTER");
  frames_.reserve(16384);
  if (o.early.empty()) return {};
  early_ = std::make_unique<XdpProgram>(o.interface);
  const OpenFault refused = early_->load(o.early, 0);
  return refused.call != nullptr ? refused : early_->attach();
}

SourceStatistics PacketRing::statistics() noexcept {
  tpacket_stats_v3 stats{};
  socklen_t size = sizeof stats;
  // The kernel's counters start anew with each call.
  if (getsockopt(socket_, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0) {
    statistics_.packets += stats.tp_packets;
    statistics_.drops += stats.tp_drops;
    statistics_.freezes += stats.tp_freeze_q_cnt;
  }
  return statistics_;
}

int PacketRing::error() noexcept {
  int value = 0;
  socklen_t size = sizeof value;
  if (getsockopt(socket_, SOL_SOCKET, SO_ERROR, &value, &size) != 0) return errno;
  if (value == ENETDOWN) down_ = true;
  if (!down_) return value;
  // The kernel says the same of an interface that is down and of one that is gone, and says it once.
  // But the socket stays bound only to the first, and gets its frames again when it is up.
  sockaddr_ll address{};
  size = sizeof address;
  const bool bound = getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
                     address.sll_ifindex >= 0;
  return bound ? value : ENODEV;
}

int PacketRing::change_filter(const std::vector<sock_filter>& filter) noexcept {
  sock_fprog program = program_of(filter);
  return setsockopt(socket_, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0 ? 0
                                                                                          : errno;
}

const std::vector<Frame>& PacketRing::next() noexcept {
  frames_.clear();
  auto* const descriptor = reinterpret_cast<tpacket_block_desc*>(block(at_));
  const uint32_t status = __atomic_load_n(&descriptor->hdr.bh1.block_status, __ATOMIC_ACQUIRE);
  if ((status & TP_STATUS_USER) == 0) return frames_;
  uint8_t* header = block(at_) + descriptor->hdr.bh1.offset_to_first_pkt;
  const uint32_t count = descriptor->hdr.bh1.num_pkts;
  for (uint32_t i = 0; i < count; ++i) {
    const auto* const packet = reinterpret_cast<const tpacket3_hdr*>(header);
    __builtin_prefetch(header + packet->tp_next_offset);
    add(header);
    header += packet->tp_next_offset;
  }
  // A block that timed out without a packet goes straight back.
  if (count == 0) release();
  return frames_;
}

void PacketRing::release() noexcept {
  auto* const descriptor = reinterpret_cast<tpacket_block_desc*>(block(at_));
  __atomic_store_n(&descriptor->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  at_ = at_ + 1 == blocks_ ? 0 : at_ + 1;
  frames_.clear();
}

void PacketRing::add(uint8_t* header) noexcept {
  const auto& packet = *reinterpret_cast<const tpacket3_hdr*>(header);
  const auto& link =
      *reinterpret_cast<const sockaddr_ll*>(header + TPACKET_ALIGN(sizeof(tpacket3_hdr)));
  Frame frame;
  uint8_t* octets = header + (cooked_ ? packet.tp_net : packet.tp_mac);
  frame.captured = packet.tp_snaplen;
  frame.original = packet.tp_len;
  const bool tagged = (packet.tp_status & TP_STATUS_VLAN_VALID) != 0;
  const uint16_t tag_type = (packet.tp_status & TP_STATUS_VLAN_TPID_VALID) != 0
                                ? packet.hv1.tp_vlan_tpid
                                : uint16_t{0x8100};
  if (cooked_) {
    // LINKTYPE_LINUX_SLL2; a tag goes behind it, before the protocol it stood before on the wire.
    uint16_t protocol = network(link.sll_protocol);
    if (tagged) {
      octets -= 4;
      put_be16(octets, static_cast<uint16_t>(packet.hv1.tp_vlan_tci));
      put_be16(octets + 2, protocol);
      protocol = tag_type;
      frame.captured += 4;
      frame.original += 4;
    }
    octets -= sll2_octets;
    put_be16(octets, protocol);
    put_be16(octets + 2, 0);
    put_be32(octets + 4, static_cast<uint32_t>(link.sll_ifindex));
    put_be16(octets + 8, link.sll_hatype);
    octets[10] = link.sll_pkttype;
    octets[11] = link.sll_halen;
    std::memcpy(octets + 12, link.sll_addr, 8);
    frame.captured += sll2_octets;
    frame.original += sll2_octets;
  } else if (tagged && link_type_ == 1 && frame.captured >= 12) {
    // The kernel keeps a tag apart: put it back where it was.
    std::memmove(octets - 4, octets, 12);
    octets -= 4;
    put_be16(octets + 12, tag_type);
    put_be16(octets + 14, static_cast<uint16_t>(packet.hv1.tp_vlan_tci));
    frame.captured += 4;
    frame.original += 4;
  }
  frame.octets = octets;
  frame.link_type = link_type_;
  frame.interface = static_cast<uint32_t>(link.sll_ifindex);
  frame.time = static_cast<int64_t>(packet.tp_sec) * 1000000000 + packet.tp_nsec;
  frame.offset = frames_before_++;
  frames_.push_back(frame);
}

}  // namespace darta
