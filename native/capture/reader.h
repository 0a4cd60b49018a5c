// Reads frames out of pcap and pcapng octets, cut anywhere. docs/METERING.md section 1.
#pragma once
#include <algorithm>
#include <optional>
#include <vector>

#include "capture/octets.h"

namespace darta {

/// One captured frame. `octets` is valid only while the sink is called and until read() returns.
struct Frame {
  const uint8_t* octets;
  uint32_t captured;
  /// Octets on the wire, as the capture says; may be less than `captured`.
  uint32_t original;
  uint32_t link_type;
  /// Index of the pcapng interface in its section; 0 in pcap.
  uint32_t interface;
  /// Nanoseconds since 1970, 0..2^63−1.
  int64_t time;
  /// Of the record or block in the input.
  uint64_t offset;
};

enum class Damage : uint8_t { truncated, malformed, unknown_interface };

/// What one read() did.
struct Progress {
  /// Octets that are done with; the rest must come again, with more behind them.
  size_t consumed = 0;
  /// Octets from `consumed` on that must be there to go on; 0 if all are consumed or the sink is
  /// full.
  size_t need = 0;
  /// The input is no capture.
  bool bad_format = false;
};

class CaptureReader {
 public:
  static constexpr uint32_t largest_block = 0x4000000;
  static constexpr uint32_t plausible_length = 262144;

  /// Reads frames from `octets`, which begin where the last call's `consumed` ended. `last`:
  /// nothing comes behind. Stops between two frames when the sink is full. The sink has
  /// `frame(const Frame&)`, `damage(Damage, uint64_t offset, uint32_t original)` (0 where the
  /// length on the wire cannot be known) and `full()`.
  template <class Sink>
  Progress read(Octets octets, bool last, Sink& sink) {
    Progress p;
    for (;;) {
      bool more = false;
      switch (state_) {
        case State::start:
          more = read_start(octets, last, p, sink);
          break;
        case State::pcap:
          more = read_pcap(octets, last, p, sink);
          break;
        case State::pcap_search:
          more = search_pcap(octets, last, p);
          break;
        case State::pcapng:
          more = read_pcapng(octets, last, p, sink);
          break;
        case State::pcapng_search:
          more = search_pcapng(octets, last, p);
          break;
        case State::ended:
          p.consumed = octets.size();
          break;
      }
      if (!more) break;
    }
    position_ += p.consumed;
    return p;
  }

  /// What the input begins with; to tell why it is no capture.
  struct Beginning {
    /// Octets that were there, at most 4.
    uint8_t octets = 0;
    /// Those 4 as a number in network order.
    uint32_t magic = 0;
  };
  [[nodiscard]] Beginning begins_with() const noexcept { return begins_with_; }
  /// Link type of the pcap header or of the first interface, if there is one yet.
  [[nodiscard]] std::optional<uint32_t> first_link_type() const noexcept {
    return first_link_type_;
  }

 private:
  enum class State : uint8_t { start, pcap, pcap_search, pcapng, pcapng_search, ended };

  struct Interface {
    uint32_t link_type;
    uint32_t snap_length;
    /// nanoseconds = value × multiplier / divisor >> shift
    uint64_t multiplier;
    uint64_t divisor;
    uint32_t shift;
    bool described;
    /// Seconds.
    int64_t offset;
  };

  static constexpr size_t prefetch_distance = 1536;
  static constexpr uint32_t section_header = 0x0a0d0d0a;

  [[nodiscard]] uint32_t u32(const uint8_t* at) const noexcept {
    const uint32_t v = load<uint32_t>(at);
    return swap_ ? swapped(v) : v;
  }
  [[nodiscard]] uint16_t u16(const uint8_t* at) const noexcept {
    const uint16_t v = load<uint16_t>(at);
    return swap_ ? swapped(v) : v;
  }

  /// All octets are done with; what is left unread belongs to the damage already counted.
  static bool end(Octets octets, Progress& p, State& state) noexcept {
    p.consumed = octets.size();
    state = State::ended;
    return false;
  }

  template <class Sink>
  bool truncated(Octets octets, Progress& p, Sink& sink) {
    sink.damage(Damage::truncated, position_ + p.consumed, 0);
    return end(octets, p, state_);
  }

