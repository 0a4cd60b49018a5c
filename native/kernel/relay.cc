#include "kernel/relay.h"

#include <algorithm>
#include <cstring>

namespace darta {
namespace {

/// Words of an entry in `touched`.
constexpr size_t touched_words = 5;
/// Numbers of a datagram, as native/receive/datagrams.h has them.
enum : size_t {
  at_offset,
  at_length,
  at_socket,
  at_hash,
  at_port,
  at_address_octets,
  at_after_ms,
  at_address,
  datagram_words = 11
};
/// Words of a room.
enum : size_t {
  word_at,
  word_start,
  word_open,
  word_time,
  word_domain,
  word_count,
  word_set,
  word_set_id,
  word_most,
  word_switched,
  word_end,
  word_records,
  word_touched,
  word_latest,
  word_octets,
  room_words
};
/// What a tail is made of.
enum : uint32_t { part_received = 1, part_columns = 8, part_exporter = 16, part_domain = 32 };

constexpr uint32_t message_header = 16;
constexpr uint32_t set_header = 4;
constexpr size_t packet9_header = 20;
constexpr size_t packet5_header = 24;
constexpr size_t longest_message = 65535;
/// What one datagram or Message may become, so that one spare block is always enough for it.
constexpr size_t most_written = size_t{1} << 18;
constexpr size_t least_spare = most_written + 4 * longest_message;
constexpr size_t most_sources = 65536;
constexpr size_t most_templates = 64;
/// Octets of an announcement.
constexpr size_t most_announced = 4096;
/// Data Sets have no lower ID.
constexpr uint32_t least_data_id = 256;
/// Copies may write and read so many octets too many.
constexpr size_t slack = 32;
/// Octets between what is written and what will be, which is asked for already; octets of a cache line.
constexpr size_t ahead = 2048;
constexpr size_t line = 64;
/// Columns, time, address and domain.
constexpr size_t longest_tail = 16 + 8 + 16 + 4;
constexpr size_t tail_room = longest_tail + slack;

uint32_t be16(const uint8_t* p) noexcept { return static_cast<uint32_t>(p[0]) << 8 | p[1]; }
uint32_t be32(const uint8_t* p) noexcept {
  uint32_t value;
  std::memcpy(&value, p, 4);
  return __builtin_bswap32(value);
}
void put16(uint8_t* p, uint32_t value) noexcept {
  p[0] = static_cast<uint8_t>(value >> 8);
  p[1] = static_cast<uint8_t>(value);
}
void put32(uint8_t* p, uint32_t value) noexcept {
  value = __builtin_bswap32(value);
  std::memcpy(p, &value, 4);
}
void put64(uint8_t* p, uint64_t value) noexcept {
  value = __builtin_bswap64(value);
  std::memcpy(p, &value, 8);
}

/// Where the header of a version names the domain; 0: it is none of ours.
constexpr size_t place_of(uint32_t version) noexcept {
  return version == 10 ? 12 : version == 9 ? 16 : version == 5 ? 20 : 0;
}

/// Copies in steps of 16 octets; up to 15 behind `octets` are read and written too.
inline void copy_over(uint8_t* to, const uint8_t* from, size_t octets) noexcept {
  for (size_t i = 0; i < octets; i += 16) std::memcpy(to + i, from + i, 16);
}

}  // namespace

/// Continues the Messages of src/ipfix/encoder.ts by the same rules.
class Relay::Writer {
 public:
  explicit Writer(const RelayRoom& room) noexcept
      : room_(room),
        at_(room.words[word_at]),
        start_(room.words[word_start]),
        open_(room.words[word_open] != 0),
        time_(room.words[word_time]),
        domain_(room.words[word_domain]),
        count_(room.words[word_count]),
        set_(room.words[word_set]),
        set_id_(room.words[word_set_id]),
        most_(room.words[word_most]),
        block_(room.block) {}

