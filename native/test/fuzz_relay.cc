// libFuzzer target: the first octets choose Templates and room, the rest is datagrams whose headers are made to be due now and then.
#include <algorithm>
#include <cstring>
#include <memory>

#include "kernel/relay.h"
#include "test/check.h"

using namespace darta;

namespace {

constexpr size_t head = 16;
constexpr uint32_t most = 65535;

void put32(uint8_t* to, uint32_t value) {
  for (int i = 0; i < 4; ++i) to[i] = static_cast<uint8_t>(value >> (24 - 8 * i));
}

uint32_t be16(const uint8_t* p) { return static_cast<uint32_t>(p[0]) << 8 | p[1]; }

/// Messages that are done have to be Messages whose Sets fill them.
void check_messages(const uint8_t* octets, size_t size) {
  for (size_t at = 0; at < size;) {
    DARTA_CHECK(size - at >= 16 && be16(octets + at) == 10);
    const size_t length = be16(octets + at + 2);
    DARTA_CHECK(length >= 16 && length <= size - at);
    for (size_t set = at + 16; set < at + length;) {
      const size_t set_octets = be16(octets + set + 2);
      DARTA_CHECK(set_octets >= 4 && set_octets <= at + length - set);
      set += set_octets;
    }
    at += length;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < head) return 0;
  Relay relay;
  const uint8_t address[4] = {192, 0, 2, 1};
  relay.source(7, 0, 2055, address, 3);
  uint32_t lanes[3] = {};
  for (uint32_t i = 0; i < 3; ++i) {
    const uint32_t protocol = i == 0 ? 5 : 8 + i;
    const uint32_t program[] = {3, protocol, 0, 0, 0};
    lanes[i] = static_cast<uint32_t>(relay.lane(program, address));
    for (uint32_t k = 0; k < 3; ++k) {
      const uint8_t* const b = data + 3 * k;
      const uint32_t octets = protocol == 5 ? 48 : 1 + (b[0] & 63) * (b[0] & 64 ? 40u : 1u);
      const uint32_t words[] = {256 + k, 300 + k, octets, b[1] & 57u, 1, b[2] % octets};
      DARTA_CHECK(relay.add_template(lanes[i], words));
    }
    (void)relay.announce(lanes[i], std::span(data, head));
    const uint32_t state[Relay::state_words] = {};
    DARTA_CHECK(relay.put(lanes[i], state));
  }
  const size_t room = size_t{1} << 20;
  // No larger than it is said to be, so that writing beyond it is seen.
  std::unique_ptr<uint8_t[]> block(new uint8_t[room]), spare(new uint8_t[room]);
  uint32_t words[15] = {}, domains[2] = {}, touched[5 * 8] = {};
  words[8] = data[9] & 1 ? 576 + data[10] * 8u : most;
  words[0] = data[11] & 1 ? static_cast<uint32_t>(room - words[8] - data[12]) : 0;
  std::memset(block.get(), 0, words[0]);
  const size_t skipped = words[0];
  bool first = true;
  for (size_t at = head; at + 8 <= size;) {
    const uint8_t how = data[at++];
    const size_t n = std::min(size - at, size_t{1} + data[at] + (how & 8 ? 1200u : 0u));
    const std::unique_ptr<uint8_t[]> datagram(new uint8_t[n]);
    std::memcpy(datagram.get(), data + at, n);
    at += n;
    const uint32_t protocol = how % 4 == 0 ? 5 : how % 4 == 1 ? 9 : 10;
    if (how & 16 && n >= 24) {
      uint8_t* const d = datagram.get();
      d[0] = 0;
      d[1] = static_cast<uint8_t>(protocol);
      uint32_t state[Relay::state_words];
      DARTA_CHECK(relay.get(lanes[protocol == 5 ? 0 : protocol - 8], state));
      if (protocol == 10) {
        d[2] = static_cast<uint8_t>(n >> 8);
        d[3] = static_cast<uint8_t>(n);
      }
      put32(d + (protocol == 5 ? 16 : protocol == 9 ? 12 : 8), state[0]);
      put32(d + (protocol == 5 ? 20 : protocol == 9 ? 16 : 12), 0);
      const size_t sets = protocol == 9 ? 20 : 16;
      if (protocol != 5 && n >= sets + 4) {
        const size_t length = how & 32 ? n - sets : 4 + d[sets + 2] % (n - sets - 3);
        d[sets] = 1;
        d[sets + 1] %= 4;
        d[sets + 2] = static_cast<uint8_t>(length >> 8);
        d[sets + 3] = static_cast<uint8_t>(length);
      }
      if (protocol == 5) d[2] = 0, d[3] = static_cast<uint8_t>((n - 24) / 48);
    }
    uint32_t info[11] = {0, static_cast<uint32_t>(n), 0, 7, 2055, 4, how, 0, 0, 0, 0};
    std::memcpy(info + 7, address, 4);
    const RelayRoom into{words, domains, {block.get(), room}, {spare.get(), room}, touched};
    const auto next = how & 64 ? relay.messages({datagram.get(), n}, 0, 3, 1e12, into)
                               : relay.datagrams({datagram.get(), n}, info, 0, 1e12, into);
    DARTA_CHECK(next && *next <= (how & 64 ? n : 1));
    (void)relay.left({datagram.get(), n}, info, 0);
    if (words[9] != 0) {
      check_messages(block.get() + (first ? skipped : 0), words[10] - (first ? skipped : 0));
      first = false;
      std::swap(block, spare);
    }
  }
  if (words[2] != 0) DARTA_CHECK(words[1] <= words[0] && words[0] - words[1] <= words[8]);
  const size_t done = words[2] != 0 ? words[1] : words[0], begin = first ? skipped : 0;
  check_messages(block.get() + begin, done - begin);
  return 0;
}
