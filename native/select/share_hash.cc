#include "select/share_hash.h"

#include <array>

namespace darta {
namespace {

using Octets = std::span<const uint8_t>;

constexpr uint32_t port_factor = 0x9e3779b1;
constexpr uint32_t protocol_factor = 0x85ebca6b;
constexpr uint32_t one_side_factor = 0xc2b2ae35;
constexpr uint32_t mix1 = 0x7feb352d;
constexpr uint32_t mix2 = 0x846ca68b;
constexpr std::array<uint32_t, 4> fold_factors = {0x27d4eb2f, 0x165667b1, 0xd3a2646d, 0xfd7046c5};
constexpr size_t none = SIZE_MAX;
constexpr int max_tags = 4;
constexpr int max_labels = 6;

struct Tag {
  uint32_t type;
  size_t next;
  size_t octets;
};
constexpr std::array<Tag, 7> tags = {{{0x8100, 2, 4},
                                      {0x88a8, 2, 4},
                                      {0x9100, 2, 4},
                                      {0x9200, 2, 4},
                                      {0x893f, 6, 8},
                                      {0x8926, 4, 6},
                                      {0x88e7, 16, 18}}};

uint32_t u16(Octets b, size_t at) { return static_cast<uint32_t>(b[at] << 8 | b[at + 1]); }
uint32_t u32(Octets b, size_t at) { return u16(b, at) << 16 | u16(b, at + 2); }
bool has(Octets b, size_t at, size_t octets) { return at <= b.size() && b.size() - at >= octets; }
uint32_t pair(uint32_t s, uint32_t d) { return (s << 1 | 1) * (d << 1 | 1); }

size_t by_version(Octets b, size_t at) {
  if (has(b, at, 20) && b[at] >> 4 == 4) return at;
  return has(b, at, 40) && b[at] >> 4 == 6 ? at : none;
}

size_t by_ppp(Octets b, size_t at) {
  if (has(b, at, 2) && u16(b, at) == 0xff03) at += 2;
  if (!has(b, at, 2)) return none;
  uint32_t protocol = u16(b, at);
  if ((protocol & 0x0100) != 0) {
    protocol = b[at];
    at += 1;
  } else {
    at += 2;
  }
  return protocol == 0x21 || protocol == 0x57 ? by_version(b, at) : none;
}

size_t by_mpls(Octets b, size_t at) {
  for (int label = 0; label < max_labels; label++) {
    if (!has(b, at, 4)) return none;
    const bool bottom = (b[at + 2] & 1) != 0;
    at += 4;
    if (bottom) return by_version(b, at);
  }
  return none;
}

size_t by_type(Octets b, uint32_t type, size_t at) {
  for (int level = 0;; level++) {
    if (type == 0x0800 || type == 0x86dd) return by_version(b, at);
    if (type == 0x8864) return has(b, at, 6) ? by_ppp(b, at + 6) : none;
    if (type == 0x8847 || type == 0x8848) return by_mpls(b, at);
    if (level == max_tags) return none;
    if (type <= 1500) {
      if (!has(b, at, 8) || u32(b, at) != 0xaaaa0300 || u16(b, at + 4) != 0) return none;
      type = u16(b, at + 6);
      at += 8;
      continue;
    }
    const Tag* tag = nullptr;
    for (const Tag& t : tags) {
      if (t.type == type) tag = &t;
    }
    if (tag == nullptr || !has(b, at, tag->octets)) return none;
    type = u16(b, at + tag->next);
    at += tag->octets;
  }
}

size_t locate_ip(Octets b, uint32_t link_type) {
  switch (link_type) {
    case 1:
      if (b.size() < 14) return none;
      if (u16(b, 12) != 0x8903) return by_type(b, u16(b, 12), 14);
      return b.size() < 30 ? none : by_type(b, u16(b, 28), 30);
    case 12:
    case 14:
    case 101:
    case 228:
    case 229:
      return by_version(b, 0);
    case 113:
      return b.size() < 16 ? none : by_type(b, u16(b, 14), 16);
    case 276:
      return b.size() < 20 ? none : by_type(b, u16(b, 0), 20);
    case 0:
    case 108:
      return by_version(b, 4);
    case 9:
    case 50:
      return by_ppp(b, 0);
    case 104:
      return b.size() < 4 ? none : by_type(b, u16(b, 2), 4);
    default:
      return none;
  }
}

uint32_t fold(Octets b, size_t at) {
  uint32_t sum = 0;
  for (size_t i = 0; i < 4; i++) sum += u32(b, at + 4 * i) * fold_factors[i];
  return sum;
}

size_t locate_ports(Octets b, size_t at, bool v4) {
  switch (v4 ? b[at + 9] : b[at + 6]) {
    case 6:
    case 17:
    case 33:
    case 132:
    case 136:
      break;
    default:
      return none;
  }
  if (v4 && (u16(b, at + 6) & 0x3fff) != 0) return none;
  const size_t ports = at + (v4 ? (b[at] & 15U) * 4U : 40U);
  return has(b, ports, 4) ? ports : none;
}

uint32_t ip_term(Octets b, size_t at, const ShareSelector& selector) {
  const bool v4 = b[at] >> 4 == 4;
  uint32_t s = v4 ? u32(b, at + 12) : fold(b, at + 8);
  uint32_t d = v4 ? u32(b, at + 16) : fold(b, at + 24);
  if (selector.ports) {
    if (const size_t ports = locate_ports(b, at, v4); ports != none) {
      s += u16(b, ports) * port_factor;
      d += u16(b, ports + 2) * port_factor;
    }
  }
  switch (selector.addresses) {
    case ShareAddresses::source:
      return (s << 1 | 1) * one_side_factor;
    case ShareAddresses::destination:
      return (d << 1 | 1) * one_side_factor;
    case ShareAddresses::both:
      break;
  }
  return pair(s, d) + (v4 && selector.protocol ? b[at + 9] * protocol_factor : 0);
}

}  // namespace

SharePlace share_place(Octets frame, uint32_t link_type, const ShareSelector& selector,
                       uint32_t seed) noexcept {
  const size_t at = locate_ip(frame, link_type);
  uint32_t term = 0;
  if (at != none) {
    term = ip_term(frame, at, selector);
  } else if (link_type == 1 && frame.size() >= 14) {
    term = pair(u32(frame, 2), u32(frame, 8));
  }
  uint32_t x = (term + seed) * mix1;
  x ^= x >> 15;
  return {x * mix2 >> 20, at};
}

uint32_t share_slot(Octets frame, uint32_t link_type, const ShareSelector& selector,
                    uint32_t seed) noexcept {
  return share_place(frame, link_type, selector, seed).slot;
}

}  // namespace darta
