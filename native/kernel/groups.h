// Groups records by key and sums them: src/record/group-kernel.ts says what a program, a row and a column are.
#pragma once
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "kernel/pages.h"

namespace darta {

class Groups {
 public:
  /// `columns` holds 0 (sum), 1 (minimum), 2 (maximum) or 3 (bits) each; `max_octets` 0 is no limit.
  Groups(std::span<const uint8_t> columns, uint64_t max_octets, uint32_t seed);

  /// Number of a new table of keys of `key_octets`, a multiple of 8.
  [[nodiscard]] size_t shape(size_t key_octets);

  /// Number of a new program; -1 if the numbers do not fit each other.
  [[nodiscard]] int64_t program(std::span<const int32_t> code);

  /// 65536 ranks of ports.
  void ranks(std::span<const uint8_t> table);

  /// Adds the records of spans (start, count, program). False: a span leaves the octets, or names no program, or `numbers`
  /// is not empty and has no room for the group of each record.
  [[nodiscard]] bool add(std::span<const uint8_t> octets, std::span<const int32_t> spans,
                         std::span<uint32_t> numbers = {});

  /// Adds rows of the shape's layout. False: no such shape or not whole rows.
  [[nodiscard]] bool add_rows(size_t shape, std::span<const uint8_t> rows);

  [[nodiscard]] size_t shapes() const noexcept { return shapes_.size(); }
  [[nodiscard]] size_t row_octets(size_t shape) const noexcept { return shapes_[shape].row_octets; }
  [[nodiscard]] uint64_t count(size_t shape) const noexcept { return shapes_[shape].count; }

  /// Copies whole rows from row `from` on; returns how many.
  [[nodiscard]] size_t rows(size_t shape, uint64_t from, std::span<uint8_t> into) const noexcept;

  /// Numbers of the rows in the order of their keys. False: no room, or the system has no memory.
  [[nodiscard]] bool order(size_t shape, std::span<uint32_t> into) const;

  /// Copies rows by their numbers. False: there is no such row, or no room.
  [[nodiscard]] bool gather(size_t shape, std::span<const uint32_t> numbers,
                            std::span<uint8_t> into) const noexcept;

  /// Columns of what was refused, 8 octets each.
  [[nodiscard]] std::span<const uint64_t> refused_row() const noexcept { return refused_row_; }
  [[nodiscard]] uint64_t refused() const noexcept { return refused_; }
  /// Additions that would have taken a sum past 2^64 - 1; it stays there.
  [[nodiscard]] uint64_t limited() const noexcept { return limited_; }
  [[nodiscard]] uint64_t memory_octets() const noexcept { return memory_; }

 private:
  struct Shape {
    size_t key_octets;
    size_t row_octets;
    Pages<uint8_t> rows;
    uint64_t count = 0;
    /// Rows that fit.
    uint64_t room = 0;
    /// Upper half: hash of the key; lower half: row number + 1, or 0 for a free slot. The hash's upper bits are the
    /// slot, so that growing only moves what is there upwards.
    Pages<uint64_t> slots;
    unsigned slot_bits = 0;
    /// Bits in which a key is not the same as the first one.
    std::vector<uint64_t> differ;
  };

  struct Move {
    uint32_t from;
    uint32_t length;
    uint32_t to;
    uint8_t mask;
    int64_t second;
  };

  struct Source {
    uint32_t end;
    uint32_t length;
    uint64_t mask;
    uint64_t scale;
    uint64_t constant;
    bool ntp;
  };

  struct Program {
    size_t stride;
    size_t shape;
    bool skip_zero;
    bool except_same;
    /// Records are rows of another table.
    bool rows;
    bool ranked;
    size_t half;
    /// Octet of the key that says whether its halves changed places; none: -1.
    int64_t way_at = -1;
    /// Octet of the key by whose value records are passed over unless `only` has it; none: -1.
    int64_t only_at = -1;
    std::bitset<256> only;
    /// What keys begin as, where that is not all zeros.
    std::vector<uint8_t> constants;
    std::vector<Move> moves;
    std::vector<Move> except_moves;
    std::vector<Source> sources;
  };

  /// A record whose key is built, on its way to its group.
  struct Pending {
    const uint8_t* record;
    const Program* program;
    uint32_t hash;
    /// Place of the group's number, or none.
    uint32_t* number;
  };

  static constexpr size_t kBatch = 32;

  void read_moves(const uint8_t* record, const std::vector<Move>& moves, uint8_t* key) const;
  [[nodiscard]] bool order_halves(const Program& program, uint8_t* key) const;
  [[nodiscard]] uint64_t read_source(const uint8_t* record, const Source& source) const;
  [[nodiscard]] bool all_zero(const uint8_t* record, const Program& program) const;
  [[nodiscard]] uint32_t hash_key(const uint8_t* key, size_t octets) const;
  void queue(const uint8_t* record, const Program& program, uint32_t* number);
  void settle();
  static void prefetch_row(const Shape& shape, uint32_t hash);
  void add_total(const uint8_t* records, size_t count, const Program& program);
  void fold_record(const uint8_t* record, const Program& program, uint64_t* columns);
  void fold_row(const uint8_t* row, const Program& program, uint64_t* columns);
  void fold(uint64_t& into, uint64_t value, uint8_t kind);

  /// The group's columns; a new group if there is none; the refused row if there is no room for one.
  [[nodiscard]] uint64_t* find(Shape& shape, const uint8_t* key, uint32_t hash);
  [[nodiscard]] uint64_t* insert(Shape& shape, const uint8_t* key, uint32_t hash);
  [[nodiscard]] bool grow_slots(Shape& shape);
  [[nodiscard]] bool grow_rows(Shape& shape);
  [[nodiscard]] bool allowed(uint64_t octets);
  void start_row(uint64_t* columns) const;

  std::vector<uint8_t> columns_;
  uint64_t max_octets_;
  uint64_t seed_;
  std::vector<Shape> shapes_;
  std::vector<std::unique_ptr<Program>> programs_;
  std::vector<uint8_t> ranks_;
  std::vector<uint64_t> refused_row_;
  uint64_t refused_ = 0;
  uint64_t limited_ = 0;
  uint64_t memory_ = 0;

  /// First octet of the buffer being added: nothing before it may be read.
  const uint8_t* base_ = nullptr;
  Pending pending_[kBatch] = {};
  size_t waiting_ = 0;
  /// kBatch keys of the longest shape, then one more.
  std::vector<uint8_t> keys_;
  size_t key_room_ = 0;
};

}  // namespace darta
