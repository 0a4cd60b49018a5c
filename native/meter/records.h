// Writes Flow Records and Packet Reports as IPFIX Data Sets. docs/METERING.md section 4.
#pragma once
#include <optional>
#include <vector>

#include "meter/flow_table.h"

namespace darta {

/// A filled buffer, from malloc; whoever takes it frees it.
struct Output {
  uint8_t* octets;
  size_t size;
  /// 0: IPv4, 1: IPv6.
  uint32_t template_index;
  /// Records inside.
  uint32_t count;
  /// Seconds since 1970.
  int64_t export_time;
};

/// Buffers in the order they were filled.
class Outputs {
 public:
  Outputs() = default;
  Outputs(const Outputs&) = delete;
  Outputs& operator=(const Outputs&) = delete;
  ~Outputs();

  void add(const Output& output) { filled_.push_back(output); }
  [[nodiscard]] std::vector<Output> take() noexcept { return std::exchange(filled_, {}); }

 private:
  std::vector<Output> filled_;
};

/// Room for records of one template: 16 octets for the Message Header, one Set, at most 65,535
/// octets in all.
class SetBuffer {
 public:
  static constexpr size_t largest_message = 65535;
  static constexpr size_t headroom = 16;
  static constexpr size_t set_header = 4;

  explicit SetBuffer(uint32_t template_index) noexcept : template_index_(template_index) {}
  SetBuffer(const SetBuffer&) = delete;
  SetBuffer& operator=(const SetBuffer&) = delete;
  ~SetBuffer();

  /// Where `size` octets of one more record go; at most 65,515.
  [[nodiscard]] uint8_t* room(size_t size, int64_t now, Outputs& outputs) {
    if (DARTA_UNLIKELY(size > largest_message - size_ || octets_ == nullptr)) {
      close(now, outputs);
      open();
    }
    uint8_t* const at = octets_ + size_;
    size_ += size;
    ++count_;
    return at;
  }
  /// Hands over what is there, if anything. `now`: nanoseconds since 1970.
  void close(int64_t now, Outputs& outputs);
  [[nodiscard]] bool empty() const noexcept { return octets_ == nullptr; }

 private:
  void open() noexcept;

  uint32_t template_index_;
  uint8_t* octets_ = nullptr;
  size_t size_ = largest_message;
  uint32_t count_ = 0;
};

struct FieldSpecifier {
  uint32_t enterprise;
  uint16_t element;
  uint16_t length;
};

/// A Flow with its parts; those that options leave out are nullptr.
struct FlowParts {
  const Flow& flow;
  const Addresses* addresses;
  const Reverse* reverse;
  const Extra* extra;
  const Link* link;
  uint8_t end_reason;
};

/// Which parts of a Flow the fields of a template need.
struct FieldNeeds {
  bool extra = false;
  bool link = false;
};

/// A list of fields compiled to a list of steps.
class RecordProgram {
 public:
  /// The index of the first field that is not possible, if there is one.
  /// `mark`: how the packets came to be taken, where a link is divided.
  [[nodiscard]] std::optional<size_t> compile(const std::vector<FieldSpecifier>& fields,
                                              bool packets, uint8_t mark = 0);
  [[nodiscard]] FieldNeeds needs() const noexcept { return needs_; }
  /// Octets of a Flow Record.
  [[nodiscard]] size_t record_octets() const noexcept { return octets_; }

  void write_flow(uint8_t* at, const FlowParts& parts) const noexcept;
  /// Octets of a Packet Report with that much of the packet in it.
  [[nodiscard]] size_t report_octets(uint32_t section) const noexcept {
    return octets_ + sections_ * (section + (section < 255 ? 1 : 3));
  }
  void write_report(uint8_t* at, const Packet& packet, uint32_t section) const noexcept;

 private:
  /// What a step writes; those from `octets` to `reverse_direction` are unsigned integers of any
  /// length.
  enum class Source : uint8_t {
    start_milliseconds,
    end_milliseconds,
    start_microseconds,
    end_microseconds,
    start_nanoseconds,
    end_nanoseconds,
    reverse_start_milliseconds,
    reverse_end_milliseconds,
    reverse_start_microseconds,
    reverse_end_microseconds,
    reverse_start_nanoseconds,
    reverse_end_nanoseconds,
    source_ipv4,
    destination_ipv4,
    source_ipv6,
    destination_ipv6,
    source_mac,
    destination_mac,
    mpls,
    // numbers
    octets,
    packets,
    source_port,
    destination_port,
    vlan,
    customer_vlan,
    tcp_flags,
    icmp,
    protocol,
    tos,
    end_reason,
    reverse_octets,
    reverse_packets,
    reverse_tcp_flags,
    direction,
    tunnel,
    start_seconds,
    end_seconds,
    reverse_start_seconds,
    reverse_end_seconds,
    duration,
    shortest,
    longest,
    least_ttl,
    greatest_ttl,
    version,
    interface,
    flow_label,
    fragment_flags,
    syn_packets,
    fin_packets,
    rst_packets,
    share_mark,
    // Packet Reports
    time_nanoseconds,
    sequence,
    total_length,
    section,
  };
  struct Step {
    Source source;
    uint8_t length;
  };

  [[nodiscard]] static bool find(const FieldSpecifier& field, Source& source) noexcept;
  [[nodiscard]] static uint64_t number(Source source, const FlowParts& parts) noexcept;

  std::vector<Step> steps_;
  size_t octets_ = 0;
  size_t sections_ = 0;
  uint8_t mark_ = 0;
  FieldNeeds needs_;
};

}  // namespace darta
