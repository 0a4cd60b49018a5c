// From a frame to the IP header that is metered. docs/METERING.md section 2.
#pragma once
#include <optional>

#include "capture/reader.h"
#include "meter/fragments.h"

namespace darta {

/// What becomes of a frame: metered, or skipped or lost for a reason.
enum class Verdict : uint8_t {
  metered,
  // skipped
  short_frame,
  not_ip,
  arp,
  rarp,
  lldp,
  pppoe_discovery,
  eapol,
  slow_protocols,
  ptp,
  cfm,
  loopback_test,
  nsh,
  llc,
  nesting,
  ppp_control,
  wlan_null,
  wlan_protected,
  wlan_management,
  wlan_control,
  wlan_extension,
  // lost
  ip_version,
  ip_header_short,
  // skipped, with the number in Dissector::detail()
  ethertype,
  link_type,
};
constexpr size_t verdict_count = static_cast<size_t>(Verdict::link_type) + 1;
/// Word for the ledger; empty for `metered` and the two with a number.
[[nodiscard]] const char* verdict_name(Verdict verdict) noexcept;
[[nodiscard]] constexpr bool is_lost(Verdict v) noexcept {
  return v == Verdict::ip_version || v == Verdict::ip_header_short;
}

struct DissectOptions {
  /// KeyPart bits.
  uint32_t key = 0;
  bool decap = false;
  /// Also fill the fields of Packet that only chosen options need.
  bool rich = false;
};

/// An IP packet and what its headers say.
struct Ip {
  /// From its header to the end of what was captured.
  Octets octets;
  /// Behind its headers, cut to its length and to what was captured.
  Octets payload;
  /// IP length.
  uint32_t length;
  /// Ports as in the packet, source first.
  uint32_t ports;
  uint32_t flow_label;
  uint16_t tcp_flags;
  uint16_t icmp;
  uint8_t version;
  uint8_t protocol;
  uint8_t tos;
  uint8_t ttl;
  uint8_t fragment_flags;
  /// A fragment with an offset: no transport header in it.
  bool later;
};

class Dissector {
 public:
  Dissector(const DissectOptions& options, const HashSeeds& seeds) noexcept;

  /// Fills `packet` but for its times, tag and offset if the verdict is `metered`.
  Verdict dissect(const Frame& frame, int64_t clock, Packet& packet);
  /// Ethertype or link type of the last verdict that has one.
  [[nodiscard]] uint32_t detail() const noexcept { return detail_; }

 private:
  /// What stands in front of the outermost IP header.
  struct Outside {
    uint64_t vlans = 0;
    unsigned vlan_count = 0;
    bool labelled = false;
    uint32_t mpls = 0;
    const uint8_t* mac = nullptr;

    void add_vlan(uint16_t id) noexcept {
      if (vlan_count < 4) vlans |= static_cast<uint64_t>(id) << (12 * vlan_count++);
    }
    void add_label(uint32_t label) noexcept {
      if (!labelled) mpls = label;
      labelled = true;
    }
  };

  /// What `dissect` does for frames that are not just IP in Ethernet.
  Verdict dissect_other(const Frame& frame, int64_t clock, Packet& packet);
  /// Reads the IP packet at `rest` into `packet`.
  Verdict meter_ip(const Frame& frame, Octets rest, const Outside& outside, int64_t clock,
                   Packet& packet);
  Verdict find_ip(const Frame& frame, Octets& rest, Outside& outside);
  Verdict by_ethertype(uint16_t type, Octets& rest, Outside* outside);
  Verdict ethernet(Octets& rest, Outside* outside);
  /// Reads a PPP header: `metered` before IP, and with `mpls` before a label stack.
  static Verdict ppp(Octets& rest, bool& mpls) noexcept;
  Verdict wlan(Octets& rest, Outside* outside);
  static Verdict nflog(Octets& rest) noexcept;
  /// Reads the IP header at `octets`. `whole`: octets from there on when the frame was on the wire.
  Verdict read_ip(Octets octets, uint32_t whole, int64_t clock, Ip& ip);
  Verdict read_ipv4(Octets octets, uint32_t whole, int64_t clock, Ip& ip);
  Verdict read_ipv6(Octets octets, uint32_t whole, int64_t clock, Ip& ip);
  static void read_transport(Ip& ip, bool icmp) noexcept;
  /// Remembers a first fragment, or finds what a later one takes over.
  FragmentOrigin follow_fragment(const FragmentKey& key, bool later, FragmentOrigin origin,
                                 int64_t clock);
  /// The innermost usable IP packet of the tunnels in `ip`; `tunnels`: how many.
  Ip enter_tunnels(Ip ip, int64_t clock, unsigned& tunnels);
  /// What may be the IP packet inside of `ip`.
  std::optional<Octets> inside(const Ip& ip);
  std::optional<Octets> inside_gre(Octets payload);
  std::optional<Octets> inside_udp(const Ip& ip);
  void fill(const Ip& ip, const Outside& outside, unsigned tunnel, const Frame& frame,
            Packet& packet) const noexcept;

  DissectOptions options_;
  HashSeeds seeds_;
  uint64_t address_mask_;
  uint64_t ports_mask_;
  uint64_t path_mask_;
  bool all_addresses_;
  uint32_t detail_ = 0;
  FirstFragments fragments_;
};

}  // namespace darta
