#include "kernel/groups.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "capture/octets.h"

namespace darta {
namespace {

static_assert(std::endian::native == std::endian::little, "rows are least significant octet first");

enum Fold : uint8_t { kSum = 0, kMin = 1, kMax = 2, kOr = 3 };
constexpr uint32_t kSkipZero = 1;
constexpr uint32_t kExceptSame = 2;
constexpr uint32_t kRows = 4;
constexpr uint32_t kRanked = 8;
/// Instead of where a move comes from.
constexpr int32_t kConstant = -1;
constexpr int32_t kWay = -2;
constexpr int32_t kOnly = -3;
constexpr uint32_t kNoGroup = 0xffffffff;
constexpr size_t kHeader = 6;
constexpr size_t kMove = 5;
constexpr size_t kSource = 4;
constexpr uint64_t kNoValue = ~uint64_t{0};
constexpr unsigned kFirstSlotBits = 6;
constexpr uint64_t kFirstRows = 64;
/// A row number must fit 32 bits with 0 left for free slots.
constexpr uint64_t kMostRows = 0xfffffffe;
/// Seconds from 1900 to 1970. RFC 7011 section 6.1.9.
constexpr uint64_t kNtp1970 = 2208988800;

/// Both halves of the 128-bit product, folded: every bit of the result hangs on all bits of a and b.
uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

bool equal_keys(const uint8_t* a, const uint8_t* b, size_t octets) {
  for (size_t i = 0; i < octets; i += 8) {
    if (load<uint64_t>(a + i) != load<uint64_t>(b + i)) return false;
  }
  return true;
}

uint64_t ntp_milliseconds(uint64_t stamp) {
  const uint64_t seconds = (stamp >> 32) - kNtp1970;
  const uint64_t fraction = stamp & 0xffffffff;
  // Seconds below 1970's are of era 1: the difference wraps within 32 bits.
  return (seconds & 0xffffffff) * 1000 + (fraction * 1000 >> 32);
}

}  // namespace

Groups::Groups(std::span<const uint8_t> columns, uint64_t max_octets, uint32_t seed)
    : columns_(columns.begin(), columns.end()),
      max_octets_(max_octets),
      seed_(mix(seed ^ 0x9e3779b97f4a7c15, 0xd6e8feb86659fd93)),
      ranks_(65536),
      refused_row_(columns.size()) {
  start_row(refused_row_.data());
}

size_t Groups::shape(size_t key_octets) {
  Shape shape;
  shape.key_octets = key_octets;
  shape.row_octets = key_octets + 8 * columns_.size();
  shape.slot_bits = kFirstSlotBits;
  shape.differ.resize(key_octets / 8);
  if (!shape.slots.grow(size_t{1} << kFirstSlotBits)) std::abort();
  memory_ += 8ull << kFirstSlotBits;
  shapes_.push_back(std::move(shape));
  if (key_octets > key_room_) key_room_ = key_octets;
  keys_.assign((kBatch + 1) * std::max<size_t>(key_room_, 8), 0);
  return shapes_.size() - 1;
}

int64_t Groups::program(std::span<const int32_t> code) {
  if (code.size() < kHeader) return -1;
  for (const size_t i : {0u, 1u, 3u, 4u, 5u}) {
    if (code[i] < 0) return -1;
  }
  const size_t moves = static_cast<size_t>(code[4]);
  const size_t except = static_cast<size_t>(code[5]);
  if (code.size() != kHeader + (moves + except) * kMove + columns_.size() * kSource) return -1;
  if (code[0] == 0 || static_cast<size_t>(code[1]) >= shapes_.size()) return -1;
  auto program = std::make_unique<Program>();
  program->stride = static_cast<size_t>(code[0]);
  program->shape = static_cast<size_t>(code[1]);
  program->skip_zero = (static_cast<uint32_t>(code[2]) & kSkipZero) != 0;
  program->except_same = (static_cast<uint32_t>(code[2]) & kExceptSame) != 0;
  program->rows = (static_cast<uint32_t>(code[2]) & kRows) != 0;
  program->ranked = (static_cast<uint32_t>(code[2]) & kRanked) != 0;
  program->half = static_cast<size_t>(code[3]);
  const size_t key_octets = shapes_[program->shape].key_octets;
  if (2 * program->half > key_octets || (program->ranked && program->half < 2)) return -1;
  if (program->rows && (program->skip_zero || program->except_same)) return -1;
  for (size_t i = 0; i < moves + except; i++) {
    const auto c = code.subspan(kHeader + i * kMove, kMove);
    if (i < moves && (c[0] == kConstant || c[0] == kWay || c[0] == kOnly)) {
      if (c[1] != 1 || c[2] < 0 || static_cast<size_t>(c[2]) >= key_octets) return -1;
      if (c[0] == kWay) {
        program->way_at = c[2];
      } else if (c[0] == kOnly) {
        if (program->only_at >= 0 && program->only_at != c[2]) return -1;
        program->only_at = c[2];
        program->only.set(static_cast<uint8_t>(c[3]));
      } else {
        program->constants.resize(key_octets);
        program->constants[static_cast<size_t>(c[2])] = static_cast<uint8_t>(c[3]);
      }
      continue;
    }
    if (c[0] < 0 || c[1] <= 0 || c[2] < 0) return -1;
    const Move move{static_cast<uint32_t>(c[0]), static_cast<uint32_t>(c[1]),
                    static_cast<uint32_t>(c[2]), static_cast<uint8_t>(c[3]), c[4]};
    if (size_t{move.from} + move.length > program->stride) return -1;
    if (size_t{move.to} + move.length > key_octets) return -1;
    if (move.second >= 0 &&
        (move.length != 2 || static_cast<size_t>(move.second) + 2 > program->stride))
      return -1;
    (i < moves ? program->moves : program->except_moves).push_back(move);
  }
  for (size_t i = 0; i < columns_.size(); i++) {
    const auto c = code.subspan(kHeader + (moves + except) * kMove + i * kSource, kSource);
    if (c[1] < 0 || c[1] > 8 || c[0] < c[1] || c[2] < 0 ||
        static_cast<size_t>(c[0]) > program->stride)
      return -1;
    if (c[2] == 0 && c[1] != 8) return -1;
    if (program->rows && c[1] != 0 && (c[1] != 8 || c[2] != 1 || c[3] != 0)) return -1;
    Source source{};
    source.end = static_cast<uint32_t>(c[0]);
    source.length = static_cast<uint32_t>(c[1]);
    source.mask = source.length == 0 ? 0 : kNoValue >> (64 - 8 * source.length);
    source.scale = static_cast<uint64_t>(c[2]);
    source.constant = c[3] < 0 ? kNoValue : static_cast<uint64_t>(c[3]);
    source.ntp = c[2] == 0;
    program->sources.push_back(source);
  }
  programs_.push_back(std::move(program));
  return static_cast<int64_t>(programs_.size()) - 1;
}

void Groups::ranks(std::span<const uint8_t> table) {
  std::copy_n(table.begin(), std::min(table.size(), ranks_.size()), ranks_.begin());
}

bool Groups::add(std::span<const uint8_t> octets, std::span<const int32_t> spans,
                 std::span<uint32_t> numbers) {
  base_ = octets.data();
  uint32_t* number = numbers.empty() ? nullptr : numbers.data();
  std::fill(numbers.begin(), numbers.end(), kNoGroup);
  for (size_t s = 0; s + 3 <= spans.size(); s += 3) {
    if (spans[s] < 0 || spans[s + 1] < 0 || spans[s + 2] < 0) return false;
    const size_t start = static_cast<size_t>(spans[s]);
    const size_t count = static_cast<size_t>(spans[s + 1]);
    if (static_cast<size_t>(spans[s + 2]) >= programs_.size()) return false;
    const Program& program = *programs_[static_cast<size_t>(spans[s + 2])];
    // Neither product nor sum can wrap: all three are below 2^31.
    if (start + count * program.stride > octets.size()) return false;
    const uint8_t* record = base_ + start;
    if (number != nullptr &&
        count > static_cast<size_t>(numbers.data() + numbers.size() - number)) {
      return false;
    }
    if (shapes_[program.shape].key_octets == 0 && !program.skip_zero && !program.except_same &&
        !program.rows && number == nullptr) {
      add_total(record, count, program);
      continue;
    }
    for (size_t i = 0; i < count; i++, record += program.stride) {
      queue(record, program, number);
      if (number != nullptr) number++;
    }
  }
  settle();
  return true;
}

void Groups::read_moves(const uint8_t* record, const std::vector<Move>& moves, uint8_t* key) const {
  for (const Move& move : moves) {
    const uint8_t* from = record + move.from;
    if (move.second >= 0) {
      const uint16_t a = be16(from);
      const uint16_t b = be16(record + move.second);
      if (ranks_[b] < ranks_[a] || (ranks_[b] == ranks_[a] && b < a)) from = record + move.second;
    }
    copy_few(key + move.to, from, move.length);
    key[move.to + move.length - 1] &= move.mask;
  }
}

/// The field as number, scaled; the octets before it are masked away where there are any.
uint64_t Groups::read_source(const uint8_t* record, const Source& source) const {
  if (source.length == 0) return source.constant;
  const uint8_t* end = record + source.end;
  uint64_t value = 0;
  if (end - base_ >= 8) [[likely]] {
    value = be64(end - 8) & source.mask;
  } else {
    for (const uint8_t* at = end - source.length; at < end; at++) value = value << 8 | *at;
  }
  if (source.ntp) return ntp_milliseconds(value);
  return value * source.scale + source.constant;
}

bool Groups::all_zero(const uint8_t* record, const Program& program) const {
  for (size_t c = 0; c < columns_.size(); c++) {
    const Source& source = program.sources[c];
    if (columns_[c] == kSum && source.length > 0 && read_source(record, source) != source.constant)
      return false;
  }
  return true;
}

uint32_t Groups::hash_key(const uint8_t* key, size_t octets) const {
  uint64_t hash = seed_;
  for (size_t i = 0; i < octets; i += 8)
    hash = mix(hash ^ load<uint64_t>(key + i), 0x9fb21c651e98df25);
  return static_cast<uint32_t>(mix(hash ^ octets, seed_ | 1) >> 32);
}

/// Puts the halves of a key in their order; whether they changed places.
bool Groups::order_halves(const Program& program, uint8_t* key) const {
  const size_t half = program.half;
  uint8_t* const second = key + half;
  if (!program.ranked) {
    if (std::memcmp(key, second, half) <= 0) return false;
    std::swap_ranges(key, second, second);
    return true;
  }
  const uint16_t a = be16(second - 2);
  const uint16_t b = be16(second + half - 2);
  const bool changed = ranks_[b] < ranks_[a] || (ranks_[b] == ranks_[a] && b < a);
  if (changed) std::swap_ranges(key, second, second);
  std::memset(second + half - 2, 0, 2);
  return changed;
}

/// Builds the key and asks for its slot, so that it is at hand when `settle` comes to it.
void Groups::queue(const uint8_t* record, const Program& program, uint32_t* number) {
  if (program.skip_zero && all_zero(record, program)) return;
  const Shape& shape = shapes_[program.shape];
  const size_t octets = shape.key_octets;
  uint8_t* key = keys_.data() + waiting_ * key_room_;
  if (program.constants.empty())
    std::memset(key, 0, octets);
  else
    std::memcpy(key, program.constants.data(), octets);
  read_moves(record, program.moves, key);
  if (program.only_at >= 0 && !program.only[key[program.only_at]]) return;
  if (program.except_same) {
    uint8_t* other = keys_.data() + kBatch * key_room_;
    std::memset(other, 0, octets);
    read_moves(record, program.except_moves, other);
    if (equal_keys(key, other, octets)) return;
  }
  const bool changed = program.half > 0 && order_halves(program, key);
  if (program.way_at >= 0) key[program.way_at] = changed ? 1 : 0;
  const uint32_t hash = hash_key(key, octets);
  __builtin_prefetch(&shape.slots[hash >> (32 - shape.slot_bits)]);
  pending_[waiting_] = {record, &program, hash, number};
  if (++waiting_ == kBatch) settle();
}

/// Asks for the row that is likely to have this hash, if there is one.
void Groups::prefetch_row(const Shape& shape, uint32_t hash) {
  const uint64_t slot_mask = (uint64_t{1} << shape.slot_bits) - 1;
  for (uint64_t at = hash >> (32 - shape.slot_bits);; at = (at + 1) & slot_mask) {
    const uint64_t slot = shape.slots[at];
    if (slot == 0) return;
    if (static_cast<uint32_t>(slot >> 32) != hash) continue;
    const uint8_t* row = &shape.rows[((slot & 0xffffffff) - 1) * shape.row_octets];
    __builtin_prefetch(row, 1);
    __builtin_prefetch(row + shape.row_octets - 1, 1);
    return;
  }
}

/// Adds what is queued: first asks for the rows that the slots point at, then folds.
void Groups::settle() {
  for (size_t i = 0; i < waiting_; i++)
    prefetch_row(shapes_[pending_[i].program->shape], pending_[i].hash);
  for (size_t i = 0; i < waiting_; i++) {
    const Program& program = *pending_[i].program;
    Shape& shape = shapes_[program.shape];
    uint64_t* columns = find(shape, keys_.data() + i * key_room_, pending_[i].hash);
    if (program.rows)
      fold_row(pending_[i].record, program, columns);
    else
      fold_record(pending_[i].record, program, columns);
    if (pending_[i].number != nullptr && columns != refused_row_.data()) {
      const auto* row = reinterpret_cast<const uint8_t*>(columns) - shape.key_octets;
      *pending_[i].number =
          static_cast<uint32_t>(static_cast<size_t>(row - &shape.rows[0]) / shape.row_octets);
    }
  }
  waiting_ = 0;
}

void Groups::fold_record(const uint8_t* record, const Program& program, uint64_t* columns) {
  for (size_t c = 0; c < columns_.size(); c++) {
    fold(columns[c], read_source(record, program.sources[c]), columns_[c]);
  }
}

/// The columns of a row of another table, least significant octet first.
void Groups::fold_row(const uint8_t* row, const Program& program, uint64_t* columns) {
  for (size_t c = 0; c < columns_.size(); c++) {
    const Source& source = program.sources[c];
    const uint64_t value =
        source.length > 0 ? load<uint64_t>(row + source.end - 8) : source.constant;
    fold(columns[c], value, columns_[c]);
  }
}

void Groups::fold(uint64_t& into, uint64_t value, uint8_t kind) {
  if (kind == kSum) {
    if (__builtin_add_overflow(into, value, &into)) [[unlikely]] {
      into = kNoValue;
      limited_++;
    }
  } else if (kind == kMin) {
    into = std::min(into, value);
  } else if (kind == kMax) {
    into = std::max(into, value);
  } else {
    into |= value;
  }
}

/// Records that are all one group: no key, no hash, one column after the other.
void Groups::add_total(const uint8_t* records, size_t count, const Program& program) {
  if (count == 0) return;
  Shape& shape = shapes_[program.shape];
  uint64_t* columns = find(shape, keys_.data(), hash_key(keys_.data(), 0));
  if (columns == refused_row_.data()) refused_ += count - 1;
  for (size_t c = 0; c < columns_.size(); c++) {
    const Source& source = program.sources[c];
    if (columns_[c] == kSum && source.length == 0) {
      // A program's constant has 31 bits, a span's count as well.
      fold(columns[c], source.constant * count, kSum);
      continue;
    }
    const uint8_t* record = records;
    for (size_t i = 0; i < count; i++, record += program.stride) {
      fold(columns[c], read_source(record, source), columns_[c]);
    }
  }
}

uint64_t* Groups::find(Shape& shape, const uint8_t* key, uint32_t hash) {
  const uint64_t slot_mask = (uint64_t{1} << shape.slot_bits) - 1;
  for (uint64_t at = hash >> (32 - shape.slot_bits);; at = (at + 1) & slot_mask) {
    const uint64_t slot = shape.slots[at];
    if (slot == 0) break;
    if (static_cast<uint32_t>(slot >> 32) != hash) continue;
    uint8_t* row = &shape.rows[((slot & 0xffffffff) - 1) * shape.row_octets];
    if (equal_keys(row, key, shape.key_octets))
      return reinterpret_cast<uint64_t*>(row + shape.key_octets);
  }
  return insert(shape, key, hash);
}

uint64_t* Groups::insert(Shape& shape, const uint8_t* key, uint32_t hash) {
  const bool fits = (shape.count * 10 < (uint64_t{7} << shape.slot_bits) || grow_slots(shape)) &&
                    (shape.count < shape.room || grow_rows(shape)) && allowed(shape.row_octets);
  if (!fits) {
    refused_++;
    return refused_row_.data();
  }
  const uint64_t slot_mask = (uint64_t{1} << shape.slot_bits) - 1;
  uint64_t at = hash >> (32 - shape.slot_bits);
  while (shape.slots[at] != 0) at = (at + 1) & slot_mask;
  uint8_t* row = &shape.rows[shape.count * shape.row_octets];
  shape.slots[at] = uint64_t{hash} << 32 | ++shape.count;
  std::memcpy(row, key, shape.key_octets);
  for (size_t w = 0; w < shape.differ.size(); w++)
    shape.differ[w] |= load<uint64_t>(row + 8 * w) ^ load<uint64_t>(&shape.rows[8 * w]);
  uint64_t* columns = reinterpret_cast<uint64_t*>(row + shape.key_octets);
  start_row(columns);
  return columns;
}

/// Doubles the slots where they are: fresh memory costs more than what is done in it. From the last slot down, each moves to or
/// behind where it was, where nothing is left that has to move; the few that would not, near the ends, wait until all have.
bool Groups::grow_slots(Shape& shape) {
  const unsigned bits = shape.slot_bits + 1;
  if (bits > 32) return false;
  const size_t slots = size_t{1} << bits;
  if (!allowed(slots / 2 * 8)) return false;
  if (!shape.slots.grow(slots)) {
    memory_ -= slots / 2 * 8;
    return false;
  }
  shape.slot_bits = bits;
  const auto first_of = [bits](uint64_t slot) {
    return static_cast<size_t>(slot >> 32) >> (32 - bits);
  };
  std::vector<uint64_t> later;
  for (size_t i = slots / 2; i-- > 0;) {
    const uint64_t slot = shape.slots[i];
    if (slot == 0) continue;
    shape.slots[i] = 0;
    size_t at = first_of(slot);
    if (at >= i) {
      while (at < slots && shape.slots[at] != 0) at++;
      if (at < slots) {
        shape.slots[at] = slot;
        continue;
      }
    }
    later.push_back(slot);
  }
  for (const uint64_t slot : later) {
    size_t at = first_of(slot);
    while (shape.slots[at] != 0) at = (at + 1) & (slots - 1);
    shape.slots[at] = slot;
  }
  return true;
}

bool Groups::grow_rows(Shape& shape) {
  if (shape.count >= kMostRows) return false;
  const uint64_t room = shape.room == 0 ? kFirstRows : shape.room + shape.room / 2;
  if (!shape.rows.grow(room * shape.row_octets)) return false;
  shape.room = room;
  return true;
}

bool Groups::allowed(uint64_t octets) {
  if (max_octets_ > 0 && memory_ + octets > max_octets_) return false;
  memory_ += octets;
  return true;
}

void Groups::start_row(uint64_t* columns) const {
  for (size_t c = 0; c < columns_.size(); c++) columns[c] = columns_[c] == kMin ? kNoValue : 0;
}

bool Groups::add_rows(size_t shape, std::span<const uint8_t> rows) {
  if (shape >= shapes_.size()) return false;
  Shape& target = shapes_[shape];
  const size_t octets = target.row_octets;
  if (rows.size() % octets != 0) return false;
  const uint8_t* row = rows.data();
  for (size_t left = rows.size() / octets; left > 0;) {
    const size_t n = std::min(left, kBatch);
    uint32_t hashes[kBatch];
    for (size_t i = 0; i < n; i++) {
      hashes[i] = hash_key(row + i * octets, target.key_octets);
      __builtin_prefetch(&target.slots[hashes[i] >> (32 - target.slot_bits)]);
    }
    for (size_t i = 0; i < n; i++) prefetch_row(target, hashes[i]);
    for (size_t i = 0; i < n; i++, row += octets) {
      uint64_t* columns = find(target, row, hashes[i]);
      for (size_t c = 0; c < columns_.size(); c++) {
        fold(columns[c], load<uint64_t>(row + target.key_octets + 8 * c), columns_[c]);
      }
    }
    left -= n;
  }
  return true;
}

size_t Groups::rows(size_t shape, uint64_t from, std::span<uint8_t> into) const noexcept {
  const Shape& source = shapes_[shape];
  if (from >= source.count) return 0;
  const size_t count = std::min<uint64_t>(into.size() / source.row_octets, source.count - from);
  if (count > 0)
    std::memcpy(into.data(), &source.rows[from * source.row_octets], count * source.row_octets);
  return count;
}

namespace {

/// A row on its way to its place: the first octets in which keys differ, as numbers.
struct Sorted {
  uint64_t high;
  uint32_t low;
  uint32_t row;
};

/// Octets in which keys differ, in their order: as many as a Sorted has room for.
struct Differing {
  static constexpr size_t kMost = 12;
  size_t at[kMost];
  size_t count = 0;
  bool all = true;
};

/// @param differ bits in which keys are not the same
Differing differing_octets(std::span<const uint64_t> differ) {
  Differing found;
  for (size_t i = 0; i < 8 * differ.size(); i++) {
    if ((differ[i / 8] >> (8 * (i % 8)) & 0xff) == 0) continue;
    if (found.count == Differing::kMost) {
      found.all = false;
      break;
    }
    found.at[found.count++] = i;
  }
  return found;
}

/// So few rows are compared with each other; more of them are parted by bits of their numbers first.
constexpr size_t kFew = 48;
constexpr unsigned kMostDigitBits = 11;

/// Rows are asked for so many before they are read.
constexpr size_t kRowsAhead = 16;

/// Sorts by `high` below bit `bits`, above which it is the same in all, and then by `before`: parts in place by as many of the
/// next bits as leave some rows to each part, and sorts the parts.
template <class Before>
void sort_rows(Sorted* first, size_t count, unsigned bits, const Before& before) {
  if (count <= kFew || bits == 0) {
    if (count > 1) std::sort(first, first + count, before);
    return;
  }
  const unsigned digit_bits =
      std::min({static_cast<unsigned>(std::bit_width(count)) - 3, kMostDigitBits, bits});
  const unsigned shift = bits - digit_bits;
  const size_t parts = size_t{1} << digit_bits;
  const auto digit = [&](const Sorted& sorted) { return sorted.high >> shift & (parts - 1); };
  uint32_t ends[size_t{1} << kMostDigitBits] = {};
  uint32_t next[size_t{1} << kMostDigitBits];
  for (size_t i = 0; i < count; i++) ends[digit(first[i])]++;
  uint32_t sum = 0;
  for (size_t p = 0; p < parts; p++) {
    next[p] = sum;
    ends[p] = sum += ends[p];
  }
  for (size_t p = 0; p < parts; p++) {
    while (next[p] < ends[p]) {
      Sorted held = first[next[p]];
      for (size_t d = digit(held); d != p; d = digit(held)) std::swap(held, first[next[d]++]);
      first[next[p]++] = held;
    }
  }
  uint32_t begin = 0;
  for (size_t p = 0; p < parts; p++) {
    sort_rows(first + begin, ends[p] - begin, shift, before);
    begin = ends[p];
  }
}

/// Ranges of keys by their first differing octets, of which none is likely to have many: where a sample has more than a few
/// keys alike in some octets, the next octet parts them. Numbered in the order of the keys.
class Parts {
 public:
  Parts(const uint8_t* rows, size_t step, size_t count, const Differing& differing)
      : differing_(differing) {
    std::vector<Prefix> sample;
    const size_t apart = (count + kSample - 1) / kSample;
    for (size_t i = 0; i < count; i += apart) {
      Prefix& prefix = sample.emplace_back();
      for (size_t k = 0; k < differing.count; k++) prefix[k] = rows[i * step + differing.at[k]];
    }
    std::sort(sample.begin(), sample.end());
    (void)divide(sample, 0);
  }