  /// Whether the words fit each other and the blocks.
  [[nodiscard]] static bool fits(const RelayRoom& room) noexcept {
    if (room.words.size() < room_words || room.spare.size() < least_spare) return false;
    const uint64_t at = room.words[word_at], start = room.words[word_start],
                   most = room.words[word_most], set = room.words[word_set];
    if (at > room.block.size() || most < 576 || most > longest_message) return false;
    if (room.words[word_open] == 0) return true;
    return room.words[word_domain] < room.domains.size() / 2 && start + message_header <= at &&
           at - start <= most && room.block.size() - start >= most &&
           (set == 0 || (set >= start + message_header && set + set_header <= at));
  }

  void save(uint64_t octets) noexcept {
    std::span<uint32_t> words = room_.words;
    words[word_at] = static_cast<uint32_t>(at_);
    words[word_start] = static_cast<uint32_t>(start_);
    words[word_open] = open_;
    words[word_time] = time_;
    words[word_domain] = domain_;
    words[word_count] = count_;
    words[word_set] = static_cast<uint32_t>(set_);
    words[word_set_id] = set_id_;
    words[word_switched] = switched_;
    words[word_end] = static_cast<uint32_t>(end_);
    words[word_records] = records_;
    words[word_touched] = touched_;
    words[word_latest] = latest_;
    words[word_octets] = static_cast<uint32_t>(octets);
  }

  [[nodiscard]] size_t most() const noexcept { return most_; }
  [[nodiscard]] size_t domains() const noexcept { return room_.domains.size() / 2; }
  [[nodiscard]] bool switched() const noexcept { return switched_; }
  [[nodiscard]] bool has_touch() const noexcept {
    return touched_words * (touched_ + size_t{1}) <= room_.touched.size();
  }

  /// Books a Message with so many records for a lane, which has used Templates by this mask.
  void touch(Lane& lane, uint32_t number, uint64_t call, uint32_t records,
             uint64_t templates) noexcept {
    if (lane.call != call) {
      lane.call = call;
      lane.touched = touched_++;
      std::fill_n(&room_.touched[touched_words * lane.touched], touched_words, 0);
      room_.touched[touched_words * lane.touched] = number;
    }
    uint32_t* const entry = &room_.touched[touched_words * lane.touched];
    entry[1]++;
    entry[2] += records;
    entry[3] |= static_cast<uint32_t>(templates);
    entry[4] |= static_cast<uint32_t>(templates >> 32);
    records_ += records;
  }

  /// Writes records, each with the tail behind it. `end` is where octets that may be read end.
  void write(uint32_t domain, uint32_t time, const Template& of, const uint8_t* from,
             uint32_t count, const uint8_t* tail, const uint8_t* end) noexcept {
    const size_t size = of.octets + of.tail_octets;
    latest_ = std::max(latest_, time);
    for (uint32_t i = 0; i < count;) {
      if (open_ && (domain_ != domain || time_ != time)) close_message();
      if (open_) {
        const size_t header = set_ != 0 && set_id_ == of.out_id ? 0 : set_header;
        if (at_ + header + size - start_ > most_) close_message();
      }
      if (!open_) open_message(domain, time);
      if (set_ == 0 || set_id_ != of.out_id) {
        close_set();
        set_ = at_;
        set_id_ = of.out_id;
        at_ += set_header;
      }
      const auto room = static_cast<uint32_t>((most_ - (at_ - start_)) / size);
      const uint32_t n = std::min(room, count - i);
      copy(of, from + size_t{i} * of.octets, n, tail, end);
      count_ += n;
      i += n;
    }
  }

 private:
  void copy(const Template& of, const uint8_t* from, uint32_t n, const uint8_t* tail,
            const uint8_t* end) noexcept {
    const size_t octets = of.octets, behind = of.tail_octets, size = octets + behind;
    uint8_t* to = block_.data() + at_;
    uint8_t* const stop = to + size * n;
    // What is copied too much lies before what is written next, and never behind the block.
    if (static_cast<size_t>(end - (from + octets * n)) >= slack &&
        static_cast<size_t>(block_.data() + block_.size() - stop) >= slack) {
      for (; to < stop; to += size, from += octets) {
        // Whoever wrote the block's octets to a file had them in another processor's cache.
        for (size_t i = 0; i < size; i += line)
          __builtin_prefetch(reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(to) + ahead + i),
                             1);
        copy_over(to, from, octets);
        copy_over(to + octets, tail, behind);
      }
    } else {
      for (; to < stop; to += size, from += octets) {
        std::memcpy(to, from, octets);
        std::memcpy(to + octets, tail, behind);
      }
    }
    for (uint32_t m = 0; m < of.masks; ++m) {
      uint8_t* masked = block_.data() + at_ + of.masked[m];
      for (uint32_t i = 0; i < n; ++i, masked += size) *masked &= 0x0f;
    }
    at_ += size * n;
  }

