#include "kernel/filter.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "capture/octets.h"
#include "kernel/gather.h"

namespace darta {
namespace {

constexpr size_t kHeader = 2;
constexpr size_t kStep = 8;
constexpr size_t kSpan = 4;
constexpr uint32_t kPass = 0xffffffff;
constexpr uint32_t kFail = 0xfffffffe;
constexpr size_t kIndex = 65537;
/// Records that are decided together, a bit each; and steps of a program for which that is done.
constexpr size_t kBlock = 64;
constexpr size_t kFewSteps = 64;
/// Words of a Template that is sifted, of a run that passes, and of the answer: what `list_messages` sets, then these.
constexpr size_t kWanted = 3;
constexpr size_t kRun = 3;
enum : size_t { kMatched = listed_words, kRuns, kUsedLow, kUsedHigh, kAnswer };

/// Kept, since a call lists some hundred.
thread_local std::vector<RecordRun> listed;

/// A number of up to 128 bits, ordered as numbers are.
struct Wide {
  uint64_t high;
  uint64_t low;
  auto operator<=>(const Wide&) const = default;
};

Wide load_wide(const uint8_t* from, size_t length) {
  if (length == 16) return {be64(from), be64(from + 8)};
  return {be_number(from, length - 8), be64(from + length - 8)};
}

size_t words_of(uint32_t length) { return length <= 4 ? 1 : length <= 8 ? 2 : 4; }

uint64_t pair_at(const uint32_t* words) { return uint64_t{words[0]} << 32 | words[1]; }

template <typename Number>
Number number_at(const uint32_t* words);
template <>
uint32_t number_at(const uint32_t* words) {
  return *words;
}
template <>
uint64_t number_at(const uint32_t* words) {
  return pair_at(words);
}
template <>
Wide number_at(const uint32_t* words) {
  return {pair_at(words), pair_at(words + 2)};
}

/// Whether `value` lies in one of the sorted ranges from `from` to `to`: the first that does not end before it decides.
template <typename Number>
bool in_ranges(Number value, const uint32_t* ranges, size_t count, size_t from, size_t to) {
  constexpr size_t kWords = sizeof(Number) / 4;
  const uint32_t* high = ranges + kWords * count;
  while (from < to) {
    const size_t middle = (from + to) / 2;
    if (number_at<Number>(high + kWords * middle) < value)
      from = middle + 1;
    else
      to = middle;
  }
  return from < count && number_at<Number>(ranges + kWords * from) <= value;
}

}  // namespace

int64_t Filter::program(std::span<const uint32_t> code) {
  if (code.size() < kHeader || code[1] == 0) return -1;
  const size_t steps = code[1];
  if (steps > (code.size() - kHeader) / kStep) return -1;
  auto program = std::make_unique<Program>();
  program->code.assign(code.begin(), code.end());
  program->least = code[0];
  for (size_t i = 0; i < steps; i++) {
    const uint32_t* words = &program->code[kHeader + kStep * i];
    Step step{};
    step.offset = words[0];
    step.length = words[1];
    step.mask = words[2];
    step.count = words[4];
    step.then = words[6];
    step.otherwise = words[7];
    if (step.length < 1 || step.length > 16) return -1;
    if (uint64_t{step.offset} + step.length > program->least) return -1;
    const size_t table = 2 * words_of(step.length) * size_t{step.count};
    if (words[3] > code.size() || table > code.size() - words[3]) return -1;
    step.ranges = program->code.data() + words[3];
    if (words[5] != 0) {
      if (words[5] > code.size() || kIndex > code.size() - words[5]) return -1;
      step.index = program->code.data() + words[5];
      uint32_t before = 0;
      for (size_t k = 0; k < kIndex; k++) {
        if (step.index[k] < before || step.index[k] > step.count) return -1;
        before = step.index[k];
      }
    }
    // Steps only lead on: a program ends.
    for (const uint32_t next : {step.then, step.otherwise}) {
      if (next != kPass && next != kFail && (next >= steps || next <= i)) return -1;
    }
    const uint32_t end = step.offset + step.length;
    if (step.count == 1 && step.length <= 8 && (end >= 8 || step.offset + 8 <= program->least)) {
      step.single = true;
      step.window = end >= 8 ? end - 8 : step.offset;
      step.shift = end >= 8 ? 0 : 8 * (8 - step.length);
      step.bits = step.length <= 4 ? step.mask & (~uint64_t{0} >> (64 - 8 * step.length))
                                   : ~uint64_t{0} >> (64 - 8 * step.length);
      const bool narrow = step.length <= 4;
      step.low = narrow ? step.ranges[0] : pair_at(step.ranges);
      step.width = (narrow ? step.ranges[1] : pair_at(step.ranges + 2)) - step.low;
    }
    program->steps.push_back(step);
  }
  programs_.push_back(std::move(program));
  return static_cast<int64_t>(programs_.size()) - 1;
}

bool Filter::holds(const Step& step, const uint8_t* record) noexcept {
  if (step.single)
    return ((be64(record + step.window) >> step.shift) & step.bits) - step.low <= step.width;
  const uint8_t* at = record + step.offset;
  if (step.length <= 4) {
    const uint32_t value = static_cast<uint32_t>(be_number(at, step.length)) & step.mask;
    const size_t from = step.index == nullptr ? 0 : step.index[value >> 16];
    const size_t to = step.index == nullptr ? step.count : step.index[(value >> 16) + 1];
    return in_ranges(value, step.ranges, step.count, from, to);
  }
  if (step.length <= 8) {
    const uint64_t value = be_number(at, step.length);
    return in_ranges(value, step.ranges, step.count, 0, step.count);
  }
  const Wide value = load_wide(at, step.length);
  const size_t top = value.high >> 48;
  const size_t from = step.index == nullptr ? 0 : step.index[top];
  const size_t to = step.index == nullptr ? step.count : step.index[top + 1];
  return in_ranges(value, step.ranges, step.count, from, to);
}

bool Filter::passes(const Program& program, const uint8_t* record) noexcept {
  const Step* steps = program.steps.data();
  uint32_t at = 0;
  do {
    const Step& step = steps[at];
    at = holds(step, record) ? step.then : step.otherwise;
  } while (at < kFail);
  return at == kPass;
}

/// Of the records that are asked those for which the step holds. Where that is a comparison all are, as branches that go either
/// way cost more.
uint64_t Filter::holding(const Step& step, const uint8_t* record, size_t stride, uint64_t asked,
                         size_t count) noexcept {
  uint64_t held = 0;
  if (step.single && 4 * static_cast<size_t>(std::popcount(asked)) >= count) {
    const uint8_t* at = record + step.window;
    const Step of = step;
    for (size_t i = 0; i < count; i++, at += stride) {
      const uint64_t value = (be64(at) >> of.shift) & of.bits;
      held |= uint64_t{value - of.low <= of.width} << i;
    }
    return held & asked;
  }
  for (uint64_t left = asked; left != 0; left &= left - 1) {
    const auto i = static_cast<size_t>(std::countr_zero(left));
    held |= uint64_t{holds(step, record + i * stride)} << i;
  }
  return held;
}

/// Bit i says whether record i of up to 64 passes.
uint64_t Filter::passing(const Program& program, const uint8_t* record, size_t stride,
                         size_t count) noexcept {
  const std::vector<Step>& steps = program.steps;
  uint64_t passed = 0;
  if (steps.size() > kFewSteps) {
    for (size_t i = 0; i < count; i++)
      passed |= uint64_t{passes(program, record + i * stride)} << i;
    return passed;
  }
  // Records that have come to each step; steps only lead on.
  std::array<uint64_t, kFewSteps> come;
  std::fill_n(come.begin(), steps.size(), 0);
  come[0] = ~uint64_t{0} >> (kBlock - count);
  for (size_t s = 0; s < steps.size(); s++) {
    const uint64_t asked = come[s];
    if (asked == 0) continue;
    const Step& step = steps[s];
    const uint64_t held = holding(step, record, stride, asked, count);
    const auto go = [&](uint32_t next, uint64_t records) {
      if (next < kFail)
        come[next] |= records;
      else if (next == kPass)
        passed |= records;
    };
    go(step.then, held);
    go(step.otherwise, asked & ~held);
  }
  return passed;
}

std::optional<size_t> Filter::run(std::span<const uint8_t> octets, std::span<const uint32_t> spans,
                                  std::span<uint32_t> passed, std::span<uint8_t> into,
                                  bool failing) const noexcept {
  const bool copies = !into.empty();
  size_t written = 0;
  for (size_t s = 0; s < spans.size() / kSpan; s++) {
    const uint32_t* span = &spans[kSpan * s];
    const size_t start = span[0];
    const size_t count = span[1];
    const size_t stride = span[2];
    if (span[3] >= programs_.size() || s >= passed.size()) return std::nullopt;
    const Program& program = *programs_[span[3]];
    if (stride < program.least || start > octets.size()) return std::nullopt;
    if (count > 0 && stride > (octets.size() - start) / count) return std::nullopt;
    const uint8_t* record = octets.data() + start;
    uint32_t passed_of = 0;
    // Records that go along together are copied together.
    const uint8_t* run = nullptr;
    const auto end_run = [&](const uint8_t* end) {
      if (run == nullptr) return true;
      const size_t size = static_cast<size_t>(end - run);
      if (size > into.size() - written) return false;
      std::memcpy(into.data() + written, run, size);
      written += size;
      run = nullptr;
      return true;
    };
    for (size_t left = count; left > 0;) {
      const size_t n = std::min(left, kBlock);
      const uint64_t passes = passing(program, record, stride, n);
      passed_of += static_cast<uint32_t>(std::popcount(passes));
      left -= n;
      if (!copies) {
        record += n * stride;
        continue;
      }
      const uint64_t taken = failing ? ~passes : passes;
      for (size_t i = 0; i < n; i++, record += stride) {
        if (taken >> i & 1) {
          if (run == nullptr) run = record;
        } else if (!end_run(record)) {
          return std::nullopt;
        }
      }
    }
    if (!end_run(record)) return std::nullopt;
    passed[s] = passed_of;
  }
  return written;
}

std::optional<size_t> Filter::sift(std::span<uint8_t> octets, size_t from,
                                   std::span<const uint32_t> wanted, std::span<uint32_t> sequence,
                                   std::span<uint32_t> answer, std::span<uint32_t> runs) const {
  const size_t known = wanted.empty() ? 0 : (wanted.size() - 1) / kWanted;
  if (wanted.size() % kWanted != 1 || known > most_plain_templates || from > octets.size() ||
      !is_sequence(sequence) || answer.size() < kAnswer)
    return std::nullopt;
  PlainTemplate templates[most_plain_templates];
  for (size_t i = 0; i < known; i++) {
    const uint32_t* words = &wanted[1 + kWanted * i];
    templates[i] = {words[0], words[1]};
    const uint32_t plan = words[2];
    if (words[1] == 0) return std::nullopt;
    if (plan == kPass || plan == kFail) continue;
    if (plan >= programs_.size() || words[1] < programs_[plan]->least) return std::nullopt;
  }
  std::fill(answer.begin(), answer.end(), 0);
  listed.clear();
  // Each run that is listed becomes one at most.
  const size_t next = list_messages(octets, from, wanted[0], {templates, known}, sequence, answer,
                                    listed, runs.size() / kRun);
  uint8_t* to = octets.data() + from;
  uint64_t used = 0;
  size_t made = 0;
  for (const RecordRun& run : listed) {
    used |= uint64_t{1} << run.of;
    const uint32_t plan = wanted[1 + kWanted * run.of + 2];
    if (plan == kFail) continue;
    const uint8_t* record = octets.data() + run.from;
    const uint32_t stride = templates[run.of].octets;
    const uint8_t* const begin = to;
    if (plan == kPass) {
      std::memmove(to, record, run.octets);
      to += run.octets;
    } else {
      const Program& program = *programs_[plan];
      for (size_t left = run.octets / stride; left > 0;) {
        const size_t n = std::min(left, kBlock);
        // Never ahead of what is read: a Message's header was passed over.
        for (uint64_t bits = passing(program, record, stride, n); bits != 0; bits &= bits - 1) {
          std::memmove(to, record + static_cast<size_t>(std::countr_zero(bits)) * stride, stride);
          to += stride;
        }
        record += n * stride;
        left -= n;
      }
    }
    const auto count = static_cast<uint32_t>(to - begin) / stride;
    if (count == 0) continue;
    answer[kMatched] += count;
    if (made > 0 && runs[kRun * (made - 1)] == run.of) {
      runs[kRun * (made - 1) + 2] += count;
      continue;
    }
    uint32_t* const words = &runs[kRun * made++];
    words[0] = run.of;
    words[1] = static_cast<uint32_t>(begin - octets.data() - from);
    words[2] = count;
  }
  answer[kRuns] = static_cast<uint32_t>(made);
  answer[kUsedLow] = static_cast<uint32_t>(used);
  answer[kUsedHigh] = static_cast<uint32_t>(used >> 32);
  return next;
}

}  // namespace darta