  [[nodiscard]] size_t count() const noexcept { return rest_.size(); }

  /// Of the first 64 bits how many are not the same in all keys of a part.
  [[nodiscard]] unsigned rest(size_t part) const noexcept { return rest_[part]; }

  [[nodiscard]] size_t of(const uint8_t* row) const noexcept {
    uint32_t next = 0;
    for (size_t k = 0;; k++) {
      next = nodes_[next][row[differing_.at[k]]];
      if (next >= kPart) return next - kPart;
    }
  }

 private:
  using Prefix = std::array<uint8_t, Differing::kMost>;
  static constexpr size_t kSample = 8192;
  static constexpr size_t kMostAlike = 48;
  static constexpr uint32_t kPart = uint32_t{1} << 31;

  /// Number of a new node that parts keys by octet `k`, before which all of `sample` are alike.
  uint32_t divide(std::span<const Prefix> sample, size_t k) {
    const auto node = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
    for (unsigned octet = 0; octet < 256; octet++) {
      size_t alike = 0;
      while (alike < sample.size() && sample[alike][k] == octet) alike++;
      uint32_t entry = kPart + static_cast<uint32_t>(rest_.size());
      if (alike > kMostAlike && k + 1 < differing_.count)
        entry = divide(sample.first(alike), k + 1);
      else
        rest_.push_back(k < 8 ? static_cast<uint8_t>(56 - 8 * k) : 0);
      nodes_[node][octet] = entry;
      sample = sample.subspan(alike);
    }
    return node;
  }

