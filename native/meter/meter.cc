#include "meter/meter.h"

#include <cstdio>

namespace darta {
namespace {

constexpr uint8_t reason_idle = 1;
constexpr uint8_t reason_active = 2;
constexpr uint8_t reason_end = 3;
constexpr uint8_t reason_forced = 4;
constexpr uint8_t reason_resources = 5;

/// Octets that a meter needs whatever the number of its Flows: wheel, output buffers, fragments.
constexpr uint64_t fixed_memory = uint64_t{2} << 20;
/// Octets of a mapped file that are read at a time.
constexpr size_t file_window = size_t{1} << 20;
/// A Flow's entries in the wheel: one, and another when TCP ends it.
constexpr uint64_t wheel_octets_per_flow = 2 * sizeof(uint32_t);

/// Nanoseconds per tick as a power of two: short against the timeouts, long enough for the wheel to
/// reach the longest one if both can be had.
unsigned wheel_shift(const MeterOptions& o) noexcept {
  const auto longest = static_cast<uint64_t>(
      std::max({o.idle_timeout, o.active_timeout, o.tcp_fin_timeout, o.tcp_rst_timeout}));
  const auto shortest = static_cast<uint64_t>(std::min(o.idle_timeout, o.active_timeout));
  unsigned shift = 20;
  while (shift < 40 && (uint64_t{4000} << shift) < longest && (uint64_t{64} << shift) < shortest)
    ++shift;
  return shift;
}

/// Both are at most 2^63 − 1, so this never overflows.
uint64_t later(int64_t time, int64_t by) noexcept {
  return static_cast<uint64_t>(time) + static_cast<uint64_t>(by);
}

KeyWords key_of(const Flow& flow) noexcept {
  return {flow.key.addresses, flow.ports_key(), flow.key.path};
}

bool same_key(const Flow& flow, const KeyWords& key) noexcept {
  return ((flow.key.addresses ^ key.addresses) | (flow.ports_key() ^ key.ports) |
          (flow.key.path ^ key.path)) == 0;
}

}  // namespace

// ---- set-up
// ---------------------------------------------------------------------------------------

std::unique_ptr<Meter> Meter::create(const MeterOptions& options, std::string& error) {
  Plan plan;
  const auto one_of = [&](uint32_t a, uint32_t b) {
    return (options.key & a) == 0 || (options.key & b) == 0;
  };
  const auto uneven = [&](uint32_t a, uint32_t b) {
    return one_of(a, b) && (options.key & (a | b)) != 0;
  };
  if (options.biflow && (one_of(key_src, key_dst) || uneven(key_srcport, key_dstport) ||
                         uneven(key_srcmac, key_dstmac))) {
    error = "biflows need both ends in the Flow Key";
    return nullptr;
  }
  if (options.emit != Emit::pcap) {
    const std::vector<FieldSpecifier>* const lists[2] = {&options.v4, &options.v6};
    for (int i = 0; i < 2; ++i) {
      const auto bad =
          plan.programs[i].compile(*lists[i], options.emit == Emit::packets, options.mark);
      if (bad) {
        const FieldSpecifier& f = (*lists[i])[*bad];
        error = "the meter has no field " + std::to_string(f.enterprise) + "/" +
                std::to_string(f.element) + " of length " + std::to_string(f.length);
        return nullptr;
      }
    }
    if (plan.programs[0].report_octets(0) > 1024 || plan.programs[1].report_octets(0) > 1024) {
      error = "the fields of a record take more than 1024 octets";
      return nullptr;
    }
    if (plan.programs[0].record_octets() == 0 || plan.programs[1].record_octets() == 0) {
      error = "a record needs at least one field";
      return nullptr;
    }
  }
  for (const RecordProgram& program : plan.programs) {
    plan.extra = plan.extra || program.needs().extra;
    plan.link = plan.link || program.needs().link;
  }
  plan.link_in_key = (options.key & (key_srcmac | key_dstmac | key_interface)) != 0;
  plan.link = plan.link || plan.link_in_key;
  plan.rich = plan.extra || plan.link || options.emit == Emit::packets;
  plan.flow_limit = flow_limit(options, plan);
  std::unique_ptr<Meter> meter(new Meter(options, std::move(plan)));
  if (options.emit == Emit::flows) {
    const bool serial = options.on_full == OnFull::evict && meter->plan_.flow_limit != 0;
    if (!meter->table_.open({.limit = static_cast<uint32_t>(meter->plan_.flow_limit),
                             .reverse = options.biflow,
                             .extra = meter->plan_.extra,
                             .link = meter->plan_.link,
                             .serial = serial})) {
      error = "the system gives no memory for the flow table";
      return nullptr;
    }
    meter->serials_ = serial;
  }
  return meter;
}

uint64_t Meter::flow_limit(const MeterOptions& options, const Plan& plan) noexcept {
  uint64_t limit = options.max_flows;
  if (options.max_memory != 0) {
    const uint64_t each =
        FlowTable::octets_per_flow(
            {.reverse = options.biflow, .extra = plan.extra, .link = plan.link, .serial = true}) +
        wheel_octets_per_flow;
    const uint64_t fixed = std::min(fixed_memory, options.max_memory / 2);
    const uint64_t room = std::max<uint64_t>((options.max_memory - fixed) / each, 1);
    limit = limit == 0 ? room : std::min(limit, room);
  }
  return std::min<uint64_t>(limit, uint64_t{1} << 31);
}

Meter::Meter(const MeterOptions& options, Plan plan)
    : options_(options),
      plan_(std::move(plan)),
      seeds_(options.seed),
      dissector_({.key = options.key, .decap = options.decap, .rich = plan_.rich}, seeds_),
      wheel_(wheel_shift(options)),
      batch_(new Packet[batch_packets]()) {
  using Batch = void (Meter::*)();
  static constexpr Batch batches[2][2] = {
      {&Meter::meter_batch<false, false>, &Meter::meter_batch<false, true>},
      {&Meter::meter_batch<true, false>, &Meter::meter_batch<true, true>}};
  meter_batch_ = batches[options.biflow ? 1 : 0][plan_.rich ? 1 : 0];
  if ((options.key & key_5tuple) == key_5tuple) ending_flags_ = tcp::fin | tcp::rst;
  Link mask{};
  if (options.key & key_srcmac) std::memset(mask.source_mac, 0xff, 6);
  if (options.key & key_dstmac) std::memset(mask.destination_mac, 0xff, 6);
  if (options.key & key_interface) mask.interface = UINT32_MAX;
  std::memcpy(link_mask_, &mask, sizeof mask);
  if (options.max_frames != 0) frame_limit_ = options.max_frames;
  if (options.on_full == OnFull::fail) batch_size_ = 1;
  // The longest section that always fits a Message.
  const size_t room = SetBuffer::largest_message - SetBuffer::headroom - SetBuffer::set_header;
  if (options.emit == Emit::packets) {
    const size_t fixed = plan_.programs[0].report_octets(0) + 2;
    options_.section_octets =
        static_cast<uint32_t>(std::min<size_t>(options_.section_octets, room - fixed));
  }
}

// ---- frames
// ---------------------------------------------------------------------------------------

template <Emit emit>
struct Meter::Sink {
  Meter& meter;

