#include "kernel/filter.h"

#include <cstring>

#include "capture/octets.h"

namespace darta {
namespace {

constexpr size_t kHeader = 2;
constexpr size_t kStep = 8;
constexpr size_t kSpan = 4;
constexpr uint32_t kPass = 0xffffffff;
constexpr uint32_t kFail = 0xfffffffe;
constexpr size_t kIndex = 65537;

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
    if (step.count == 1 && step.length <= 8) {
      step.single = true;
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
  const uint8_t* at = record + step.offset;
  if (step.length <= 4) {
    const uint32_t value = static_cast<uint32_t>(be_number(at, step.length)) & step.mask;
    if (step.single) return value - step.low <= step.width;
    const size_t from = step.index == nullptr ? 0 : step.index[value >> 16];
    const size_t to = step.index == nullptr ? step.count : step.index[(value >> 16) + 1];
    return in_ranges(value, step.ranges, step.count, from, to);
  }
  if (step.length <= 8) {
    const uint64_t value = be_number(at, step.length);
    if (step.single) return value - step.low <= step.width;
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
    uint32_t passing = 0;
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
    for (size_t i = 0; i < count; i++, record += stride) {
      const bool pass = passes(program, record);
      passing += pass;
      if (!copies) continue;
      if (pass != failing) {
        if (run == nullptr) run = record;
      } else if (!end_run(record)) {
        return std::nullopt;
      }
    }
    if (!end_run(record)) return std::nullopt;
    passed[s] = passing;
  }
  return written;
}

}  // namespace darta
