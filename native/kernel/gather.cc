#include "kernel/gather.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "capture/octets.h"

namespace darta {
namespace {

constexpr uint32_t message_header = 16;
constexpr uint32_t set_header = 4;
/// Data Sets have no lower ID.
constexpr uint32_t least_data_id = 256;
/// As src/ipfix/sequence.ts has them.
constexpr size_t recent_messages = 64;
constexpr size_t sequence_words = 4 + 3 * recent_messages;
/// Words of the answer, and of each Template behind them.
enum : size_t { answer_messages, answer_records, answer_time, answer_words };
static_assert(answer_words == listed_words);
enum : size_t { template_start, template_records, template_words };

/// Kept, since a call lists some hundred.
thread_local std::vector<RecordRun> listed;
thread_local std::vector<uint8_t> elsewhere;

/// Lists Data Sets.
class Listing {
 public:
  Listing(std::span<const uint8_t> octets, std::span<const PlainTemplate> templates,
          std::vector<RecordRun>& runs) noexcept
      : octets_(octets), templates_(templates), runs_(runs) {}

  /// Lists the Data Sets of a Message whose Sets are from `at` to `end`; its records, or 0 if there is something to decide.
  [[nodiscard]] uint32_t list(size_t at, size_t end) {
    const size_t before = runs_.size();
    uint32_t records = 0;
    while (end - at >= set_header) {
      const uint8_t* const set = octets_.data() + at;
      const uint32_t id = be16(set), length = be16(set + 2);
      const PlainTemplate* const of = id < least_data_id ? nullptr : template_of(id);
      if (of == nullptr || length < set_header || length > end - at) return forget(before);
      const uint32_t count = (length - set_header) / of->octets;
      const uint8_t* const next = set + length;
      // What fills a Set up has to be zeros; anything else is noted.
      for (const uint8_t* p = set + set_header + size_t{count} * of->octets; p < next; ++p) {
        if (*p != 0) return forget(before);
      }
      if (count > 0) {
        const auto number = static_cast<uint32_t>(of - templates_.data());
        runs_.push_back({number, static_cast<uint32_t>(at + set_header), count * of->octets});
        records += count;
      }
      at += length;
    }
    return at == end && records > 0 ? records : forget(before);
  }

  [[nodiscard]] uint32_t forget(size_t before) noexcept {
    runs_.resize(before);
    return 0;
  }

 private:
  [[nodiscard]] const PlainTemplate* template_of(uint32_t id) noexcept {
    if (last_ != nullptr && last_->id == id) return last_;
    for (const PlainTemplate& known : templates_) {
      if (known.id == id) return last_ = &known;
    }
    return nullptr;
  }

  std::span<const uint8_t> octets_;
  std::span<const PlainTemplate> templates_;
  std::vector<RecordRun>& runs_;
  const PlainTemplate* last_ = nullptr;
};

/// Moves what is listed.
class Gathering {
 public:
  Gathering(std::span<uint8_t> octets, std::span<const PlainTemplate> templates) noexcept
      : octets_(octets), templates_(templates) {}

  /// Puts the records of each Template together, from `at` on, those of the Template that came first in front.
  void move(size_t at, std::span<uint32_t> answer) {
    uint8_t* const octets = octets_.data();
    // What is not of the first Template lies elsewhere until it is known where it goes.
    for (const RecordRun& run : listed) order(run.of).octets += run.octets;
    size_t aside = 0;
    for (size_t i = 0; i < used_; ++i) {
      Order& one = order_[i];
      one.to = i == 0 ? at : aside;
      if (i > 0) aside += one.octets;
      const size_t start = i == 0 ? at : at + order_[0].octets + one.to;
      uint32_t* const words = &answer[answer_words + template_words * one.of];
      words[template_start] = static_cast<uint32_t>(start);
      words[template_records] = one.octets / templates_[one.of].octets;
    }
    if (elsewhere.size() < aside) elsewhere.resize(aside);
    for (const RecordRun& run : listed) {
      Order& one = order(run.of);
      uint8_t* const to = &one == order_ ? octets + one.to : elsewhere.data() + one.to;
      std::memmove(to, octets + run.from, run.octets);
      one.to += run.octets;
    }
    if (aside > 0) std::memcpy(octets + order_[0].to, elsewhere.data(), aside);
  }