  void close_set() noexcept {
    if (set_ == 0) return;
    put16(block_.data() + set_, set_id_);
    put16(block_.data() + set_ + 2, static_cast<uint32_t>(at_ - set_));
    set_ = 0;
  }

  void close_message() noexcept {
    close_set();
    uint8_t* const header = block_.data() + start_;
    uint32_t* const domain = &room_.domains[2 * size_t{domain_}];
    put16(header, 10);
    put16(header + 2, static_cast<uint32_t>(at_ - start_));
    put32(header + 4, time_);
    put32(header + 8, domain[0]);
    put32(header + 12, domain[1]);
    domain[0] += count_;
    open_ = false;
    count_ = 0;
  }

  void open_message(uint32_t domain, uint32_t time) noexcept {
    if (block_.size() - at_ < most_) {
      end_ = at_;
      switched_ = true;
      block_ = room_.spare;
      at_ = 0;
    }
    start_ = at_;
    at_ += message_header;
    open_ = true;
    domain_ = domain;
    time_ = time;
    set_ = 0;
  }

  const RelayRoom& room_;
  size_t at_, start_;
  bool open_;
  uint32_t time_, domain_, count_;
  /// Where the Set begins that is being written; 0: none.
  size_t set_;
  uint32_t set_id_;
  size_t most_;
  std::span<uint8_t> block_;
  bool switched_ = false;
  size_t end_ = 0;
  uint32_t records_ = 0;
  uint32_t touched_ = 0;
  uint32_t latest_ = 0;
};

uint64_t Relay::key_of(uint32_t session, uint32_t protocol, uint32_t word) noexcept {
  return (uint64_t{session} << 36) ^ (uint64_t{protocol} << 32) ^ word;
}

void Relay::source(uint32_t hash, uint32_t socket, uint32_t port, std::span<const uint8_t> address,
                   uint32_t session) {
  last_source_ = nullptr;
  if (sources_.size() >= most_sources) sources_.clear();
  Source made{
      socket, port, session, static_cast<uint32_t>(std::min<size_t>(address.size(), 16)), {}};
  std::copy_n(address.begin(), made.address_octets, made.address.begin());
  const auto [first, last] = sources_.equal_range(hash);
  for (auto known = first; known != last; ++known) {
    const Source& one = known->second;
    if (one.socket == socket && one.port == port && one.address_octets == made.address_octets &&
        one.address == made.address) {
      known->second = made;
      return;
    }
  }
  sources_.emplace(hash, made);
}

int64_t Relay::lane(std::span<const uint32_t> program, std::span<const uint8_t> address) {
  if (program.size() < 5 || address.size() > 16) return -1;
  const uint32_t session = program[0], protocol = program[1], word = program[2];
  if (protocol != 5 && protocol != 9 && protocol != 10) return -1;
  uint32_t number = 0;
  if (free_.empty()) {
    number = static_cast<uint32_t>(lanes_.size());
    lanes_.emplace_back();
  } else {
    number = free_.back();
    free_.pop_back();
  }
  Lane& made = lanes_[number];
  made = Lane{};
  made.used = true;
  made.protocol = protocol;
  made.key = key_of(session, protocol, protocol == 5 ? word >> 16 : word);
  made.word = word;
  made.domain_id = program[3];
  made.domain = program[4];
  made.address_octets = static_cast<uint32_t>(address.size());
  std::copy(address.begin(), address.end(), made.address.begin());
  by_key_[made.key] = number;
  has_last_ = false;
  return number;
}