  template <class Sink>
  bool read_start(Octets octets, bool last, Progress& p, Sink& sink) {
    if (octets.size() < 4) {
      if (last) p.bad_format = true;
      begins_with_.octets = static_cast<uint8_t>(octets.size());
      p.need = 4;
      return false;
    }
    const uint32_t magic = load<uint32_t>(octets.data());
    begins_with_ = {4, network(magic)};
    if (magic == section_header) {
      if (octets.size() < 12) {
        if (last) return truncated(octets, p, sink);
        p.need = 12;
        return false;
      }
      if (!section_order(octets.data() + 8, swap_)) {
        p.bad_format = true;
        return false;
      }
      state_ = State::pcapng;
      return true;
    }
    const uint32_t orders[2] = {magic, swapped(magic)};
    bool known = false;
    for (int i = 0; i < 2; ++i) {
      if (orders[i] != 0xa1b2c3d4 && orders[i] != 0xa1b23c4d && orders[i] != 0xa1b2cd34) continue;
      known = true;
      swap_ = i == 1;
      unit_ = orders[i] == 0xa1b23c4d ? 1 : 1000;
      header_ = orders[i] == 0xa1b2cd34 ? 24 : 16;
    }
    if (!known) {
      p.bad_format = true;
      return false;
    }
    if (octets.size() < 24) {
      if (last) return truncated(octets, p, sink);
      p.need = 24;
      return false;
    }
    limit_ = std::min(std::max(u32(octets.data() + 16), plausible_length), largest_block);
    // The upper half tells of frame check sequences.
    link_type_ = u32(octets.data() + 20) & 0xffff;
    first_link_type_ = link_type_;
    p.consumed = 24;
    state_ = State::pcap;
    return true;
  }

  template <class Sink>
  bool read_pcap(Octets octets, bool last, Progress& p, Sink& sink) {
    const uint8_t* const begin = octets.data();
    const uint8_t* const end_ = begin + octets.size();
    const uint8_t* at = begin + p.consumed;
    // Local copies: the sink may be anything, so members would be read again for each frame.
    const bool swap = swap_;
    const size_t header = header_;
    const int64_t unit = unit_;
    const uint32_t limit = limit_;
    const uint64_t position = position_;
    Frame frame;
    frame.link_type = link_type_;
    frame.interface = 0;
    auto leave = [&] { p.consumed = static_cast<size_t>(at - begin); };
    for (;;) {
      const auto left = static_cast<size_t>(end_ - at);
      if (DARTA_UNLIKELY(left < header || sink.full())) {
        leave();
        if (left == 0 || left >= header || sink.full()) return false;
        if (last) return truncated(octets, p, sink);
        p.need = header;
        return false;
      }
      uint32_t seconds = load<uint32_t>(at), part = load<uint32_t>(at + 4);
      uint32_t captured = load<uint32_t>(at + 8), original = load<uint32_t>(at + 12);
      if (swap) {
        seconds = swapped(seconds);
        part = swapped(part);
        captured = swapped(captured);
        original = swapped(original);
      }
      if (DARTA_UNLIKELY(captured > limit)) {
        leave();
        sink.damage(Damage::malformed, position + p.consumed, 0);
        ++p.consumed;
        state_ = State::pcap_search;
        return true;
      }
      if (DARTA_UNLIKELY(left - header < captured)) {
        leave();
        if (last) return truncated(octets, p, sink);
        p.need = header + captured;
        return false;
      }
      frame.octets = at + header;
      frame.captured = captured;
      frame.original = original;
      frame.time = static_cast<int64_t>(seconds) * 1000000000 + static_cast<int64_t>(part) * unit;
      frame.offset = position + static_cast<size_t>(at - begin);
      // The next packets come from memory in no time only if they were asked for in time; the
      // machine's own prefetching ends at each page.
      __builtin_prefetch(at + prefetch_distance);
      __builtin_prefetch(at + prefetch_distance + 64);
      last_seconds_ = seconds;
      any_packet_ = true;
      sink.frame(frame);
      at += header + captured;
    }
  }

  /// Whether a record header may lie at `at`, as far as its 16 octets tell.
  [[nodiscard]] bool plausible(const uint8_t* at) const noexcept {
    const uint32_t seconds = u32(at), captured = u32(at + 8), original = u32(at + 12);
    if (captured > plausible_length || original > plausible_length || captured > original)
      return false;
    if (u32(at + 4) >= (unit_ == 1 ? 1000000000u : 1000000u)) return false;
    const int64_t distance = static_cast<int64_t>(seconds) - last_seconds_;
    return !any_packet_ || (distance <= 86400 && distance >= -86400);
  }

