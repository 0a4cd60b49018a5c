// createFilter(): the object that src/record/filter-kernel.ts describes.
#include "kernel/filter.h"

#include <optional>
#include <span>

#include "binding/binding.h"

namespace darta {
namespace {

constexpr napi_type_tag kTag = {0x646172746166696c, 0x7465726b65726e00};

void throw_type(napi_env env, const char* message) { napi_throw_type_error(env, nullptr, message); }

/// Elements of a typed array of this type; nothing, with an exception pending, if it is none.
template <typename T>
std::optional<std::span<T>> elements_of(napi_env env, napi_value value,
                                        napi_typedarray_type wanted) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != wanted) {
    throw_type(env, "a filter takes typed arrays");
    return std::nullopt;
  }
  return std::span(static_cast<T*>(data), length);
}

struct Call {
  Filter* filter = nullptr;
  napi_value arguments[6] = {};
};

/// The kernel behind `this` and the arguments; nothing, with an exception pending, if it is closed or not one.
std::optional<Call> call_of(napi_env env, napi_callback_info info) {
  Call call;
  size_t count = 6;
  napi_value self = nullptr;
  bool tagged = false;
  void* filter = nullptr;
  if (napi_get_cb_info(env, info, &count, call.arguments, &self, nullptr) != napi_ok ||
      napi_check_object_type_tag(env, self, &kTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, self, &filter) != napi_ok) {
    throw_type(env, "this filter is closed");
    return std::nullopt;
  }
  call.filter = static_cast<Filter*>(filter);
  return call;
}

napi_value number(napi_env env, size_t value) {
  napi_value result = nullptr;
  napi_create_int64(env, static_cast<int64_t>(value), &result);
  return result;
}

napi_value program(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto code = elements_of<uint32_t>(env, call->arguments[0], napi_uint32_array);
  if (!code) return nullptr;
  const int64_t id = call->filter->program(*code);
  if (id >= 0) return number(env, static_cast<size_t>(id));
  throw_type(env, "the numbers of a filter's program do not fit each other");
  return nullptr;
}

napi_value run(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto octets = elements_of<uint8_t>(env, call->arguments[0], napi_uint8_array);
  const auto spans = elements_of<uint32_t>(env, call->arguments[1], napi_uint32_array);
  const auto passed = elements_of<uint32_t>(env, call->arguments[3], napi_uint32_array);
  const auto into = elements_of<uint8_t>(env, call->arguments[4], napi_uint8_array);
  uint32_t count = 0;
  bool failing = false;
  if (!octets || !spans || !passed || !into) return nullptr;
  napi_get_value_uint32(env, call->arguments[2], &count);
  napi_get_value_bool(env, call->arguments[5], &failing);
  if (spans->size() / 4 >= count) {
    const auto written =
        call->filter->run(*octets, spans->first(size_t{4} * count), *passed, *into, failing);
    if (written) return number(env, *written);
  }
  napi_throw_range_error(env, nullptr, "a span leaves its octets, or the copy its room");
  return nullptr;
}

napi_value close(napi_env env, napi_callback_info info) {
  napi_value self = nullptr;
  void* filter = nullptr;
  bool tagged = false;
  napi_get_cb_info(env, info, nullptr, nullptr, &self, nullptr);
  if (napi_check_object_type_tag(env, self, &kTag, &tagged) == napi_ok && tagged &&
      napi_remove_wrap(env, self, &filter) == napi_ok) {
    delete static_cast<Filter*>(filter);
  }
  return nullptr;
}

napi_value create_filter(napi_env env, napi_callback_info) {
  napi_value object = nullptr;
  napi_create_object(env, &object);
  const auto method = [](const char* name, napi_callback callback) {
    return napi_property_descriptor{
        name, nullptr, callback, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  };
  const napi_property_descriptor methods[] = {
      method("program", program),
      method("run", run),
      method("close", close),
  };
  napi_define_properties(env, object, sizeof methods / sizeof *methods, methods);
  napi_type_tag_object(env, object, &kTag);
  auto* filter = new Filter();
  const napi_finalize forget = [](napi_env, void* data, void*) {
    delete static_cast<Filter*>(data);
  };
  if (napi_wrap(env, object, filter, forget, nullptr, nullptr) != napi_ok) {
    delete filter;
    throw_type(env, "cannot make a filter");
  }
  return object;
}

}  // namespace

void register_filter(napi_env env, napi_value exports) {
  napi_value create = nullptr;
  napi_create_function(env, "createFilter", NAPI_AUTO_LENGTH, create_filter, nullptr, &create);
  napi_set_named_property(env, exports, "createFilter", create);
}

}  // namespace darta