  const Differing& differing_;
  /// By octet: the next node, or kPart and the number of a part.
  std::vector<std::array<uint32_t, 256>> nodes_;
  std::vector<uint8_t> rest_;
};

}  // namespace

bool Groups::order(size_t shape, std::span<uint32_t> into) const {
  const Shape& source = shapes_[shape];
  const size_t count = source.count;
  if (into.size() < count) return false;
  const size_t octets = source.key_octets;
  if (count < 2 || octets == 0) {
    if (count > 0) into[0] = 0;
    return true;
  }
  const uint8_t* rows = &source.rows[0];
  const size_t step = source.row_octets;
  const Differing differing = differing_octets(source.differ);
  const Parts parts(rows, step, count, differing);
  // Numbers go to their parts, then each part is sorted for itself: what that takes beside the rows stays at hand.
  std::vector<uint32_t> ends(parts.count());
  for (size_t i = 0; i < count; i++) ends[parts.of(rows + i * step)]++;
  Pages<Sorted> sorted;
  if (!sorted.grow(*std::max_element(ends.begin(), ends.end()))) return false;
  std::vector<uint32_t> next(ends.size());
  uint32_t sum = 0;
  for (size_t p = 0; p < ends.size(); p++) {
    next[p] = sum;
    ends[p] = sum += ends[p];
  }
  for (size_t i = 0; i < count; i++)
    into[next[parts.of(rows + i * step)]++] = static_cast<uint32_t>(i);
  const auto before = [&](const Sorted& a, const Sorted& b) {
    if (a.high != b.high) return a.high < b.high;
    if (a.low != b.low) return a.low < b.low;
    return !differing.all && std::memcmp(rows + a.row * step, rows + b.row * step, octets) < 0;
  };
  for (size_t p = 0, begin = 0; p < ends.size(); begin = ends[p++]) {
    uint32_t* const numbers = &into[begin];
    const size_t n = ends[p] - begin;
    for (size_t i = 0; i < n; i++) {
      if (i + kRowsAhead < n) __builtin_prefetch(rows + numbers[i + kRowsAhead] * step);
      const uint8_t* row = rows + numbers[i] * step;
      uint64_t high = 0;
      uint32_t low = 0;
      for (size_t k = 0; k < std::min<size_t>(differing.count, 8); k++)
        high |= uint64_t{row[differing.at[k]]} << (56 - 8 * k);
      for (size_t k = 8; k < differing.count; k++)
        low |= uint32_t{row[differing.at[k]]} << (24 - 8 * (k - 8));
      sorted[i] = {high, low, numbers[i]};
    }
    sort_rows(&sorted[0], n, parts.rest(p), before);
    for (size_t i = 0; i < n; i++) numbers[i] = sorted[i].row;
  }
  return true;
}

bool Groups::gather(size_t shape, std::span<const uint32_t> numbers,
                    std::span<uint8_t> into) const noexcept {
  const Shape& source = shapes_[shape];
  const size_t octets = source.row_octets;
  if (into.size() / octets < numbers.size()) return false;
  uint8_t* to = into.data();
  for (size_t i = 0; i < numbers.size(); i++, to += octets) {
    if (i + kRowsAhead < numbers.size() && numbers[i + kRowsAhead] < source.count) {
      const uint8_t* ahead = &source.rows[numbers[i + kRowsAhead] * octets];
      __builtin_prefetch(ahead);
      __builtin_prefetch(ahead + octets - 1);
    }
    if (numbers[i] >= source.count) return false;
    std::memcpy(to, &source.rows[numbers[i] * octets], octets);
  }
  return true;
}

}  // namespace darta