  bool search_pcap(Octets octets, bool last, Progress& p) noexcept {
    for (;; ++p.consumed) {
      const uint8_t* const at = octets.data() + p.consumed;
      const size_t left = octets.size() - p.consumed;
      if (left < header_) {
        if (last) return end(octets, p, state_);
        p.need = header_;
        return false;
      }
      if (!plausible(at)) continue;
      const size_t next = header_ + u32(at + 8);
      if (left < next + header_) {
        if (!last) {
          p.need = next + header_;
          return false;
        }
        if (left != next) continue;
      } else if (!plausible(at + next)) {
        continue;
      }
      state_ = State::pcap;
      return true;
    }
  }

  /// Byte order by a Section Header's magic; false if it is neither.
  static bool section_order(const uint8_t* at, bool& swap) noexcept {
    const uint32_t magic = load<uint32_t>(at);
    if (magic != 0x1a2b3c4d && magic != swapped(uint32_t{0x1a2b3c4d})) return false;
    swap = magic != 0x1a2b3c4d;
    return true;
  }

  template <class Sink>
  bool malformed_block(Progress& p, Sink& sink) {
    sink.damage(Damage::malformed, position_ + p.consumed, 0);
    next_aligned(p);
    state_ = State::pcapng_search;
    return true;
  }

  /// To the next offset that is a multiple of 4 in the input.
  void next_aligned(Progress& p) const noexcept {
    p.consumed += 4 - static_cast<size_t>((position_ + p.consumed) & 3);
  }

  template <class Sink>
  bool read_pcapng(Octets octets, bool last, Progress& p, Sink& sink) {
    while (!sink.full()) {
      const uint8_t* const at = octets.data() + p.consumed;
      const size_t left = octets.size() - p.consumed;
      if (left == 0) return false;
      const bool section = left >= 4 && load<uint32_t>(at) == section_header;
      const size_t least = section ? 12 : 8;
      if (left < least) {
        if (last) return truncated(octets, p, sink);
        p.need = least;
        return false;
      }
      bool order = swap_;
      if (section && !section_order(at + 8, order)) return malformed_block(p, sink);
      const uint32_t raw = load<uint32_t>(at + 4);
      const uint32_t length = order ? swapped(raw) : raw;
      if (length < 12 || length > largest_block) return malformed_block(p, sink);
      if (left < length) {
        if (last) return truncated(octets, p, sink);
        p.need = length;
        return false;
      }
      if (load<uint32_t>(at + length - 4) != raw) return malformed_block(p, sink);
      if (section) {
        if (length < 28) sink.damage(Damage::malformed, position_ + p.consumed, 0);
        swap_ = order;
        in_section_ = true;
        interfaces_.clear();
      } else {
        block(Octets(at, length), position_ + p.consumed, sink);
      }
      p.consumed += length;
    }
    return false;
  }

  bool search_pcapng(Octets octets, bool last, Progress& p) noexcept {
    for (;; p.consumed += 4) {
      // Steps of 4 never lead beyond the input: 12 octets were there before each.
      const size_t left = octets.size() - p.consumed;
      const uint8_t* const at = octets.data() + p.consumed;
      if (left < 12) {
        if (last) return end(octets, p, state_);
        p.need = 12;
        return false;
      }
      bool order = swap_;
      if (load<uint32_t>(at) == section_header) {
        if (!section_order(at + 8, order)) continue;
      } else {
        // Without a section nobody knows in which byte order other blocks are.
        const uint32_t type = u32(at);
        if (!in_section_ || type == 0 || type == 4 || type > 6) continue;
      }
      const uint32_t raw = load<uint32_t>(at + 4);
      const uint32_t length = order ? swapped(raw) : raw;
      if (length < 12 || length > largest_block) continue;
      if (left < length) {
        if (last) continue;
        p.need = length;
        return false;
      }
      if (load<uint32_t>(at + length - 4) != raw) continue;
      state_ = State::pcapng;
      return true;
    }
  }