  [[nodiscard]] bool full() const noexcept { return meter.frames_ >= meter.frame_limit_; }

  void damage(Damage damage, uint64_t offset, uint32_t original) noexcept {
    ++meter.frames_;
    ++meter.unread_;
    meter.lose(damage == Damage::truncated   ? Loss::truncated
               : damage == Damage::malformed ? Loss::malformed
                                             : Loss::unknown_interface,
               offset, original, -1);
  }

  void frame(const Frame& frame) {
    Meter& m = meter;
    if (DARTA_UNLIKELY(m.options_.share.by != MeterShare::By::all) && !m.ours(frame)) return;
    ++m.frames_;
    m.move_clock(frame.time);
    if constexpr (emit == Emit::pcap) {
      if (!m.pcap_.write(frame, m.clock_, m.outputs_)) {
        m.lose(Loss::link_type_differs, frame.offset, frame.original, frame.time);
        return;
      }
      ++m.ip_packets_;
      m.ip_octets_ += frame.original;
      return;
    }
    Packet& packet = m.batch_[m.batch_count_];
    const Verdict verdict = m.dissector_.dissect(frame, m.clock_, packet);
    if (DARTA_UNLIKELY(verdict != Verdict::metered)) {
      m.count(verdict, frame);
      return;
    }
    packet.time = frame.time;
    packet.clock = m.clock_;
    packet.offset = frame.offset;
    if constexpr (emit == Emit::packets) {
      m.report(packet);
    } else {
      packet.tag = m.tag_of(packet.key, packet.link);
      __builtin_prefetch(m.table_.home(packet.tag));
      if (++m.batch_count_ >= m.batch_size_) m.run_batch();
    }
  }
};

bool Meter::ours(const Frame& frame) noexcept {
  const MeterShare& share = options_.share;
  bool taken = false;
  if (share.by == MeterShare::By::hash) {
    taken = share.owned[share_slot({frame.octets, frame.captured}, frame.link_type, share.selector,
                                   share.seed)] != 0;
  } else {
    const uint64_t turn = (frames_ - unread_ + others_) % share.parts;
    taken = turn >= share.first && turn <= share.last;
  }
  if (!taken) ++others_;
  return taken;
}

inline void Meter::move_clock(int64_t time) noexcept {
  if (DARTA_LIKELY(time >= clock_)) {
    if (DARTA_UNLIKELY(clock_ < 0)) first_time_ = time;
    clock_ = time;
  } else if (time < first_time_) {
    first_time_ = time;
  }
}

MeterStatus Meter::read(Octets octets, bool last, Progress& progress) {
  begun_ = in_capture_ = true;
  switch (options_.emit) {
    case Emit::flows: {
      Sink<Emit::flows> sink{*this};
      progress = reader_.read(octets, last, sink);
      break;
    }
    case Emit::packets: {
      Sink<Emit::packets> sink{*this};
      progress = reader_.read(octets, last, sink);
      break;
    }
    case Emit::pcap: {
      Sink<Emit::pcap> sink{*this};
      progress = reader_.read(octets, last, sink);
      break;
    }
  }
  // Packets point into `octets`.
  run_batch();
  if (!link_type_) link_type_ = reader_.first_link_type();
  broken_ = progress.bad_format;
  if (broken_) bad_beginning_ = reader_.begins_with();
  return broken_       ? MeterStatus::bad_format
         : table_full_ ? MeterStatus::table_full
                       : MeterStatus::ok;
}

template <Emit emit>
void Meter::take_each(std::span<const Frame> frames) {
  Sink<emit> sink{*this};
  for (const Frame& frame : frames) {
    if (sink.full()) break;
    sink.frame(frame);
    input_octets_ += frame.captured;
  }
}

MeterStatus Meter::take(std::span<const Frame> frames) {
  if (finished_ || table_full_ || frames.empty()) return MeterStatus::ok;
  begun_ = true;
  if (!link_type_) link_type_ = frames.front().link_type;
  switch (options_.emit) {
    case Emit::flows:
      take_each<Emit::flows>(frames);
      break;
    case Emit::packets:
      take_each<Emit::packets>(frames);
      break;
    case Emit::pcap:
      take_each<Emit::pcap>(frames);
      break;
  }
  run_batch();
  return table_full_ ? MeterStatus::table_full : MeterStatus::ok;
}

void Meter::tick(int64_t time) {
  if (finished_ || time <= clock_ || clock_ < 0) return;
  clock_ = time;
  if (options_.emit == Emit::flows && static_cast<uint64_t>(time) >= next_tick_) advance(time);
}

void Meter::set_back(int64_t time) {
  if (finished_ || time >= clock_) return;
  if (options_.emit == Emit::flows && started_) {
    sets_back_ = true;
    for (Next next; !next_.empty();) {
      if (!pop_next(next)) continue;
      export_flow(next.slot, ending_reason(table_.flow(next.slot)));
      remove(next.slot);
    }
    const uint64_t last = wheel_.tick_of(INT64_MAX);
    wheel_.advance(last, [&](uint64_t tick, const uint32_t* slots, uint32_t count) {
      visit(tick, slots, count, INT64_MAX);
    });
    sets_back_ = false;
    next_end_ = 0;
    next_tick_ = 0;
    started_ = false;
  }
  // Under the time that it had when they were filled.
  flush();
  clock_ = time;
}

void Meter::lose(Loss loss, uint64_t offset, uint64_t octets, int64_t time) noexcept {
  const auto i = static_cast<size_t>(loss);
  if (lost_[i]++ == 0) first_offset_[i] = offset;
  lost_octets_ += octets;
  if (time < 0) return;
  first_lost_ = first_lost_ < 0 ? time : std::min(first_lost_, time);
  last_lost_ = std::max(last_lost_, time);
}

void Meter::count(Verdict verdict, const Frame& frame) {
  switch (verdict) {
    case Verdict::ip_version:
      lose(Loss::ip_version, frame.offset, frame.original, frame.time);
      break;
    case Verdict::ip_header_short:
      lose(Loss::ip_header_short, frame.offset, frame.original, frame.time);
      break;
    case Verdict::ethertype:
      if (!ethertypes_) ethertypes_ = std::make_unique<uint64_t[]>(65536);
      if (ethertypes_[dissector_.detail()]++ == 0)
        seen_ethertypes_.push_back(static_cast<uint16_t>(dissector_.detail()));
      break;
    case Verdict::link_type: {
      const uint32_t type = dissector_.detail();
      const auto at = std::find_if(link_types_.begin(), link_types_.end(),
                                   [&](const auto& entry) { return entry.first == type; });
      if (at == link_types_.end())
        link_types_.emplace_back(type, 1);
      else
        ++at->second;
      break;
    }
    default:
      ++skipped_[static_cast<size_t>(verdict)];
      break;
  }
}

void Meter::report(const Packet& packet) {
  const uint32_t section = std::min(options_.section_octets, packet.ip_captured);
  const RecordProgram& program = plan_.programs[0];
  program.write_report(buffers_[0].room(program.report_octets(section), clock_, outputs_), packet,
                       section);
  ++ip_packets_;
  ip_octets_ += packet.octets;
}

MeterStatus Meter::push(Octets octets) {
  if (finished_ || broken_ || table_full_ || full()) return MeterStatus::ok;
  input_octets_ += octets.size();
  size_t at = 0;
  while (at < octets.size()) {
    Progress p;
    if (carry_.empty()) {
      const MeterStatus status = read(octets.subspan(at), false, p);
      if (status != MeterStatus::ok) return status;
      if (full()) break;
      at += p.consumed;
      need_ = p.need;
      carry_.assign(octets.begin() + static_cast<ptrdiff_t>(at), octets.end());
      break;
    }
    // Exactly what the cut record lacks, so that the rest can be read where it is; but all there is
    // while a stretch of damage is searched, which may lack a little over and over.
    const size_t held = carry_.size() - carry_at_;
    const size_t wanted = held > CaptureReader::plausible_length ? octets.size() : need_ - held;
    const size_t taken = std::min(wanted, octets.size() - at);
    carry_.insert(carry_.end(), octets.begin() + static_cast<ptrdiff_t>(at),
                  octets.begin() + static_cast<ptrdiff_t>(at + taken));
    at += taken;
    if (held + taken < need_) break;
    const MeterStatus status = read(Octets(carry_).subspan(carry_at_), false, p);
    if (status != MeterStatus::ok) return status;
    if (full()) break;
    need_ = p.need;
    carry_at_ += p.consumed;
    const size_t left = carry_.size() - carry_at_;
    if (left <= taken) {
      at -= left;
      carry_.clear();
      carry_at_ = 0;
    } else if (carry_at_ > left) {
      carry_.erase(carry_.begin(), carry_.begin() + static_cast<ptrdiff_t>(carry_at_));
      carry_at_ = 0;
    }
  }
  return MeterStatus::ok;
}

MeterStatus Meter::end_capture() {
  MeterStatus status = MeterStatus::ok;
  Progress p;
  if (!finished_ && !broken_ && !table_full_ && !full() && !file_.is_open())
    status = read(Octets(carry_).subspan(carry_at_), true, p);
  begun_ = true;
  in_capture_ = broken_ = false;
  reader_ = CaptureReader();
  carry_.clear();
  carry_at_ = need_ = file_position_ = 0;
  file_.close();
  return status;
}

int Meter::open(const char* path, MeterStatus& status) {
  status = in_capture_ ? end_capture() : MeterStatus::ok;
  need_ = file_position_ = 0;
  file_.close();
  return file_.open(path);
}

MeterStatus Meter::step(size_t octets, bool& done) {
  done = true;
  if (finished_ || broken_ || table_full_ || full() || !file_.is_open()) return MeterStatus::ok;
  const Octets file = file_.octets();
  const size_t until = file_position_ + std::min(octets, file.size() - file_position_);
  MeterStatus status;
  do {
    // In windows, so that little of the file is mapped at a time.
    const size_t window = std::min(std::max(file_window, need_), file.size() - file_position_);
    file_.populate(file_position_, window);
    Progress p;
    const bool last = file_position_ + window == file.size();
    status = read(file.subspan(file_position_, window), last, p);
    need_ = p.need;
    file_position_ += p.consumed;
    input_octets_ += p.consumed;
    file_.release(file_position_);
    if (file_.shrunk()) {
      broken_ = true;
      return MeterStatus::file_shrunk;
    }
  } while (status == MeterStatus::ok && !full() && file_position_ < until);
  done = status != MeterStatus::ok || full() || file_position_ == file.size();
  return status;
}

MeterStatus Meter::finish() {
  if (finished_) return MeterStatus::ok;
  if (in_capture_ || !begun_) {
    const MeterStatus status = end_capture();
    if (status != MeterStatus::ok) return status;
  }
  finished_ = true;
  if (options_.emit == Emit::flows) {
    table_.drain([&](uint32_t slot) {
      const Flow& f = table_.flow(slot);
      export_flow(slot, expired(f, clock_) ? expiry_reason(f) : ending_reason(f));
    });
  }
  flush();
  if (options_.emit == Emit::pcap) pcap_.finish(link_type_.value_or(1), clock_, outputs_);
  return MeterStatus::ok;
}

void Meter::flush() {
  for (SetBuffer& buffer : buffers_) buffer.close(clock_, outputs_);
  pcap_.close(clock_, outputs_);
}

// ---- Flows
// ----------------------------------------------------------------------------------------

inline uint32_t Meter::tag_of(const KeyWords& key, const Link& link) const noexcept {
  uint32_t tag;
  if (options_.biflow) {
    // Both directions have one hash: that of the one that sorts first.
    const KeyWords turned = reversed(key);
    const bool first = key.addresses != turned.addresses ? key.addresses < turned.addresses
                                                         : key.ports <= turned.ports;
    tag = seeds_.key(first ? key : turned);
  } else {
    tag = seeds_.key(key);
  }
  if (DARTA_UNLIKELY(plan_.link_in_key)) {
    uint64_t words[2];
    std::memcpy(words, &link, sizeof words);
    Link masked;
    const uint64_t kept[2] = {words[0] & link_mask_[0], words[1] & link_mask_[1]};
    std::memcpy(&masked, kept, sizeof masked);
    uint64_t source = 0, destination = 0;
    std::memcpy(&source, masked.source_mac, 6);
    std::memcpy(&destination, masked.destination_mac, 6);
    // A sum, so that it does not matter which end is which.
    tag += seeds_.address(source, masked.interface) + seeds_.address(destination, masked.interface);
  }
  return tag;
}

uint32_t Meter::tag_of_slot(uint32_t slot) const noexcept {
  static constexpr Link no_link{};
  return tag_of(key_of(table_.flow(slot)), plan_.link_in_key ? table_.link(slot) : no_link);
}

/// Whether the parts of the key below IP are the same; `turned`: with the ends exchanged.
bool Meter::same_link(uint32_t slot, const Link& link, bool turned) const noexcept {
  Link other = link;
  if (turned) {
    std::memcpy(other.source_mac, link.destination_mac, 6);
    std::memcpy(other.destination_mac, link.source_mac, 6);
  }
  uint64_t a[2], b[2];
  std::memcpy(a, &table_.link(slot), sizeof a);
  std::memcpy(b, &other, sizeof b);
  return (((a[0] ^ b[0]) & link_mask_[0]) | ((a[1] ^ b[1]) & link_mask_[1])) == 0;
}

template <bool biflow, bool rich>
void Meter::meter_batch() {
  const unsigned n = batch_count_;
  for (unsigned i = 0; i < n; ++i) {
    Packet& p = batch_[i];
    p.guess = table_.guess(p.tag);
    table_.prefetch(p.guess, p.version == 6);
    if constexpr (biflow) __builtin_prefetch(&table_.reverse(p.guess), 1);
  }
  for (unsigned i = 0; i < n; ++i) meter_packet<biflow, rich>(batch_[i]);
}

template <bool biflow, bool rich>
inline void Meter::meter_packet(const Packet& p) {
  if (DARTA_UNLIKELY(static_cast<uint64_t>(p.clock) >= next_tick_)) advance(p.clock);
  bool turned = false;
  const auto matches = [&](uint32_t candidate) {
    const Flow& f = table_.flow(candidate);
    if (same_key(f, p.key) && (p.version == 4 || table_.addresses(candidate) == p.addresses)) {
      if (!rich || !plan_.link_in_key || same_link(candidate, p.link, false)) return true;
    }
    if constexpr (biflow) {
      if (same_key(f, reversed(p.key)) &&
          (p.version == 4 || table_.addresses(candidate) == reversed(p.addresses)) &&
          (!rich || !plan_.link_in_key || same_link(candidate, p.link, true))) {
        turned = true;
        return true;
      }
    }
    return false;
  };
  // A live Flow with this key is the only one, wherever it was found.
  uint32_t slot = p.guess;
  if (slot == FlowTable::none || table_.flow(slot).packets == 0 || !matches(slot))
    slot = table_.find(p.tag, matches);
  if (DARTA_LIKELY(slot != FlowTable::none)) {
    const Flow& f = table_.flow(slot);
    uint8_t over = 0;
    if (DARTA_UNLIKELY(expired(f, p.clock)))
      over = expiry_reason(f);
    else if (DARTA_UNLIKELY((f.key.ports & Flow::ended) != 0 &&
                            (p.tcp_flags & (tcp::syn | tcp::ack)) == tcp::syn))
      over = reason_end;
    if (DARTA_LIKELY(over == 0)) {
      update<biflow, rich>(slot, p, turned);
    } else {
      // The new Flow has the same key, so it takes the place of the old one.
      export_flow(slot, over);
      begin<biflow, rich>(slot, p);
    }
  } else {
    slot = table_.take();
    if (DARTA_UNLIKELY(slot == FlowTable::none)) {
      if (make_room(p.clock)) slot = table_.take();
      if (slot == FlowTable::none) {
        lose(Loss::flow_table_full, p.offset, p.octets, p.time);
        if (options_.on_full == OnFull::fail) {
          table_full_ = true;
          frame_limit_ = 0;
        }
        return;
      }
    }
    begin<biflow, rich>(slot, p);
    table_.insert(p.tag, slot);
  }
  ++ip_packets_;
  ip_octets_ += p.octets;
}

template <bool biflow, bool rich>
inline void Meter::begin(uint32_t slot, const Packet& p) {
  ++flows_created_;
  Flow& f = table_.flow(slot);
  f.key = p.key;
  f.key.ports |= static_cast<uint64_t>(p.tos) << 48;
  f.octets = p.octets;
  f.packets = 1;
  f.start = f.end = p.time;
  f.tcp_flags = p.tcp_flags;
  f.icmp = p.icmp;
  if (p.version == 6) table_.addresses(slot) = p.addresses;
  if constexpr (biflow) table_.reverse(slot) = Reverse{0, 0, 0, 0, p.time, p.time, 0};
  if constexpr (rich) {
    if (plan_.extra) {
      table_.extra(slot) = Extra{
          .syn_packets = p.tcp_flags & tcp::syn ? 1u : 0u,
          .fin_packets = p.tcp_flags & tcp::fin ? 1u : 0u,
          .rst_packets = p.tcp_flags & tcp::rst ? 1u : 0u,
          .shortest = p.octets,
          .longest = p.octets,
          .flow_label = p.flow_label,
          .mpls = p.mpls,
          .least_ttl = p.ttl,
          .greatest_ttl = p.ttl,
          .fragment_flags = p.fragment_flags,
      };
    }
    if (plan_.link) table_.link(slot) = p.link;
  }
  if (serials_) table_.serial(slot) = next_serial_++;
  if (p.tcp_flags & ending_flags_) note_tcp_end(f, p.tcp_flags, false);
  file(slot, deadline(f));
}

template <bool biflow, bool rich>
inline void Meter::update(uint32_t slot, const Packet& p, bool turned) {
  Flow& f = table_.flow(slot);
  if (biflow && turned) {
    Reverse& r = table_.reverse(slot);
    if (r.packets++ == 0) {
      r.start = r.end = p.time;
    } else {
      r.start = std::min(r.start, p.time);
      r.end = std::max(r.end, p.time);
    }
    r.octets += p.octets;
    r.tcp_flags |= p.tcp_flags;
  } else {
    f.octets += p.octets;
    ++f.packets;
    f.tcp_flags |= p.tcp_flags;
    if constexpr (biflow) {
      Reverse& r = table_.reverse(slot);
      r.forward_start = std::min(r.forward_start, p.time);
      r.forward_end = std::max(r.forward_end, p.time);
    }
    if constexpr (rich) {
      if (plan_.extra) {
        Extra& e = table_.extra(slot);
        e.syn_packets += (p.tcp_flags & tcp::syn) != 0;
        e.fin_packets += (p.tcp_flags & tcp::fin) != 0;
        e.rst_packets += (p.tcp_flags & tcp::rst) != 0;
        e.shortest = std::min(e.shortest, p.octets);
        e.longest = std::max(e.longest, p.octets);
        e.least_ttl = std::min(e.least_ttl, p.ttl);
        e.greatest_ttl = std::max(e.greatest_ttl, p.ttl);
        e.fragment_flags |= p.fragment_flags;
      }
    }
  }
  if (p.time > f.end) f.end = p.time;
  bool sooner = false;
  if (DARTA_UNLIKELY(p.time < f.start)) {
    f.start = p.time;
    sooner = true;
  }
  if (DARTA_UNLIKELY((p.tcp_flags & ending_flags_) != 0)) {
    note_tcp_end(f, p.tcp_flags, turned);
    sooner = true;
  }
  if (DARTA_UNLIKELY(sooner)) file_earlier(slot);
}

void Meter::note_tcp_end(Flow& flow, uint16_t tcp_flags, bool turned) const noexcept {
  uint64_t& state = flow.key.ports;
  if (tcp_flags & tcp::rst) state |= Flow::rst;
  if (!(tcp_flags & tcp::fin)) return;
  state |= turned ? Flow::fin_reverse : Flow::fin_forward;
  constexpr uint64_t both = Flow::fin_forward | Flow::fin_reverse;
  if (!options_.biflow || (state & both) == both) state |= Flow::ended_by_fin;
}

// ---- the end of Flows
// -----------------------------------------------------------------------------

inline bool Meter::expired(const Flow& f, int64_t clock) const noexcept {
  // Differences of times that are never negative do not overflow.
  if (clock - f.end > options_.idle_timeout || clock - f.start > options_.active_timeout)
    return true;
  if (DARTA_LIKELY(!(f.key.ports & Flow::ended))) return false;
  return clock - f.end >
         (f.key.ports & Flow::rst ? options_.tcp_rst_timeout : options_.tcp_fin_timeout);
}

inline uint64_t Meter::deadline(const Flow& f) const noexcept {
  const uint64_t by_time =
      std::min(later(f.end, options_.idle_timeout), later(f.start, options_.active_timeout));
  if (!(f.key.ports & Flow::ended)) return by_time;
  return std::min(by_time, later(f.end, f.key.ports & Flow::rst ? options_.tcp_rst_timeout
                                                                : options_.tcp_fin_timeout));
}

/// Of an expired Flow: of the limits the one that was reached first, at equality 3 before 1
/// before 2.
uint8_t Meter::expiry_reason(const Flow& f) const noexcept {
  const uint64_t idle = later(f.end, options_.idle_timeout);
  const uint64_t active = later(f.start, options_.active_timeout);
  const uint64_t first = std::min(idle, active);
  if (f.key.ports & Flow::ended) {
    const int64_t timeout =
        f.key.ports & Flow::rst ? options_.tcp_rst_timeout : options_.tcp_fin_timeout;
    if (later(f.end, timeout) <= first) return reason_end;
  }
  return idle <= active ? reason_idle : reason_active;
}

/// Of a Flow that is not expired.
uint8_t Meter::ending_reason(const Flow& f) const noexcept {
  return f.key.ports & Flow::ended ? reason_end : reason_forced;
}

void Meter::export_flow(uint32_t slot, uint8_t reason) {
  const Flow& f = table_.flow(slot);
  const bool v6 = f.version() == 6;
  const RecordProgram& program = plan_.programs[v6];
  const FlowParts parts{.flow = f,
                        .addresses = v6 ? &table_.addresses(slot) : nullptr,
                        .reverse = options_.biflow ? &table_.reverse(slot) : nullptr,
                        .extra = plan_.extra ? &table_.extra(slot) : nullptr,
                        .link = plan_.link ? &table_.link(slot) : nullptr,
                        .end_reason = reason};
  program.write_flow(buffers_[v6].room(program.record_octets(), clock_, outputs_), parts);
  ++flows_exported_;
}

void Meter::remove(uint32_t slot) {
  table_.remove(tag_of_slot(slot), slot);
  table_.give_back(slot);
}

void Meter::advance(int64_t clock) {
  const auto now = static_cast<uint64_t>(clock);
  if (started_) {
    expire_next(clock);
    wheel_.advance(wheel_.tick_of(now), [&](uint64_t tick, const uint32_t* slots, uint32_t count) {
      visit(tick, slots, count, now);
    });
  } else {
    wheel_.start(now);
    started_ = true;
  }
  next_tick_ = wheel_.next_tick_time();
}

/// Ends the Flows of `slots`, which were filed under `tick`, or files them again.
void Meter::visit(uint64_t tick, const uint32_t* slots, uint32_t count, uint64_t clock) {
  uint32_t due[64], tags[64];
  uint32_t n = 0;
  for (uint32_t i = 0; i < count; ++i) __builtin_prefetch(&table_.flow(slots[i]), 1);
  for (uint32_t i = 0; i < count; ++i) {
    Flow& f = table_.flow(slots[i]);
    if (f.packets == 0 || f.tick != static_cast<uint32_t>(tick)) continue;
    const uint64_t ends = deadline(f);
    if (ends >= clock && !sets_back_) {
      file(slots[i], ends);
      continue;
    }
    f.tick ^= 0x80000000;  // a second entry for this slot is stale now
    if (f.version() == 6) __builtin_prefetch(&table_.addresses(slots[i]));
    due[n] = slots[i];
    tags[n] = tag_of_slot(slots[i]);
    __builtin_prefetch(table_.home(tags[n++]), 1);
  }
  for (uint32_t i = 0; i < n; ++i) {
    const Flow& f = table_.flow(due[i]);
    export_flow(due[i], sets_back_ ? ending_reason(f) : expiry_reason(f));
    table_.remove(tags[i], due[i]);
    table_.give_back(due[i]);
  }
}

inline void Meter::file(uint32_t slot, uint64_t ends) {
  const uint64_t tick = wheel_.filing_tick(ends);
  table_.flow(slot).tick = static_cast<uint32_t>(tick);
  if (DARTA_UNLIKELY(tick < next_end_))
    push_next(slot, ends, tick);
  else
    wheel_.file(tick, slot);
}

/// Files a Flow whose deadline may have moved forward; a deadline that moves back is found when its
/// tick comes.
void Meter::file_earlier(uint32_t slot) {
  Flow& f = table_.flow(slot);
  const uint64_t ends = deadline(f);
  const uint64_t tick = wheel_.filing_tick(ends);
  const bool in_heap = tick < next_end_;
  if (!in_heap && static_cast<int32_t>(static_cast<uint32_t>(tick) - f.tick) >= 0) return;
  file(slot, ends);
}

// The heap: while Flows are evicted, those that end next must come in the exact order of their
// deadlines.

void Meter::push_next(uint32_t slot, uint64_t ends, uint64_t tick) {
  next_.push_back({ends, serials_ ? table_.serial(slot) : 0, slot, static_cast<uint32_t>(tick)});
  std::push_heap(next_.begin(), next_.end(), [](const Next& a, const Next& b) {
    return a.deadline != b.deadline ? a.deadline > b.deadline
                                    : static_cast<int32_t>(a.serial - b.serial) > 0;
  });
}

/// Takes the first entry; false if its Flow is filed elsewhere or gone.
bool Meter::pop_next(Next& next) {
  std::pop_heap(next_.begin(), next_.end(), [](const Next& a, const Next& b) {
    return a.deadline != b.deadline ? a.deadline > b.deadline
                                    : static_cast<int32_t>(a.serial - b.serial) > 0;
  });
  next = next_.back();
  next_.pop_back();
  const Flow& f = table_.flow(next.slot);
  // The slot may have been given to another Flow with the same deadline since.
  return f.packets != 0 && f.tick == next.tick &&
         (!serials_ || table_.serial(next.slot) == next.serial);
}

/// Moves the Flows filed under `tick` from the wheel to the heap.
void Meter::load_next(uint64_t tick) {
  next_end_ = tick + 1;
  wheel_.empty(tick, [&](uint64_t, const uint32_t* slots, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) {
      const Flow& f = table_.flow(slots[i]);
      if (f.packets != 0 && f.tick == static_cast<uint32_t>(tick)) file(slots[i], deadline(f));
    }
  });
}

