// renderText(programs, octets, spans, output, progress): src/record/kernels.ts says what it takes.
#include "kernel/text.h"

#include <cstring>
#include <optional>
#include <span>

#include "binding/binding.h"

namespace darta {
namespace {

/// Octets of a typed array of this type; nothing if it is none.
std::optional<std::span<uint8_t>> octets_of(napi_env env, napi_value value,
                                            napi_typedarray_type wanted) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != wanted) {
    return std::nullopt;
  }
  return std::span(static_cast<uint8_t*>(data), length * (wanted == napi_uint32_array ? 4 : 1));
}

std::span<const uint32_t> words_of(std::span<uint8_t> octets) {
  return {reinterpret_cast<const uint32_t*>(octets.data()), octets.size() / 4};
}

napi_value render(napi_env env, napi_callback_info info) {
  size_t count = 5;
  napi_value arguments[5] = {};
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  const auto programs = octets_of(env, arguments[0], napi_uint32_array);
  const auto octets = octets_of(env, arguments[1], napi_uint8_array);
  const auto spans = octets_of(env, arguments[2], napi_uint32_array);
  const auto output = octets_of(env, arguments[3], napi_uint8_array);
  const auto state = octets_of(env, arguments[4], napi_uint32_array);
  TextProgress progress;
  if (!programs || !octets || !spans || !output || !state || state->size() < sizeof progress) {
    napi_throw_type_error(env, nullptr, "renderText takes typed arrays");
    return nullptr;
  }
  std::memcpy(&progress, state->data(), sizeof progress);
  if (progress.written > output->size()) {
    napi_throw_range_error(env, nullptr, "the output is written beyond its end");
    return nullptr;
  }
  const TextStop stop =
      render_text(words_of(*programs), *octets, words_of(*spans), *output, progress);
  std::memcpy(state->data(), &progress, sizeof progress);
  napi_value result = nullptr;
  napi_create_uint32(env, static_cast<uint32_t>(stop), &result);
  return result;
}

}  // namespace

void register_text(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  napi_create_function(env, "renderText", NAPI_AUTO_LENGTH, render, nullptr, &function);
  napi_set_named_property(env, exports, "renderText", function);
}
}  // namespace darta