  template <class Sink>
  void block(Octets block, uint64_t offset, Sink& sink) {
    const uint8_t* const at = block.data();
    const size_t length = block.size();
    const uint32_t type = u32(at);
    if (type == 6 || type == 2) {
      if (length < 32 || u32(at + 20) > length - 32) {
        sink.damage(Damage::malformed, offset, 0);
        return;
      }
      const uint32_t interface = type == 6 ? u32(at + 8) : u16(at + 8);
      if (interface >= interfaces_.size() || !interfaces_[interface].described) {
        sink.damage(Damage::unknown_interface, offset, u32(at + 24));
        return;
      }
      const uint64_t value = static_cast<uint64_t>(u32(at + 12)) << 32 | u32(at + 16);
      last_time_ = time_of(interfaces_[interface], value);
      sink.frame(Frame{at + 28, u32(at + 20), u32(at + 24), interfaces_[interface].link_type,
                       interface, last_time_, offset});
    } else if (type == 3) {
      if (length < 16) {
        sink.damage(Damage::malformed, offset, 0);
        return;
      }
      const uint32_t original = u32(at + 8);
      if (interfaces_.empty() || !interfaces_[0].described) {
        sink.damage(Damage::unknown_interface, offset, original);
        return;
      }
      uint32_t captured = std::min(original, static_cast<uint32_t>(length - 16));
      if (interfaces_[0].snap_length != 0)
        captured = std::min(captured, interfaces_[0].snap_length);
      sink.frame(
          Frame{at + 12, captured, original, interfaces_[0].link_type, 0, last_time_, offset});
    } else if (type == 1) {
      if (length < 20) {
        sink.damage(Damage::malformed, offset, 0);
        interfaces_.push_back(Interface{0, 0, 1, 1, 0, false, 0});
        return;
      }
      describe(block);
    }
  }

  /// Reads an Interface Description Block of at least 20 octets.
  void describe(Octets block) {
    Interface i{u16(block.data() + 8), u32(block.data() + 12), 1000, 1, 0, true, 0};
    if (!first_link_type_) first_link_type_ = i.link_type;
    const size_t end = block.size() - 4;
    for (size_t at = 16; at + 4 <= end;) {
      const uint8_t* const option = block.data() + at;
      const uint16_t code = u16(option);
      const size_t length = u16(option + 2);
      if (code == 0 || at + 4 + length > end) break;
      if (code == 9 && length == 1) resolve(i, option[4]);
      if (code == 14 && length == 8) {
        const uint64_t raw = load<uint64_t>(option + 4);
        i.offset = static_cast<int64_t>(swap_ ? swapped(raw) : raw);
      }
      at += 4 + (length + 3) / 4 * 4;
    }
    interfaces_.push_back(i);
  }

  static void resolve(Interface& i, uint8_t resolution) noexcept {
    i.multiplier = 1000000000;
    i.divisor = 1;
    i.shift = 0;
    if (resolution & 0x80) {
      i.shift = resolution & 0x7f;
      return;
    }
    int exponent = 9 - resolution;
    i.multiplier = 1;
    for (; exponent > 0; --exponent) i.multiplier *= 10;
    if (exponent < -19) {  // less than a nanosecond whatever the value
      i.multiplier = 0;
      return;
    }
    for (; exponent < 0; ++exponent) i.divisor *= 10;
  }

  static int64_t time_of(const Interface& i, uint64_t value) noexcept {
    using Wide = __int128;
    constexpr Wide latest = INT64_MAX;
    // The divisor is 1 unless the multiplier is; so the division never needs 128 bits.
    Wide t =
        static_cast<Wide>(i.divisor == 1 ? value : value / i.divisor) * i.multiplier >> i.shift;
    t += static_cast<Wide>(i.offset) * 1000000000;
    return t < 0 ? 0 : static_cast<int64_t>(t > latest ? latest : t);
  }

  State state_ = State::start;
  Beginning begins_with_;
  bool swap_ = false;
  bool any_packet_ = false;
  bool in_section_ = false;
  uint32_t link_type_ = 1;
  std::optional<uint32_t> first_link_type_;
  uint32_t limit_ = plausible_length;
  size_t header_ = 16;
  int64_t unit_ = 1000;
  int64_t last_seconds_ = 0;
  int64_t last_time_ = 0;
  uint64_t position_ = 0;
  std::vector<Interface> interfaces_;
};

}  // namespace darta