 private:
  struct Order {
    uint32_t of;
    uint32_t octets;
    size_t to;
  };

  Order& order(uint32_t of) noexcept {
    size_t i = 0;
    while (i < used_ && order_[i].of != of) i++;
    if (i == used_) order_[used_++] = {of, 0, 0};
    return order_[i];
  }

  std::span<uint8_t> octets_;
  std::span<const PlainTemplate> templates_;
  /// Templates in the order in which they came.
  Order order_[most_plain_templates];
  size_t used_ = 0;
};

void remember(std::span<uint32_t> sequence, uint32_t number, uint32_t time,
              uint32_t records) noexcept {
  sequence[0] = number + records;
  sequence[1] = time;
  uint32_t* const recent = &sequence[4 + 3 * size_t{sequence[2]}];
  recent[0] = number;
  recent[1] = time;
  recent[2] = records;
  sequence[2] = (sequence[2] + 1) % recent_messages;
  if (sequence[3] < recent_messages) sequence[3]++;
}

}  // namespace

bool is_sequence(std::span<const uint32_t> sequence) noexcept {
  return sequence.size() >= sequence_words && sequence[2] < recent_messages;
}

size_t list_messages(std::span<const uint8_t> octets, size_t from, uint32_t domain,
                     std::span<const PlainTemplate> templates, std::span<uint32_t> sequence,
                     std::span<uint32_t> answer, std::vector<RecordRun>& runs, size_t most) {
  Listing listing(octets, templates, runs);
  size_t at = from;
  while (octets.size() - at >= message_header) {
    const uint8_t* const begin = octets.data() + at;
    const size_t length = be16(begin + 2), rest = octets.size() - at;
    if (be16(begin) != 10 || length < message_header || length > rest) break;
    // What stands behind has to look like another Message as far as it is there; else this one may have been cut short.
    if (rest - length >= 4 &&
        (be16(begin + length) != 10 || be16(begin + length + 2) < message_header))
      break;
    const uint32_t time = be32(begin + 4), number = be32(begin + 8);
    if (be32(begin + 12) != domain || number != sequence[0]) break;
    if (answer[answer_messages] > 0 && time != answer[answer_time]) break;
    const size_t before = runs.size();
    uint32_t records = listing.list(at + message_header, at + length);
    if (runs.size() > most) records = listing.forget(before);
    if (records == 0) break;
    remember(sequence, number, time, records);
    answer[answer_messages]++;
    answer[answer_records] += records;
    answer[answer_time] = time;
    at += length;
  }
  return at;
}

std::optional<size_t> gather_messages(std::span<uint8_t> octets, size_t from,
                                      std::span<const uint32_t> program,
                                      std::span<uint32_t> sequence, std::span<uint32_t> answer) {
  const size_t known = program.empty() ? 0 : (program.size() - 1) / 2;
  if (program.size() % 2 != 1 || known > most_plain_templates || from > octets.size() ||
      !is_sequence(sequence) || answer.size() < answer_words + template_words * known) {
    return std::nullopt;
  }
  PlainTemplate templates[most_plain_templates];
  for (size_t i = 0; i < known; ++i) {
    templates[i] = {program[1 + 2 * i], program[2 + 2 * i]};
    if (templates[i].octets == 0) return std::nullopt;
  }
  std::fill(answer.begin(), answer.end(), 0);
  listed.clear();
  const size_t next = list_messages(octets, from, program[0], {templates, known}, sequence, answer,
                                    listed, listed.max_size());
  Gathering(octets, {templates, known}).move(from, answer);
  return next;
}

}  // namespace darta