bool Relay::add_template(uint32_t number, std::span<const uint32_t> program) {
  if (number >= lanes_.size() || !lanes_[number].used || program.size() < 5) return false;
  Lane& lane = lanes_[number];
  Template made{program[0], program[1], program[2], program[3], 0, program[4], {}};
  if (made.octets == 0 || made.octets > longest_message || made.masks > made.masked.size() ||
      program.size() != 5 + made.masks || lane.templates.size() >= most_templates)
    return false;
  for (uint32_t i = 0; i < made.masks; ++i) {
    made.masked[i] = program[5 + i];
    if (made.masked[i] >= made.octets) return false;
  }
  if (made.parts & part_columns)
    made.tail_octets += lane.protocol == 5 ? 13 : lane.protocol == 9 ? 8 : 0;
  if (made.parts & part_received) made.tail_octets += 8;
  if (made.parts & part_exporter) made.tail_octets += lane.address_octets;
  if (made.parts & part_domain) made.tail_octets += 4;
  for (Template& known : lane.templates) {
    if (known.id != made.id) continue;
    known = made;
    return true;
  }
  lane.templates.push_back(made);
  return true;
}

bool Relay::announce(uint32_t number, std::span<const uint8_t> sets) {
  if (number >= lanes_.size() || !lanes_[number].used || sets.empty()) return false;
  std::vector<std::vector<uint8_t>>& known = lanes_[number].announcements;
  if (sets.size() > most_announced || known.size() >= most_announcements) return false;
  known.emplace_back(sets.begin(), sets.end());
  return true;
}

bool Relay::put(uint32_t number, std::span<const uint32_t> state) noexcept {
  if (number >= lanes_.size() || state.size() < state_words || state[2] >= recent_messages ||
      state[3] > recent_messages)
    return false;
  std::copy_n(state.begin(), state_words, lanes_[number].state.begin());
  return true;
}

bool Relay::get(uint32_t number, std::span<uint32_t> state) const noexcept {
  if (number >= lanes_.size() || state.size() < state_words) return false;
  std::copy_n(lanes_[number].state.begin(), state_words, state.begin());
  return true;
}

void Relay::drop(uint32_t number) {
  if (number >= lanes_.size() || !lanes_[number].used) return;
  const auto known = by_key_.find(lanes_[number].key);
  if (known != by_key_.end() && known->second == number) by_key_.erase(known);
  lanes_[number] = Lane{};
  free_.push_back(number);
  has_last_ = false;
}

Relay::Lane* Relay::lane_of(uint32_t session, uint32_t protocol, uint32_t word) noexcept {
  const uint64_t key = key_of(session, protocol, word);
  if (!has_last_ || last_key_ != key) {
    const auto known = by_key_.find(key);
    if (known == by_key_.end()) return nullptr;
    last_key_ = key;
    last_lane_ = known->second;
    has_last_ = true;
  }
  return &lanes_[last_lane_];
}

const Relay::Source* Relay::source_of(const uint32_t* datagram) noexcept {
  const auto is = [datagram](const Source& one) {
    return one.socket == datagram[at_socket] && one.port == datagram[at_port] &&
           one.address_octets == datagram[at_address_octets] &&
           std::memcmp(one.address.data(), datagram + at_address, one.address_octets) == 0;
  };
  const uint32_t hash = datagram[at_hash];
  if (last_source_ != nullptr && last_hash_ == hash && is(*last_source_)) return last_source_;
  const auto [first, last] = sources_.equal_range(hash);
  for (auto known = first; known != last; ++known) {
    if (!is(known->second)) continue;
    last_hash_ = hash;
    return last_source_ = &known->second;
  }
  return nullptr;
}