/// Ends the Flows of the heap that are expired.
void Meter::expire_next(int64_t clock) {
  const auto now = static_cast<uint64_t>(clock);
  while (!next_.empty() && next_.front().deadline < now) {
    Next next;
    if (!pop_next(next)) continue;
    const uint64_t ends = deadline(table_.flow(next.slot));
    if (ends >= now) {
      file(next.slot, ends);
      continue;
    }
    export_flow(next.slot, expiry_reason(table_.flow(next.slot)));
    remove(next.slot);
  }
}

/// Frees a slot if that can be: expired Flows first, then by eviction if options allow it.
bool Meter::make_room(int64_t clock) {
  const uint32_t live = table_.live();
  if (live == 0) return false;
  if (next_end_ <= wheel_.current()) load_next(wheel_.current());
  expire_next(clock);
  if (table_.live() < live) return true;
  if (options_.on_full != OnFull::evict) return false;
  evict();
  return true;
}

void Meter::evict() {
  for (;;) {
    while (next_.empty()) load_next(next_end_);
    Next next;
    if (!pop_next(next)) continue;
    const uint64_t ends = deadline(table_.flow(next.slot));
    if (ends != next.deadline) {
      file(next.slot, ends);
      continue;
    }
    export_flow(next.slot, reason_resources);
    remove(next.slot);
    ++flows_evicted_;
    return;
  }
}

