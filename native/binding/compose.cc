// composeRows(rows, list, count, code, texts, out, to, ends): src/record/compose-rows.ts says what it takes.
#include "kernel/compose.h"

#include "binding/binding.h"
#include "binding/values.h"

namespace darta {
namespace {

napi_value compose(napi_env env, napi_callback_info info) {
  const Arguments<8> given(env, info);
  const auto rows = elements_of<uint8_t>(env, given[0]);
  const auto list = elements_of<int32_t>(env, given[1]);
  const auto code = elements_of<int32_t>(env, given[3]);
  const auto texts = elements_of<uint8_t>(env, given[4]);
  const auto out = elements_of<uint8_t>(env, given[5]);
  const auto ends = elements_of<uint32_t>(env, given[7]);
  uint32_t count = 0;
  uint32_t to = 0;
  if (!rows || !list || !code || !texts || !out || !ends ||
      napi_get_value_uint32(env, given[2], &count) != napi_ok ||
      napi_get_value_uint32(env, given[6], &to) != napi_ok)
    return refuse(env, "composeRows takes typed arrays");
  constexpr size_t list_words = 5;
  if (count > list->size() / list_words ||
      !compose_rows({*rows, list->first(list_words * count), *code, *texts, *out, *ends}, to)) {
    napi_throw_range_error(env, nullptr, "results cannot be made of such rows");
  }
  return nullptr;
}

}  // namespace

void register_compose(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"composeRows", compose}});
}

}  // namespace darta