bool Relay::look_at_sets(const Lane& lane, const uint8_t* at, const uint8_t* end,
                         Seen& seen) noexcept {
  const Template* last = nullptr;
  size_t written = 0;
  while (end - at >= static_cast<ptrdiff_t>(set_header)) {
    const uint32_t id = be16(at), length = be16(at + 2);
    if (length < set_header || length > end - at) return false;
    if (id < least_data_id) {
      if (seen.announcement >= 0) return false;
      for (size_t k = 0; k < lane.announcements.size() && seen.announcement < 0; ++k) {
        const std::vector<uint8_t>& sets = lane.announcements[k];
        if (static_cast<size_t>(end - at) < sets.size() ||
            std::memcmp(at, sets.data(), sets.size()) != 0)
          continue;
        seen.announcement = static_cast<int>(k);
        at += sets.size();
      }
      if (seen.announcement < 0) return false;
      continue;
    }
    if (last == nullptr || last->id != id) {
      last = nullptr;
      for (const Template& known : lane.templates) {
        if (known.id == id) last = &known;
      }
      if (last == nullptr) return false;
      // Also by a Set that is empty.
      seen.templates |= uint64_t{1} << (last - lane.templates.data());
    }
    const uint32_t body = length - set_header, count = body / last->octets;
    // What fills a Set up has to be zeros; anything else is noted.
    const uint8_t* const next = at + length;
    for (const uint8_t* p = at + set_header + size_t{count} * last->octets; p < next; ++p) {
      if (*p != 0) return false;
    }
    if (count > 0) {
      if (seen.runs == most_runs) return false;
      runs_[seen.runs++] = {last, at + set_header, count};
      seen.records += count;
      written += set_header + size_t{count} * (last->octets + last->tail_octets);
    }
    at = next;
  }
  return at == end && (seen.records > 0 || seen.announcement >= 0) && written <= most_written;
}

bool Relay::look(const Lane& lane, const uint8_t* octets, size_t length, Seen& seen) noexcept {
  seen.records = 0;
  seen.runs = 0;
  seen.announcement = -1;
  seen.templates = 0;
  seen.column_octets = 0;
  if (lane.protocol == 10) {
    seen.export_time = be32(octets + 4);
    seen.sequence = be32(octets + 8);
    return look_at_sets(lane, octets + message_header, octets + length, seen);
  }
  const uint64_t uptime = be32(octets + 4), seconds = be32(octets + 8);
  seen.export_time = static_cast<uint32_t>(seconds);
  uint64_t ms = seconds * 1000;
  if (lane.protocol == 5) ms += be32(octets + 12) / 1000000;
  put64(seen.columns.data(), ms > uptime ? ms - uptime : 0);
  seen.column_octets = 8;
  if (lane.protocol == 9) {
    seen.sequence = be32(octets + 12);
    return look_at_sets(lane, octets + packet9_header, octets + length, seen);
  }
  seen.sequence = be32(octets + 16);
  std::memcpy(seen.columns.data() + 8, octets + 20, 2);
  const uint32_t sampling = be16(octets + 22);
  seen.columns[10] = static_cast<uint8_t>(sampling >> 14);
  put16(seen.columns.data() + 11, sampling & 0x3fff);
  seen.column_octets = 13;
  const uint32_t count = be16(octets + 2);
  if (lane.templates.empty() || count == 0) return false;
  const Template& of = lane.templates.front();
  if (length != packet5_header + size_t{count} * of.octets) return false;
  runs_[seen.runs++] = {&of, octets + packet5_header, count};
  seen.records = count;
  return size_t{count} * (of.octets + of.tail_octets) <= most_written;
}

bool Relay::pass(uint32_t session, const uint8_t* octets, size_t length, const uint8_t* end,
                 uint64_t ms, Writer& writer) {
  if (length < packet5_header || octets[0] != 0 || !writer.has_touch()) return false;
  const uint32_t protocol = octets[1];
  const size_t place = place_of(protocol);
  if (place == 0 || (protocol == 10 && be16(octets + 2) != length)) return false;
  const uint32_t word = be32(octets + place);
  Lane* const lane = lane_of(session, protocol, protocol == 5 ? word >> 16 : word);
  Seen seen;
  if (lane == nullptr || lane->word != word || lane->domain >= writer.domains() ||
      !look(*lane, octets, length, seen) || seen.sequence != lane->state[0])
    return false;
  uint8_t tail[tail_room];
  uint32_t parts = UINT32_MAX;
  for (size_t i = 0; i < seen.runs; ++i) {
    const Template& of = *runs_[i].of;
    // A record is no longer than a Message.
    if (message_header + set_header + of.octets + of.tail_octets > writer.most()) return false;
  }
  for (size_t i = 0; i < seen.runs; ++i) {
    const Run& run = runs_[i];
    if (run.of->parts != parts) {
      parts = run.of->parts;
      uint8_t* to = tail;
      if (parts & part_columns) {
        std::memcpy(to, seen.columns.data(), seen.column_octets);
        to += seen.column_octets;
      }
      if (parts & part_received) {
        put64(to, ms);
        to += 8;
      }
      if (parts & part_exporter) {
        std::memcpy(to, lane->address.data(), lane->address_octets);
        to += lane->address_octets;
      }
      if (parts & part_domain) put32(to, lane->domain_id);
    }
    writer.write(lane->domain, seen.export_time, *run.of, run.from, run.count, tail, end);
  }
  const uint32_t counted = protocol == 9 ? 1 : seen.records;
  std::array<uint32_t, state_words>& state = lane->state;
  state[0] = seen.sequence + counted;
  state[1] = seen.export_time;
  uint32_t* const recent = &state[4 + 3 * size_t{state[2]}];
  recent[0] = seen.sequence;
  recent[1] = seen.export_time;
  recent[2] = counted;
  state[2] = (state[2] + 1) % recent_messages;
  if (state[3] < recent_messages) state[3]++;
  if (seen.announcement >= 0)
    state[sequence_words + static_cast<size_t>(seen.announcement)] = seen.export_time;
  writer.touch(*lane, static_cast<uint32_t>(lane - lanes_.data()), call_, seen.records,
               seen.templates);
  return true;
}

