// createCryptoPan(key): the object that src/record/crypto-pan-kernel.ts describes, or undefined.
#include "kernel/crypto_pan.h"

#include <optional>
#include <span>

#include "binding/binding.h"

namespace darta {
namespace {

constexpr napi_type_tag kTag = {0x64617274612d6372, 0x7970746f2d70616e};

template <typename T>
std::optional<std::span<T>> elements_of(napi_env env, napi_value value,
                                        napi_typedarray_type wanted) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != wanted) {
    napi_throw_type_error(env, nullptr, "a permutation of addresses takes typed arrays");
    return std::nullopt;
  }
  return std::span(static_cast<T*>(data), length);
}

napi_value run(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3] = {};
  napi_value self = nullptr;
  bool tagged = false;
  void* pan = nullptr;
  if (napi_get_cb_info(env, info, &count, arguments, &self, nullptr) != napi_ok ||
      napi_check_object_type_tag(env, self, &kTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, self, &pan) != napi_ok) {
    napi_throw_type_error(env, nullptr, "this is no permutation of addresses");
    return nullptr;
  }
  const auto octets = elements_of<uint8_t>(env, arguments[0], napi_uint8_array);
  const auto spans = elements_of<uint32_t>(env, arguments[1], napi_uint32_array);
  uint32_t words = 0;
  if (!octets || !spans) return nullptr;
  napi_get_value_uint32(env, arguments[2], &words);
  if (words > spans->size() || !static_cast<CryptoPan*>(pan)->run(*octets, spans->first(words))) {
    napi_throw_range_error(env, nullptr, "a field leaves its octets");
  }
  return nullptr;
}

napi_value create(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value argument = nullptr;
  napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr);
  const auto key = elements_of<uint8_t>(env, argument, napi_uint8_array);
  if (!key) return nullptr;
  if (key->size() != 32) {
    napi_throw_range_error(env, nullptr, "a key has 32 octets");
    return nullptr;
  }
  if (!CryptoPan::supported()) return nullptr;
  napi_value object = nullptr;
  napi_create_object(env, &object);
  const napi_property_descriptor method = {
      "run", nullptr, run, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  napi_define_properties(env, object, 1, &method);
  napi_type_tag_object(env, object, &kTag);
  auto* pan = new CryptoPan(*key);
  const napi_finalize forget = [](napi_env, void* data, void*) {
    delete static_cast<CryptoPan*>(data);
  };
  if (napi_wrap(env, object, pan, forget, nullptr, nullptr) != napi_ok) delete pan;
  return object;
}

}  // namespace

void register_crypto_pan(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  napi_create_function(env, "createCryptoPan", NAPI_AUTO_LENGTH, create, nullptr, &function);
  napi_set_named_property(env, exports, "createCryptoPan", function);
}

}  // namespace darta
