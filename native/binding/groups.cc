// createGroups(columns, maxOctets, seed): the object that src/record/group-kernel.ts describes.
#include "kernel/groups.h"

#include "binding/binding.h"
#include "binding/handles.h"

namespace darta {

template <>
constexpr napi_type_tag tag_of<Groups> = {0x6461727461677270, 0x6f7570736b65726e};

namespace {

/// Octets of a Uint8Array; an empty span with an exception pending if it is none.
std::span<uint8_t> octets_of(napi_env env, napi_value value) {
  const auto octets = elements_of<uint8_t>(env, value);
  if (!octets) refuse(env, "expected a Uint8Array");
  return octets.value_or(std::span<uint8_t>());
}

std::span<const int32_t> words_of(napi_env env, napi_value value) {
  const auto words = elements_of<int32_t>(env, value);
  if (!words) refuse(env, "expected an Int32Array");
  return words.value_or(std::span<int32_t>());
}

/// A number that is whole and not negative; anything else becomes 0.
uint64_t count_of(napi_env env, napi_value value) {
  int64_t number = 0;
  if (napi_get_value_int64(env, value, &number) != napi_ok || number < 0) return 0;
  return static_cast<uint64_t>(number);
}

struct Call {
  Groups* groups = nullptr;
  Arguments<4> arguments;
};

/// The kernel behind `this` and the arguments; nothing, with an exception pending, if it is closed or not one.
std::optional<Call> call_of(napi_env env, napi_callback_info info) {
  const Arguments<4> arguments(env, info);
  Groups* const groups = owned_by<Groups>(env, arguments.self);
  if (groups != nullptr) return Call{groups, arguments};
  refuse(env, "this kernel of groups is closed");
  return std::nullopt;
}

std::optional<size_t> shape_of(napi_env env, const Call& call) {
  const uint64_t shape = count_of(env, call.arguments[0]);
  if (shape < call.groups->shapes()) return shape;
  refuse(env, "no such shape of groups");
  return std::nullopt;
}

napi_value shape(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  return to_value(env, call->groups->shape((count_of(env, call->arguments[0]) + 7) / 8 * 8));
}

napi_value program(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const int64_t id = call->groups->program(words_of(env, call->arguments[0]));
  if (id < 0) refuse(env, "the numbers of a program of groups do not fit each other");
  return to_value(env, id);
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
  const auto numbers =
      elements_of<uint32_t>(env, call->arguments[3]).value_or(std::span<uint32_t>());
  if (3 * count > spans.size() || !call->groups->add(octets, spans.first(3 * count), numbers)) {
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
  return id ? to_value(env, call->groups->count(*id)) : nullptr;
}

napi_value rows(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto id = shape_of(env, *call);
  if (!id) return nullptr;
  const uint64_t from = count_of(env, call->arguments[1]);
  return to_value(env, call->groups->rows(*id, from, octets_of(env, call->arguments[2])));
}

napi_value order(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto id = shape_of(env, *call);
  if (!id) return nullptr;
  const auto into = elements_of<uint32_t>(env, call->arguments[1]);
  if (!into || !call->groups->order(*id, *into)) {
    napi_throw_range_error(env, nullptr, "no room for the order of all groups");
  }
  return nullptr;
}

napi_value gather(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  if (!call) return nullptr;
  const auto id = shape_of(env, *call);
  if (!id) return nullptr;
  const auto numbers = elements_of<uint32_t>(env, call->arguments[1]);
  if (!numbers || !call->groups->gather(*id, *numbers, octets_of(env, call->arguments[2]))) {
    napi_throw_range_error(env, nullptr, "there is no such row, or no room for it");
  }
  return nullptr;
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
  return call ? to_value(env, call->groups->refused()) : nullptr;
}

napi_value limited(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  return call ? to_value(env, call->groups->limited()) : nullptr;
}

napi_value memory_octets(napi_env env, napi_callback_info info) {
  const auto call = call_of(env, info);
  return call ? to_value(env, call->groups->memory_octets()) : nullptr;
}

napi_value create_groups(napi_env env, napi_callback_info info) {
  const Arguments<3> given(env, info);
  const auto columns = octets_of(env, given[0]);
  uint32_t seed = 0;
  napi_get_value_uint32(env, given[2], &seed);
  const napi_value object =
      new_object(env, std::make_unique<Groups>(columns, count_of(env, given[1]), seed),
                 {{"shape", shape},
                  {"program", program},
                  {"ranks", ranks},
                  {"add", add},
                  {"addRows", add_rows},
                  {"count", count_groups},
                  {"rows", rows},
                  {"order", order},
                  {"gather", gather},
                  {"refusedRow", refused_row},
                  {"refused", refused},
                  {"limited", limited},
                  {"memoryOctets", memory_octets},
                  {"close", close_object<Groups>}});
  return object != nullptr ? object : refuse(env, "cannot make a kernel of groups");
}

}  // namespace

void register_groups(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"createGroups", create_groups}});
}

}  // namespace darta
