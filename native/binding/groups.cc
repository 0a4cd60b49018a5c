// createGroups(columns, maxOctets, seed): the object that src/record/group-kernel.ts describes.
#include "kernel/groups.h"

#include <optional>
#include <span>

#include "binding/binding.h"

namespace darta {
namespace {

constexpr napi_type_tag kTag = {0x6461727461677270, 0x6f7570736b65726e};

void throw_type(napi_env env, const char* message) { napi_throw_type_error(env, nullptr, message); }

/// Octets of a Uint8Array; an empty span with an exception pending if it is none.
std::span<uint8_t> octets_of(napi_env env, napi_value value) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array) {
    throw_type(env, "expected a Uint8Array");
    return {};
  }
  return {static_cast<uint8_t*>(data), length};
}

std::span<const int32_t> words_of(napi_env env, napi_value value) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_int32_array) {
    throw_type(env, "expected an Int32Array");
    return {};
  }
  return {static_cast<int32_t*>(data), length};
}

/// A number that is whole and not negative; anything else becomes 0.
uint64_t count_of(napi_env env, napi_value value) {
  int64_t number = 0;
  if (napi_get_value_int64(env, value, &number) != napi_ok || number < 0) return 0;
  return static_cast<uint64_t>(number);
}

napi_value number(napi_env env, uint64_t value) {
  napi_value result = nullptr;
  napi_create_int64(env, static_cast<int64_t>(value), &result);
  return result;
}

struct Call {
  Groups* groups = nullptr;
  napi_value arguments[3] = {};
};

/// The kernel behind `this` and the arguments; nothing, with an exception pending, if it is closed or not one.
std::optional<Call> call_of(napi_env env, napi_callback_info info) {
  Call call;
  size_t count = 3;
  napi_value self = nullptr;
  bool tagged = false;
  void* groups = nullptr;
  if (napi_get_cb_info(env, info, &count, call.arguments, &self, nullptr) != napi_ok ||
      napi_check_object_type_tag(env, self, &kTag, &tagged) != napi_ok || !tagged ||
      napi_unwrap(env, self, &groups) != napi_ok) {
    throw_type(env, "this kernel of groups is closed");
    return std::nullopt;
  }
  call.groups = static_cast<Groups*>(groups);
  return call;
}

std::optional<size_t> shape_of(napi_env env, const Call& call) {
  const uint64_t shape = count_of(env, call.arguments[0]);
  if (shape < call.groups->shapes()) return shape;
  throw_type(env, "no such shape of groups");
  return std::nullopt;
}

napi_value shape(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  return number(env, call->groups->shape((count_of(env, call->arguments[0]) + 7) / 8 * 8));
}

napi_value program(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const int64_t id = call->groups->program(words_of(env, call->arguments[0]));
  if (id < 0) throw_type(env, "the numbers of a program of groups do not fit each other");
  return number(env, static_cast<uint64_t>(id));
}

napi_value ranks(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (call) call->groups->ranks(octets_of(env, call->arguments[0]));
  return nullptr;
}

napi_value add(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto octets = octets_of(env, call->arguments[0]);
  const auto spans = words_of(env, call->arguments[1]);
  const uint64_t count = count_of(env, call->arguments[2]);
  if (3 * count > spans.size() || !call->groups->add(octets, spans.first(3 * count))) {
    napi_throw_range_error(env, nullptr, "a span leaves its octets");
  }
  return nullptr;
}

napi_value add_rows(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto id = shape_of(env, *call);
  if (!id) return nullptr;
  const auto rows = octets_of(env, call->arguments[1]);
  const uint64_t octets = count_of(env, call->arguments[2]) * call->groups->row_octets(*id);
  if (octets > rows.size() || !call->groups->add_rows(*id, rows.first(octets))) {
    napi_throw_range_error(env, nullptr, "rows leave their octets");
  }
  return nullptr;
}

napi_value count_groups(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto id = shape_of(env, *call);
  return id ? number(env, call->groups->count(*id)) : nullptr;
}

napi_value rows(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto id = shape_of(env, *call);
  if (!id) return nullptr;
  const uint64_t from = count_of(env, call->arguments[1]);
  return number(env, call->groups->rows(*id, from, octets_of(env, call->arguments[2])));
}

napi_value refused_row(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto into = octets_of(env, call->arguments[0]);
  const auto row = std::as_bytes(call->groups->refused_row());
  if (into.size() < row.size()) {
    napi_throw_range_error(env, nullptr, "no room for the refused row");
    return nullptr;
  }
  for (size_t i = 0; i < row.size(); i++) into[i] = static_cast<uint8_t>(row[i]);
  return nullptr;
}

napi_value refused(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  return call ? number(env, call->groups->refused()) : nullptr;
}

napi_value limited(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  return call ? number(env, call->groups->limited()) : nullptr;
}

napi_value memory_octets(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  return call ? number(env, call->groups->memory_octets()) : nullptr;
}

napi_value close(napi_env env, napi_callback_info info) {
  napi_value self = nullptr;
  void* groups = nullptr;
  bool tagged = false;
  napi_get_cb_info(env, info, nullptr, nullptr, &self, nullptr);
  if (napi_check_object_type_tag(env, self, &kTag, &tagged) == napi_ok && tagged &&
      napi_remove_wrap(env, self, &groups) == napi_ok) {
    delete static_cast<Groups*>(groups);
  }
  return nullptr;
}

napi_value create_groups(napi_env env, napi_callback_info info) {
  size_t count = 3;
  napi_value arguments[3] = {};
  napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr);
  const auto columns = octets_of(env, arguments[0]);
  uint32_t seed = 0;
  napi_get_value_uint32(env, arguments[2], &seed);
  napi_value object = nullptr;
  napi_create_object(env, &object);
  const auto method = [](const char* name, napi_callback callback) {
    return napi_property_descriptor{
        name, nullptr, callback, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  };
  const napi_property_descriptor methods[] = {
      method("shape", shape),
      method("program", program),
      method("ranks", ranks),
      method("add", add),
      method("addRows", add_rows),
      method("count", count_groups),
      method("rows", rows),
      method("refusedRow", refused_row),
      method("refused", refused),
      method("limited", limited),
      method("memoryOctets", memory_octets),
      method("close", close),
  };
  napi_define_properties(env, object, sizeof methods / sizeof *methods, methods);
  napi_type_tag_object(env, object, &kTag);
  auto* groups = new Groups(columns, count_of(env, arguments[1]), seed);
  const napi_finalize forget = [](napi_env, void* data, void*) {
    delete static_cast<Groups*>(data);
  };
  if (napi_wrap(env, object, groups, forget, nullptr, nullptr) != napi_ok) {
    delete groups;
    throw_type(env, "cannot make a kernel of groups");
  }
  return object;
}

}  // namespace

void register_groups(napi_env env, napi_value exports) {
  napi_value create = nullptr;
  napi_create_function(env, "createGroups", NAPI_AUTO_LENGTH, create_groups, nullptr, &create);
  napi_set_named_property(env, exports, "createGroups", create);
}

}  // namespace darta
