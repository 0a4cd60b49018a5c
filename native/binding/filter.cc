// createFilter(): the object that src/record/filter-kernel.ts describes.
#include "kernel/filter.h"

#include "binding/binding.h"
#include "binding/handles.h"

namespace darta {

template <>
constexpr napi_type_tag tag_of<Filter> = {0x646172746166696c, 0x7465726b65726e00};

namespace {

constexpr char closed[] = "this filter is closed";

/// Nothing, with an exception pending, if it is no typed array of T.
template <class T>
std::optional<std::span<T>> wanted(napi_env env, napi_value value) {
  const auto elements = elements_of<T>(env, value);
  if (!elements) refuse(env, "a filter takes typed arrays");
  return elements;
}

napi_value program(napi_env env, napi_callback_info info) {
  const Arguments<1> given(env, info);
  Filter* const filter = owned_by<Filter>(env, given.self);
  if (filter == nullptr) return refuse(env, closed);
  const auto code = wanted<uint32_t>(env, given[0]);
  if (!code) return nullptr;
  const int64_t id = filter->program(*code);
  if (id >= 0) return to_value(env, id);
  return refuse(env, "the numbers of a filter's program do not fit each other");
}

napi_value run(napi_env env, napi_callback_info info) {
  const Arguments<6> given(env, info);
  const Filter* const filter = owned_by<Filter>(env, given.self);
  if (filter == nullptr) return refuse(env, closed);
  const auto octets = wanted<uint8_t>(env, given[0]);
  const auto spans = wanted<uint32_t>(env, given[1]);
  const auto passed = wanted<uint32_t>(env, given[3]);
  const auto into = wanted<uint8_t>(env, given[4]);
  uint32_t count = 0;
  bool failing = false;
  if (!octets || !spans || !passed || !into) return nullptr;
  napi_get_value_uint32(env, given[2], &count);
  napi_get_value_bool(env, given[5], &failing);
  if (spans->size() / 4 >= count) {
    const auto written =
        filter->run(*octets, spans->first(size_t{4} * count), *passed, *into, failing);
    if (written) return to_value(env, *written);
  }
  napi_throw_range_error(env, nullptr, "a span leaves its octets, or the copy its room");
  return nullptr;
}

napi_value sift(napi_env env, napi_callback_info info) {
  const Arguments<6> given(env, info);
  const Filter* const filter = owned_by<Filter>(env, given.self);
  if (filter == nullptr) return refuse(env, closed);
  const auto octets = wanted<uint8_t>(env, given[0]);
  const auto templates = wanted<uint32_t>(env, given[2]);
  const auto sequence = wanted<uint32_t>(env, given[3]);
  const auto answer = wanted<uint32_t>(env, given[4]);
  const auto runs = wanted<uint32_t>(env, given[5]);
  if (!octets || !templates || !sequence || !answer || !runs) return nullptr;
  uint32_t from = 0;
  napi_get_value_uint32(env, given[1], &from);
  const auto next = filter->sift(*octets, from, *templates, *sequence, *answer, *runs);
  if (next) return to_value(env, *next);
  return refuse(env, "the numbers of Messages do not fit each other");
}

napi_value create_filter(napi_env env, napi_callback_info) {
  const napi_value object = new_object(
      env, std::make_unique<Filter>(),
      {{"program", program}, {"run", run}, {"sift", sift}, {"close", close_object<Filter>}});
  return object != nullptr ? object : refuse(env, "cannot make a filter");
}

}  // namespace

void register_filter(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"createFilter", create_filter}});
}

}  // namespace darta