std::optional<size_t> Relay::datagrams(std::span<const uint8_t> octets,
                                       std::span<const uint32_t> datagrams, size_t from,
                                       double base_ms, const RelayRoom& room) {
  if (!Writer::fits(room)) return std::nullopt;
  call_++;
  Writer writer(room);
  const size_t count = datagrams.size() / datagram_words;
  const uint8_t* const end = octets.data() + octets.size();
  uint64_t passed = 0;
  size_t i = from;
  for (; i < count && !writer.switched(); ++i) {
    const uint32_t* const datagram = &datagrams[i * datagram_words];
    const size_t offset = datagram[at_offset], length = datagram[at_length];
    if (offset > octets.size() || length > octets.size() - offset) return std::nullopt;
    const Source* const source = source_of(datagram);
    if (source == nullptr) break;
    const uint64_t ms = static_cast<uint64_t>(base_ms) + datagram[at_after_ms];
    const uint8_t* const begin = octets.data() + offset;
    if (!pass(source->session, begin, length, end, ms, writer)) break;
    passed += length;
  }
  writer.save(passed);
  return i;
}

size_t Relay::left(std::span<const uint8_t> octets, std::span<const uint32_t> datagrams,
                   size_t from) noexcept {
  const size_t count = datagrams.size() / datagram_words;
  size_t i = from + 1;
  for (; i < count; ++i) {
    const uint32_t* const datagram = &datagrams[i * datagram_words];
    const Source* const source = source_of(datagram);
    if (source == nullptr) continue;
    const size_t offset = datagram[at_offset];
    if (datagram[at_length] < packet5_header || offset + packet5_header > octets.size()) continue;
    const uint8_t* const begin = octets.data() + offset;
    const size_t place = place_of(begin[1]);
    if (place == 0) continue;
    const uint32_t word = be32(begin + place);
    if (lane_of(source->session, begin[1], begin[1] == 5 ? word >> 16 : word) != nullptr) break;
  }
  return i - from;
}

std::optional<size_t> Relay::messages(std::span<const uint8_t> octets, size_t from,
                                      uint32_t session, double ms, const RelayRoom& room) {
  if (!Writer::fits(room) || from > octets.size()) return std::nullopt;
  call_++;
  Writer writer(room);
  const uint8_t* const end = octets.data() + octets.size();
  size_t at = from;
  while (octets.size() - at >= packet5_header && !writer.switched()) {
    const uint8_t* const begin = octets.data() + at;
    const size_t length = be16(begin + 2), rest = octets.size() - at;
    if (be16(begin) != 10 || length > rest) break;
    // What stands behind has to look like another Message as far as it is there; else this one may have been cut short.
    if (rest - length >= 4 &&
        (be16(begin + length) != 10 || be16(begin + length + 2) < message_header))
      break;
    if (!pass(session, begin, length, end, static_cast<uint64_t>(ms), writer)) break;
    at += length;
  }
  writer.save(at - from);
  return at;
}

}  // namespace darta
