// What a packet costs this machine: measured on veth pairs in a network namespace of its own.
#pragma once
#include <linux/filter.h>

#include <cstdint>
#include <string>
#include <vector>

#include "meter/meter.h"

namespace darta {

struct CapacityOptions {
  /// Octets of each frame, 64..1514, and UDP Flows they are of.
  uint32_t frame_octets = 512;
  uint32_t flows = 65536;
  /// Frames sent at a time, and how often; the first time does not count.
  uint32_t batch = 8192;
  uint32_t rounds = 20;
  /// Socket filters: one that rejects all of them, and two that accept: cut to what a meter needs, and whole.
  std::vector<sock_filter> reject;
  std::vector<sock_filter> accept;
  std::vector<sock_filter> whole;
  /// The descriptor of an eBPF filter that rejects nearly all; 0: none.
  int turn = 0;
  /// XDP programs in front of a socket: one that drops all frames, and one that lets all pass.
  std::vector<uint8_t> early_drop;
  std::vector<uint8_t> early_pass;
  MeterOptions meter;
};

/// Nanoseconds of processor time a packet: the lower quartile of the rounds, since whatever disturbs makes them longer.
struct Capacity {
  /// Sending to an interface that drops all of it; 0 if this kernel has none.
  double send = 0;
  /// Receiving a packet that nobody wants; with sending, if that could not be measured.
  double receive = 0;
  /// What a socket adds that rejects all without a look, by the share's filter, and by the one that
  /// counts.
  double reject_all = 0;
  double reject = 0;
  double reject_turn = 0;
  /// What a socket adds that takes it into its ring, cut and whole.
  double accept = 0;
  double accept_whole = 0;
  /// Reading it from the ring and metering it.
  double meter = 0;
  /// Receiving and dropping a frame of which the kernel has made no packet, in the place of receiving
  /// and rejecting, and what the program adds to one that goes on; −1 if this kernel cannot do it.
  double early_drop = -1;
  double early_pass = -1;
};

/// Measures for a second or two. False: `call` failed with `error`. Needs CAP_SYS_ADMIN, CAP_NET_ADMIN
/// and CAP_NET_RAW; nothing of it is left afterwards.
[[nodiscard]] bool measure_capacity(const CapacityOptions& options, Capacity& capacity,
                                    std::string& call, int& error);

}  // namespace darta
