// renderText(programs, octets, spans, output, progress): src/record/kernels.ts says what it takes.
#include "kernel/text.h"

#include "binding/binding.h"
#include "binding/values.h"

namespace darta {
namespace {

napi_value render(napi_env env, napi_callback_info info) {
  const Arguments<5> given(env, info);
  const auto programs = elements_of<uint32_t>(env, given[0]);
  const auto octets = elements_of<uint8_t>(env, given[1]);
  const auto spans = elements_of<uint32_t>(env, given[2]);
  const auto output = elements_of<uint8_t>(env, given[3]);
  const auto state = elements_of<uint32_t>(env, given[4]);
  TextProgress progress;
  if (!programs || !octets || !spans || !output || !state || state->size_bytes() < sizeof progress)
    return refuse(env, "renderText takes typed arrays");
  std::memcpy(&progress, state->data(), sizeof progress);
  if (progress.written > output->size()) {
    napi_throw_range_error(env, nullptr, "the output is written beyond its end");
    return nullptr;
  }
  const TextStop stop = render_text(*programs, *octets, *spans, *output, progress);
  std::memcpy(state->data(), &progress, sizeof progress);
  return to_value(env, stop);
}

}  // namespace

void register_text(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"renderText", render}});
}
}  // namespace darta
