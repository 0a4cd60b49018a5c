// createCryptoPan(key): the object that src/record/crypto-pan-kernel.ts describes, or undefined.
#include "kernel/crypto_pan.h"

#include "binding/binding.h"
#include "binding/handles.h"

namespace darta {

template <>
constexpr napi_type_tag tag_of<CryptoPan> = {0x64617274612d6372, 0x7970746f2d70616e};

namespace {

/// Nothing, with an exception pending, if it is no typed array of T.
template <class T>
std::optional<std::span<T>> wanted(napi_env env, napi_value value) {
  const auto elements = elements_of<T>(env, value);
  if (!elements) refuse(env, "a permutation of addresses takes typed arrays");
  return elements;
}

napi_value run(napi_env env, napi_callback_info info) {
  const Arguments<3> given(env, info);
  CryptoPan* const pan = owned_by<CryptoPan>(env, given.self);
  if (pan == nullptr) return refuse(env, "this is no permutation of addresses");
  const auto octets = wanted<uint8_t>(env, given[0]);
  const auto spans = wanted<uint32_t>(env, given[1]);
  uint32_t words = 0;
  if (!octets || !spans) return nullptr;
  napi_get_value_uint32(env, given[2], &words);
  if (words > spans->size() || !pan->run(*octets, spans->first(words))) {
    napi_throw_range_error(env, nullptr, "a field leaves its octets");
  }
  return nullptr;
}

napi_value create(napi_env env, napi_callback_info info) {
  const auto key = wanted<uint8_t>(env, Arguments<1>(env, info)[0]);
  if (!key) return nullptr;
  if (key->size() != 32) {
    napi_throw_range_error(env, nullptr, "a key has 32 octets");
    return nullptr;
  }
  if (!CryptoPan::supported()) return nullptr;
  return new_object(env, std::make_unique<CryptoPan>(*key), {{"run", run}});
}

}  // namespace

void register_crypto_pan(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"createCryptoPan", create}});
}

}  // namespace darta