// ---- the account
// ----------------------------------------------------------------------------------

MeterCounters Meter::counters() const {
  MeterCounters c;
  c.frames = frames_ + others_;
  c.ip_packets = ip_packets_;
  c.ip_octets = ip_octets_;
  c.input_octets = input_octets_;
  c.flows_created = flows_created_;
  c.flows_exported = flows_exported_;
  c.flows_live = table_.live();
  c.flows_evicted = flows_evicted_;
  if (options_.emit == Emit::flows)
    c.memory_octets = table_.memory() + wheel_.memory() + next_.capacity() * sizeof(Next);
  c.first_time = first_time_;
  c.last_time = clock_;
  c.lost_octets = lost_octets_;
  c.first_lost = first_lost_;
  c.last_lost = last_lost_;
  for (size_t i = 0; i < verdict_count; ++i) {
    if (skipped_[i] > 0)
      c.skipped.push_back({verdict_name(static_cast<Verdict>(i)), skipped_[i], 0});
  }
  if (others_ > 0) c.skipped.push_back({"other-share", others_, 0});
  for (const uint16_t type : seen_ethertypes_) {
    char name[24];
    std::snprintf(name, sizeof name, "ethertype-0x%04x", type);
    c.skipped.push_back({name, ethertypes_[type], 0});
  }
  for (const auto& [type, count] : link_types_)
    c.skipped.push_back({"link-type-" + std::to_string(type), count, 0});
  static constexpr const char* loss_names[loss_count] = {
      "truncated",       "malformed",       "unknown-interface", "ip-version",
      "ip-header-short", "flow-table-full", "link-type-differs"};
  for (size_t i = 0; i < loss_count; ++i) {
    if (lost_[i] > 0) c.lost.push_back({loss_names[i], lost_[i], first_offset_[i]});
  }
  return c;
}

}  // namespace darta
