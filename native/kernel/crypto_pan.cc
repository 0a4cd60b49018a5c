#include "kernel/crypto_pan.h"

#include "capture/octets.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace darta {
namespace {

constexpr size_t kSpan = 5;
constexpr unsigned kCache4Bits = 17;
constexpr unsigned kCache6Bits = 15;

/// The first n bits of 64 set.
uint64_t mask64(unsigned n) { return n == 0 ? 0 : ~uint64_t{0} << (64 - n); }

uint64_t scatter(uint64_t x) {
  x *= 0x9e3779b97f4a7c15;
  return x ^ (x >> 29);
}

}  // namespace

#if defined(__x86_64__)

#define DARTA_AES __attribute__((target("aes,sse4.1")))

namespace {

template <int kConstant>
DARTA_AES __m128i next_key(__m128i key) {
  __m128i word = _mm_aeskeygenassist_si128(key, kConstant);
  word = _mm_shuffle_epi32(word, 0xff);
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  key = _mm_xor_si128(key, _mm_slli_si128(key, 4));
  return _mm_xor_si128(key, word);
}

DARTA_AES void expand(const uint8_t* key, uint8_t (*keys)[16]) {
  __m128i k = _mm_loadu_si128(reinterpret_cast<const __m128i*>(key));
  const auto put = [&](int i)
                       DARTA_AES { _mm_store_si128(reinterpret_cast<__m128i*>(keys[i]), k); };
  put(0);
  k = next_key<0x01>(k), put(1);
  k = next_key<0x02>(k), put(2);
  k = next_key<0x04>(k), put(3);
  k = next_key<0x08>(k), put(4);
  k = next_key<0x10>(k), put(5);
  k = next_key<0x20>(k), put(6);
  k = next_key<0x40>(k), put(7);
  k = next_key<0x80>(k), put(8);
  k = next_key<0x1b>(k), put(9);
  k = next_key<0x36>(k), put(10);
}

/// Encrypts eight blocks at once: each waits for its own rounds, and the processor has time for the others.
DARTA_AES void encrypt8(const uint8_t (*keys)[16], __m128i* blocks) {
  const auto* k = reinterpret_cast<const __m128i*>(keys);
  for (int i = 0; i < 8; i++) blocks[i] = _mm_xor_si128(blocks[i], k[0]);
  for (int r = 1; r < 10; r++) {
    for (int i = 0; i < 8; i++) blocks[i] = _mm_aesenc_si128(blocks[i], k[r]);
  }
  for (int i = 0; i < 8; i++) blocks[i] = _mm_aesenclast_si128(blocks[i], k[10]);
}

/// What is xored to the first `bits` (a multiple of 8) bits of an address.
DARTA_AES void flip_bits(const uint8_t (*keys)[16], uint64_t high, uint64_t low, uint64_t pad_high,
                         uint64_t pad_low, unsigned bits, uint64_t* out) {
  uint64_t flips[2] = {0, 0};
  for (unsigned n = 0; n < bits; n += 8) {
    __m128i blocks[8];
    for (unsigned i = 0; i < 8; i++) {
      const unsigned place = n + i;
      const uint64_t upper = mask64(place > 64 ? 64 : place);
      const uint64_t lower = place <= 64 ? 0 : mask64(place - 64);
      const uint64_t a = (high & upper) | (pad_high & ~upper);
      const uint64_t b = (low & lower) | (pad_low & ~lower);
      blocks[i] = _mm_set_epi64x(static_cast<int64_t>(__builtin_bswap64(b)),
                                 static_cast<int64_t>(__builtin_bswap64(a)));
    }
    encrypt8(keys, blocks);
    for (unsigned i = 0; i < 8; i++) {
      const uint64_t bit = static_cast<uint64_t>(_mm_cvtsi128_si64(blocks[i])) >> 7 & 1;
      const unsigned place = n + i;
      flips[place / 64] |= bit << (63 - place % 64);
    }
  }
  out[0] = flips[0];
  out[1] = flips[1];
}

DARTA_AES void encrypt_one(const uint8_t (*keys)[16], const uint8_t* from, uint8_t* to) {
  __m128i blocks[8] = {};
  blocks[0] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  encrypt8(keys, blocks);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), blocks[0]);
}

}  // namespace

bool CryptoPan::supported() noexcept {
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("sse4.1");
}

CryptoPan::CryptoPan(std::span<const uint8_t> key)
    : cache4_(size_t{1} << kCache4Bits), cache6_(size_t{1} << kCache6Bits) {
  uint8_t pad[16];
  expand(key.data(), keys_);
  encrypt_one(keys_, key.data() + 16, pad);
  pad_ = {be64(pad), be64(pad + 8)};
  // Every place knows an address from the beginning: that of zeros.
  const uint32_t zero = static_cast<uint32_t>(flips({0, 0}, 32).high >> 32);
  const Wide zero6 = flips({0, 0}, 128);
  for (auto& entry : cache4_) entry = {0, zero};
  for (auto& entry : cache6_) entry = {{0, 0}, zero6};
}

CryptoPan::Wide CryptoPan::flips(Wide address, unsigned bits) const noexcept {
  uint64_t out[2];
  flip_bits(keys_, address.high, address.low, pad_.high, pad_.low, bits, out);
  return {out[0], out[1]};
}

#else

bool CryptoPan::supported() noexcept { return false; }
CryptoPan::CryptoPan(std::span<const uint8_t>) {}
CryptoPan::Wide CryptoPan::flips(Wide, unsigned) const noexcept { return {0, 0}; }

#endif

uint32_t CryptoPan::ipv4(uint32_t address) noexcept {
  Entry4& entry = cache4_[scatter(address) >> (64 - kCache4Bits)];
  if (entry.address != address) {
    const Wide wide = flips({uint64_t{address} << 32, 0}, 32);
    entry = {address, address ^ static_cast<uint32_t>(wide.high >> 32)};
  }
  return entry.value;
}

CryptoPan::Wide CryptoPan::ipv6(Wide address) noexcept {
  Entry6& entry = cache6_[scatter(address.high ^ scatter(address.low)) >> (64 - kCache6Bits)];
  if (entry.address != address) {
    const Wide wide = flips(address, 128);
    entry = {address, {address.high ^ wide.high, address.low ^ wide.low}};
  }
  return entry.value;
}

bool CryptoPan::run(std::span<uint8_t> octets, std::span<const uint32_t> spans) noexcept {
  for (size_t s = 0; s + kSpan <= spans.size(); s += kSpan) {
    const size_t start = spans[s];
    const size_t count = spans[s + 1];
    const size_t stride = spans[s + 2];
    const size_t offset = spans[s + 3];
    const size_t length = spans[s + 4];
    if (length != 4 && length != 6 && length != 16) return false;
    if (offset > stride || length > stride - offset || start > octets.size()) return false;
    if (count > 0 && stride > (octets.size() - start) / count) return false;
    uint8_t* at = octets.data() + start + offset;
    for (size_t i = 0; i < count; i++, at += stride) {
      if (length == 4) {
        put_be32(at, ipv4(be32(at)));
      } else if (length == 16) {
        const Wide value = ipv6({be64(at), be64(at + 8)});
        put_be64(at, value.high);
        put_be64(at + 8, value.low);
      } else {
        uint64_t address = be_number(at, 6);
        address ^= flips({address << 16, 0}, 48).high >> 16;
        for (size_t k = 6; k > 0; k--, address >>= 8) at[k - 1] = static_cast<uint8_t>(address);
      }
    }
  }
  return true;
}

}  // namespace darta
