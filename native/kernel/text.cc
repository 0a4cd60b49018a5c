#include "kernel/text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

#include "capture/octets.h"

namespace darta {
namespace {

enum Kind : uint32_t {
  kNone = 0,
  kUnsigned = 1,
  kSigned = 2,
  kFloat = 3,
  kBoolean = 4,
  kMac = 5,
  kIpv4 = 6,
  kIpv6 = 7,
  kSeconds = 8,
  kMilliseconds = 9,
  kMicroseconds = 10,
  kNanoseconds = 11,
  kString = 12,
  kPaddedString = 13,
  kOctets = 14,
  kMisfit = 15,
  kExportTime = 19,
  kObservationDomainId = 20,
  kSequenceNumber = 21,
  kControlBits = 22,
};

constexpr size_t kHeaderWords = 6;
constexpr size_t kStepWords = 5;
constexpr uint32_t kVariable = 65535;
constexpr uint32_t kWatchMicroseconds = 65536;
constexpr uint32_t kWatchNanoseconds = 131072;
constexpr uint32_t kWatchLengthOctets = 262144;
constexpr uint32_t kJson = 1;
constexpr uint32_t kTab = 2;
constexpr uint32_t kBigAsString = 4;
constexpr uint64_t kMaxSafe = (uint64_t{1} << 53) - 1;
/// Milliseconds since 1970 of the year 10000: RFC 3339 has four digits for the year.
constexpr uint64_t kYear10000Ms = 253402300800000;

constexpr char kHex[] = "0123456789abcdef";

constexpr auto kHexPairs = [] {
  std::array<std::array<char, 2>, 256> pairs{};
  for (size_t i = 0; i < 256; i++) pairs[i] = {kHex[i >> 4], kHex[i & 15]};
  return pairs;
}();

constexpr auto kDigitPairs = [] {
  std::array<std::array<char, 2>, 100> pairs{};
  for (size_t i = 0; i < 100; i++)
    pairs[i] = {static_cast<char>('0' + i / 10), static_cast<char>('0' + i % 10)};
  return pairs;
}();

/// Decimal text of 0..255 and how many digits it has; the fourth octet is a point.
struct DecimalOctet {
  std::array<char, 4> text;
  uint8_t digits;
};

constexpr auto kDecimalOctets = [] {
  std::array<DecimalOctet, 256> all{};
  for (size_t i = 0; i < 256; i++) {
    size_t n = 0;
    if (i >= 100) all[i].text[n++] = static_cast<char>('0' + i / 100);
    if (i >= 10) all[i].text[n++] = static_cast<char>('0' + i / 10 % 10);
    all[i].text[n++] = static_cast<char>('0' + i % 10);
    all[i].digits = static_cast<uint8_t>(n);
    all[i].text[n] = '.';
  }
  return all;
}();

char* put_pair(char* out, uint64_t value) noexcept {
  std::memcpy(out, kDigitPairs[value].data(), 2);
  return out + 2;
}

char* put_digits(char* out, uint64_t value) noexcept {
  if (value < 10) {
    *out = static_cast<char>('0' + value);
    return out + 1;
  }
  if (value < 100) return put_pair(out, value);
  if (value < 1000) {
    *out = static_cast<char>('0' + value / 100);
    return put_pair(out + 1, value % 100);
  }
  if (value < 10000) return put_pair(put_pair(out, value / 100), value % 100);
  if (value < 100000) {
    *out = static_cast<char>('0' + value / 10000);
    const uint64_t rest = value % 10000;
    return put_pair(put_pair(out + 1, rest / 100), rest % 100);
  }
  return std::to_chars(out, out + 20, value).ptr;
}

template <int Digits>
char* put_padded(char* out, uint64_t value) noexcept {
  for (int i = Digits - 1; i >= 0; i--) {
    out[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  return out + Digits;
}

char* put_hex(char* out, const uint8_t* p, size_t length) noexcept {
  for (size_t i = 0; i < length; i++, out += 2) std::memcpy(out, kHexPairs[p[i]].data(), 2);
  return out;
}

char* put_literal(char* out, const char* text, size_t length) noexcept {
  std::memcpy(out, text, length);
  return out + length;
}

template <size_t N>
char* put_literal(char* out, const char (&text)[N]) noexcept {
  return put_literal(out, text, N - 1);
}

char* put_mac(char* out, const uint8_t* p) noexcept {
  for (int i = 0; i < 6; i++) {
    if (i > 0) *out++ = ':';
    out = put_hex(out, p + i, 1);
  }
  return out;
}

char* put_ipv4(char* out, const uint8_t* p) noexcept {
  for (int i = 0; i < 4; i++) {
    const DecimalOctet& octet = kDecimalOctets[p[i]];
    std::memcpy(out, octet.text.data(), 4);
    out += octet.digits + 1;
  }
  return out - 1;
}

/// RFC 5952; IPv4-mapped addresses in dotted form.
char* put_ipv6(char* out, const uint8_t* p) noexcept {
  int best = -1;
  int best_length = 1;
  int run = 0;
  for (int i = 0; i < 8; i++) {
    if (p[2 * i] == 0 && p[2 * i + 1] == 0) {
      run++;
      if (run > best_length) {
        best_length = run;
        best = i - run + 1;
      }
    } else {
      run = 0;
    }
  }
  const bool mapped = best == 0 && best_length == 5 && p[10] == 255 && p[11] == 255;
  const int groups = mapped ? 6 : 8;
  for (int i = 0; i < groups; i++) {
    if (i == best) {
      *out++ = ':';
      *out++ = ':';
      i += best_length - 1;
      continue;
    }
    if (i > 0 && i != best + best_length) *out++ = ':';
    const uint8_t high = p[2 * i];
    const uint8_t low = p[2 * i + 1];
    if (high > 15) *out++ = kHex[high >> 4];
    if (high > 0) *out++ = kHex[high & 15];
    if (high > 0 || low > 15) *out++ = kHex[low >> 4];
    *out++ = kHex[low & 15];
  }
  if (!mapped) return out;
  *out++ = ':';
  return put_ipv4(out, p + 12);
}

/// Date and time of the last second written; times come in clusters.
struct Clock {
  uint64_t second = UINT64_MAX;
  uint64_t day = UINT64_MAX;
  char text[32] = {};
};

/// Fills in the date of `day`, days since 1970-01-01. Gregorian calendar; years begin on 1 March, so that the
/// leap day comes last.
void put_date(char* out, uint64_t day) noexcept {
  const uint64_t shifted = day + 719468;
  const uint64_t era = shifted / 146097;
  const uint64_t of_era = shifted % 146097;
  const uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
  const uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint64_t shifted_month = (5 * of_year + 2) / 153;
  const uint64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  const uint64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  out = put_padded<4>(out, year);
  *out++ = '-';
  out = put_pair(out, month);
  *out++ = '-';
  out = put_pair(out, of_year - (153 * shifted_month + 2) / 5 + 1);
  *out = 'T';
}

template <int Digits>
char* put_time(char* out, uint64_t second, uint64_t fraction, Clock& clock) noexcept {
  if (second != clock.second) {
    const uint64_t day = second / 86400;
    if (day != clock.day) {
      put_date(clock.text, day);
      clock.day = day;
    }
    const uint64_t rest = second % 86400;
    char* time = put_pair(clock.text + 11, rest / 3600);
    *time++ = ':';
    time = put_pair(time, rest / 60 % 60);
    *time++ = ':';
    put_pair(time, rest % 60);
    clock.second = second;
  }
  std::memcpy(out, clock.text, 19);
  out += 19;
  if constexpr (Digits > 0) {
    *out++ = '.';
    out = put_padded<Digits>(out, fraction);
  }
  *out++ = 'Z';
  return out;
}

/// Seconds since 1970 of an NTP second count; below 1970 it is era 1, from 2036. RFC 7011 section 6.1.9.
uint64_t ntp_second(uint32_t seconds) noexcept {
  constexpr uint64_t kOffset = 2208988800;
  return seconds >= kOffset ? seconds - kOffset : seconds + (uint64_t{1} << 32) - kOffset;
}

uint64_t ntp_units(uint32_t fraction, uint64_t per_second) noexcept {
  return fraction * per_second >> 32;
}

/// Whether the text of this NTP fraction is encoded with another one: not the least of those that are read
/// the same.
bool hides_fraction(uint32_t fraction, bool nano) noexcept {
  if (fraction == 0) return false;
  if (nano) return ntp_units(fraction - 1, 1000000000) == ntp_units(fraction, 1000000000);
  return fraction % 2048 != 0 ||
         ntp_units(fraction - 2048, 1000000) == ntp_units(fraction, 1000000);
}

/// The shortest text that reads back the same, laid out as ECMAScript does it.
char* put_number(char* out, double value) noexcept {
  if (std::signbit(value)) {
    *out++ = '-';
    value = -value;
  }
  if (value == 0) {
    *out++ = '0';
    return out;
  }
  // d[.ddd]e[+-]xx
  char text[40];
  char* const end =
      std::to_chars(text, text + sizeof text, value, std::chars_format::scientific).ptr;
  char digits[24];
  int count = 0;
  const char* p = text;
  for (; *p != 'e'; p++) {
    if (*p != '.') digits[count++] = *p;
  }
  int exponent = 0;
  const bool down = p[1] == '-';
  for (p += 2; p != end; p++) exponent = exponent * 10 + (*p - '0');
  // Where the point stands behind the first digit.
  const int point = (down ? -exponent : exponent) + 1;
  const auto copy = [&](int from, int to) {
    for (int i = from; i < to; i++) *out++ = digits[i];
  };
  if (count <= point && point <= 21) {
    copy(0, count);
    for (int i = count; i < point; i++) *out++ = '0';
  } else if (0 < point && point <= 21) {
    copy(0, point);
    *out++ = '.';
    copy(point, count);
  } else if (-6 < point && point <= 0) {
    *out++ = '0';
    *out++ = '.';
    for (int i = point; i < 0; i++) *out++ = '0';
    copy(0, count);
  } else {
    copy(0, 1);
    if (count > 1) {
      *out++ = '.';
      copy(1, count);
    }
    *out++ = 'e';
    *out++ = point > 0 ? '+' : '-';
    out = put_digits(out, static_cast<uint64_t>(point > 0 ? point - 1 : 1 - point));
  }
  return out;
}

/// Octets of the well-formed UTF-8 sequence at `p`, or 0. Unicode, table 3-7.
size_t sequence_octets(const uint8_t* p, const uint8_t* end) noexcept {
  const uint8_t first = *p;
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size_t size = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (static_cast<size_t>(end - p) < size) return 0;
  const uint8_t least = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const uint8_t most = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  if (p[1] < least || p[1] > most) return 0;
  for (size_t i = 2; i < size; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
  }
  return size;
}

/// The letter behind the backslash of JSON's short escapes; 0 where there is none.
char short_escape(uint8_t octet) noexcept {
  switch (octet) {
    case '\b':
      return 'b';
    case '\t':
      return 't';
    case '\n':
      return 'n';
    case '\f':
      return 'f';
    case '\r':
      return 'r';
    default:
      return 0;
  }
}

char* put_escape(char* out, uint32_t code) noexcept {
  *out++ = '\\';
  *out++ = 'u';
  for (int shift = 12; shift >= 0; shift -= 4) *out++ = kHex[code >> shift & 15];
  return out;
}

/// A JSON string with its quotes; null if the octets are no UTF-8.
char* put_json_string(char* out, const uint8_t* p, size_t length) noexcept {
  const uint8_t* const end = p + length;
  *out++ = '"';
  while (p < end) {
    const uint8_t octet = *p;
    if (octet >= 0x20 && octet < 0x7f) {
      if (octet == '"' || octet == '\\') *out++ = '\\';
      *out++ = static_cast<char>(octet);
      p++;
      continue;
    }
    if (octet < 0x80) {
      if (const char letter = short_escape(octet)) {
        *out++ = '\\';
        *out++ = letter;
      } else {
        out = put_escape(out, octet);
      }
      p++;
      continue;
    }
    const size_t n = sequence_octets(p, end);
    if (n == 0) return nullptr;
    if (octet == 0xc2 && p[1] < 0xa0) {
      out = put_escape(out, p[1]);
    } else if (octet == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8) {
      out = put_escape(out, 0x2000u | (p[2] & 0x3f));
    } else {
      out = put_literal(out, reinterpret_cast<const char*>(p), n);
    }
    p += n;
  }
  *out++ = '"';
  return out;
}

bool is_formula(uint8_t octet) noexcept {
  return octet == '=' || octet == '+' || octet == '-' || octet == '@' || octet == '\t' ||
         octet == '\r';
}

bool needs_quotes(const uint8_t* p, size_t length) noexcept {
  for (size_t i = 0; i < length; i++) {
    if (p[i] == ',' || p[i] == '"' || p[i] == '\n' || p[i] == '\r') return true;
  }
  return false;
}

/// A cell of RFC 4180; null if the octets are no UTF-8.
char* put_comma_string(char* out, const uint8_t* p, size_t length) noexcept {
  const uint8_t* const end = p + length;
  const bool quoted = length == 0 || needs_quotes(p, length);
  if (quoted) *out++ = '"';
  if (length > 0 && is_formula(*p)) *out++ = '\'';
  while (p < end) {
    const uint8_t octet = *p;
    if (octet >= 0x80) {
      const size_t n = sequence_octets(p, end);
      if (n == 0) return nullptr;
      if (octet == 0xc2 && p[1] < 0xa0) {
        out = put_escape(out, p[1]);
      } else {
        out = put_literal(out, reinterpret_cast<const char*>(p), n);
      }
      p += n;
      continue;
    }
    if (octet == '"') *out++ = '"';
    if ((octet >= 0x20 && octet != 0x7f) || octet == '\t' || octet == '\n' || octet == '\r') {
      *out++ = static_cast<char>(octet);
    } else {
      out = put_escape(out, octet);
    }
    p++;
  }
  if (quoted) *out++ = '"';
  return out;
}

/// A cell between tabs; null if the octets are no UTF-8.
char* put_tab_string(char* out, const uint8_t* p, size_t length) noexcept {
  const uint8_t* const end = p + length;
  if (length > 0 && is_formula(*p)) *out++ = '\'';
  while (p < end) {
    const uint8_t octet = *p;
    if (octet >= 0x80) {
      const size_t n = sequence_octets(p, end);
      if (n == 0) return nullptr;
      if (octet == 0xc2 && p[1] < 0xa0) {
        out = put_escape(out, p[1]);
      } else {
        out = put_literal(out, reinterpret_cast<const char*>(p), n);
      }
      p += n;
      continue;
    }
    const char letter = octet == '\t'   ? 't'
                        : octet == '\n' ? 'n'
                        : octet == '\r' ? 'r'
                        : octet == '\\' ? '\\'
                                        : 0;
    if (letter != 0) {
      *out++ = '\\';
      *out++ = letter;
    } else if (octet >= 0x20 && octet != 0x7f) {
      *out++ = static_cast<char>(octet);
    } else {
      out = put_escape(out, octet);
    }
    p++;
  }
  return out;
}

/// Octets that do not fit their type.
char* put_misfit(char* out, const uint8_t* p, size_t length, bool json) noexcept {
  if (!json) return put_hex(put_literal(out, "0x"), p, length);
  out = put_hex(put_literal(out, "{\"octets\":\""), p, length);
  return put_literal(out, "\"}");
}

char* put_float(char* out, const uint8_t* p, size_t length, bool json) noexcept {
  double value;
  if (length == 4) {
    const uint32_t bits = be32(p);
    float single;
    std::memcpy(&single, &bits, 4);
    value = static_cast<double>(single);
  } else {
    const uint64_t bits = be64(p);
    std::memcpy(&value, &bits, 8);
  }
  if (std::isfinite(value)) return put_number(out, value);
  if (std::isinf(value)) {
    if (json) return value > 0 ? put_literal(out, "\"+inf\"") : put_literal(out, "\"-inf\"");
    return value > 0 ? put_literal(out, "inf") : put_literal(out, "-inf");
  }
  if (!json) return put_literal(out, "NaN");
  // The NaN that a reader of "NaN" makes; any other has more to say.
  const bool plain = length == 4 ? be32(p) == 0x7fc00000u : be64(p) == 0x7ff8000000000000u;
  return plain ? put_literal(out, "\"NaN\"") : put_misfit(out, p, length, true);
}

struct Program {
  const uint32_t* words;
  const char* octets;
  uint32_t fields;
  uint32_t steps;
  uint32_t record_octets;
  size_t most;
  bool json;
  bool tab;
  bool big_as_string;
};

/// Writes one value. `p` has `length` octets.
char* put_value(char* out, uint32_t kind, const uint8_t* p, size_t length, const Program& program,
                Clock& clock) noexcept {
  const bool json = program.json;
  switch (kind) {
    case kUnsigned: {
      const uint64_t value = be_number(p, length);
      if (json && program.big_as_string && value > kMaxSafe) {
        *out++ = '"';
        out = put_digits(out, value);
        *out++ = '"';
        return out;
      }
      return put_digits(out, value);
    }
    case kControlBits:
      // The upper four bits are ignored on receipt. RFC 9565 section 3.
      return put_digits(out, be16(p) & 0x0fff);
    case kSigned: {
      const unsigned shift = static_cast<unsigned>(64 - 8 * length);
      const int64_t value = static_cast<int64_t>(be_number(p, length) << shift) >> shift;
      const uint64_t magnitude =
          value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
      const bool quoted = json && program.big_as_string && magnitude > kMaxSafe;
      if (quoted) *out++ = '"';
      if (value < 0) *out++ = '-';
      out = put_digits(out, magnitude);
      if (quoted) *out++ = '"';
      return out;
    }
    case kFloat:
      return put_float(out, p, length, json);
    case kBoolean:
      if (*p == 1) return put_literal(out, "true");
      if (*p == 2) return put_literal(out, "false");
      return put_misfit(out, p, length, json);
    case kOctets:
      if (json) *out++ = '"';
      out = put_hex(out, p, length);
      if (json) *out++ = '"';
      return out;
    case kString:
    case kPaddedString: {
      size_t n = length;
      if (kind == kPaddedString) {
        while (n > 0 && p[n - 1] == 0) n--;
      }
      char* const end = json          ? put_json_string(out, p, n)
                        : program.tab ? put_tab_string(out, p, n)
                                      : put_comma_string(out, p, n);
      if (end != nullptr) return end;
      return put_misfit(out, p, json ? length : n, json);
    }
    case kMilliseconds:
      if (be64(p) >= kYear10000Ms) return put_misfit(out, p, length, json);
      break;
    case kMac:
    case kIpv4:
    case kIpv6:
    case kSeconds:
    case kMicroseconds:
    case kNanoseconds:
      break;
    default:
      return put_misfit(out, p, length, json);
  }
  // In JSON these are strings.
  if (json) *out++ = '"';
  switch (kind) {
    case kMac:
      out = put_mac(out, p);
      break;
    case kIpv4:
      out = put_ipv4(out, p);
      break;
    case kIpv6:
      out = put_ipv6(out, p);
      break;
    case kSeconds:
      out = put_time<0>(out, be32(p), 0, clock);
      break;
    case kMilliseconds: {
      const uint64_t value = be64(p);
      out = put_time<3>(out, value / 1000, value % 1000, clock);
      break;
    }
    case kMicroseconds:
      out = put_time<6>(out, ntp_second(be32(p)), ntp_units(be32(p + 4), 1000000), clock);
      break;
    default:
      out = put_time<9>(out, ntp_second(be32(p)), ntp_units(be32(p + 4), 1000000000), clock);
  }
  if (json) *out++ = '"';
  return out;
}

/// Where the fields of a record lie.
struct Spans {
  std::vector<uint32_t> starts;
  std::vector<uint32_t> lengths;
};

/// Finds the fields of the record at `at`. Returns the octet behind it, 0 if it leaves the octets. `variable`
/// is set to the octets of its variable-length values; `plain` if their length octets are not the usual ones.
size_t locate(const Program& program, std::span<const uint8_t> octets, size_t at, Spans& spans,
              size_t& variable, bool& plain) noexcept {
  variable = 0;
  for (uint32_t i = 0; i < program.fields; i++) {
    const uint32_t word = program.words[kHeaderWords + i];
    size_t length = word & 65535;
    if (length == kVariable) {
      if (at >= octets.size()) return 0;
      length = octets[at++];
      if (length == 255) {
        if (octets.size() - at < 2) return 0;
        length = be16(&octets[at]);
        at += 2;
        if (length < 255 && (word & kWatchLengthOctets) != 0) plain = true;
      }
      variable += length;
    }
    if (octets.size() - at < length) return 0;
    spans.starts[i] = static_cast<uint32_t>(at);
    spans.lengths[i] = static_cast<uint32_t>(length);
    at += length;
  }
  return at;
}

/// Whether a time of the record says more than its text.
bool hides(const Program& program, std::span<const uint8_t> octets, size_t record,
           const Spans* spans) noexcept {
  size_t at = record;
  for (uint32_t i = 0; i < program.fields; i++) {
    const uint32_t word = program.words[kHeaderWords + i];
    if (spans != nullptr) at = spans->starts[i];
    if ((word & (kWatchMicroseconds | kWatchNanoseconds)) != 0 &&
        hides_fraction(be32(&octets[at + 4]), (word & kWatchNanoseconds) != 0)) {
      return true;
    }
    at += word & 65535;
  }
  return false;
}

}  // namespace

TextStop render_text(std::span<const uint32_t> programs, std::span<const uint8_t> octets,
                     std::span<const uint32_t> spans, std::span<uint8_t> output,
                     TextProgress& progress) noexcept {
  Clock clock;
  Spans field_spans;
  char* const begin = reinterpret_cast<char*>(output.data());
  size_t written = progress.written;
  const size_t span_count = spans.size() / kSpanWords;
  for (; progress.span < span_count; progress.span++, progress.record = 0) {
    const uint32_t* const span = &spans[progress.span * kSpanWords];
    const uint32_t count = span[1];
    if (programs.size() < kHeaderWords || span[2] > programs.size() - kHeaderWords)
      return TextStop::kOutside;
    const uint32_t* const words = &programs[span[2]];
    if (words[0] > programs.size() - span[2]) return TextStop::kOutside;
    const Program program = {.words = words,
                             .octets = reinterpret_cast<const char*>(words),
                             .fields = words[1],
                             .steps = words[2],
                             .record_octets = words[3],
                             .most = words[4],
                             .json = (words[5] & kJson) != 0,
                             .tab = (words[5] & kTab) != 0,
                             .big_as_string = (words[5] & kBigAsString) != 0};
    const bool fixed = program.record_octets != 0;
    bool watches = false;
    for (uint32_t i = 0; i < program.fields; i++) {
      if ((words[kHeaderWords + i] & (kWatchMicroseconds | kWatchNanoseconds)) != 0) watches = true;
    }
    size_t at = span[0];
    if (fixed) {
      if (at > octets.size() || uint64_t{count} * program.record_octets > octets.size() - at)
        return TextStop::kOutside;
      at += uint64_t{progress.record} * program.record_octets;
    } else {
      if (progress.record > 0) at = progress.octet;
      if (at > octets.size()) return TextStop::kOutside;
      if (field_spans.starts.size() < program.fields) {
        field_spans.starts.resize(program.fields);
        field_spans.lengths.resize(program.fields);
      }
    }
    const uint32_t* const steps = words + kHeaderWords + program.fields;
    const uint32_t* const steps_end = steps + kStepWords * program.steps;
    for (; progress.record < count; progress.record++) {
      size_t most = program.most;
      size_t next = at + program.record_octets;
      bool plain = false;
      if (!fixed) {
        size_t variable = 0;
        next = locate(program, octets, at, field_spans, variable, plain);
        if (next == 0) return TextStop::kOutside;
        most += 6 * variable;
      }
      progress.octet = static_cast<uint32_t>(at);
      progress.written = static_cast<uint32_t>(written);
      if (watches && !plain) plain = hides(program, octets, at, fixed ? nullptr : &field_spans);
      if (plain) return TextStop::kPlain;
      if (output.size() - written < most) return TextStop::kFull;
      char* out = begin + written;
      for (const uint32_t* step = steps; step != steps_end; step += kStepWords) {
        const char* const prefix = program.octets + step[3];
        const size_t n = step[4];
        // Most are short: a copy of fixed size, of which the rest is written over.
        std::memcpy(out, prefix, 32);
        if (n > 32) std::memcpy(out + 32, prefix + 32, n - 32);
        out += n;
        switch (step[0]) {
          case kNone:
            break;
          case kExportTime:
            out = put_time<0>(out, span[3], 0, clock);
            break;
          case kObservationDomainId:
            out = put_digits(out, span[4]);
            break;
          case kSequenceNumber:
            out = put_digits(out, span[5]);
            break;
          default: {
            const uint8_t* const p =
                octets.data() + (fixed ? at + step[2] : field_spans.starts[step[1]]);
            const size_t length =
                fixed ? words[kHeaderWords + step[1]] & 65535 : field_spans.lengths[step[1]];
            out = put_value(out, step[0], p, length, program, clock);
          }
        }
      }
      written = static_cast<size_t>(out - begin);
      at = next;
    }
  }
  progress.written = static_cast<uint32_t>(written);
  return TextStop::kDone;
}

}  // namespace darta
