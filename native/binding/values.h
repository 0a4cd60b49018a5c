// What crosses between JavaScript and the binding files: functions and their arguments, numbers, texts, lists, typed
// arrays, and what to throw.
#pragma once
#include <node_api.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace darta {

struct Function {
  const char* name;
  napi_callback call;
};

inline void export_functions(napi_env env, napi_value exports,
                             std::initializer_list<Function> functions) {
  for (const auto& [name, call] : functions) {
    napi_value function = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function) == napi_ok)
      napi_set_named_property(env, exports, name, function);
  }
}

/// Throws what Node-API had to say, or `what`; for calls that only a fault of ours makes fail.
inline napi_value fail(napi_env env, const char* what) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, "DARTA_INTERNAL", what);
  return nullptr;
}

/// Throws a TypeError.
inline napi_value refuse(napi_env env, const char* what) {
  napi_throw_type_error(env, nullptr, what);
  return nullptr;
}

/// The arguments of a call, and `this`; those that were not given are undefined. `count` is how many were given, which
/// may be more than there is room for.
template <size_t most>
struct Arguments {
  napi_value values[most] = {};
  napi_value self = nullptr;
  size_t count = most;

  Arguments(napi_env env, napi_callback_info info) {
    if (napi_get_cb_info(env, info, &count, values, &self, nullptr) != napi_ok) count = 0;
  }
  napi_value operator[](size_t i) const { return values[i]; }
};

/// Numbers beyond 2^53 − 1 lose their last digits.
template <class T>
requires(std::is_arithmetic_v<T> || std::is_enum_v<T>) napi_value to_value(napi_env env, T number) {
  napi_value result = nullptr;
  napi_create_double(env, static_cast<double>(number), &result);
  return result;
}
inline napi_value to_value(napi_env env, const std::string& text) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, text.data(), text.size(), &result);
  return result;
}
inline napi_value to_value(napi_env env, const char* text) {
  napi_value result = nullptr;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result);
  return result;
}
inline napi_value to_value(napi_env, napi_value value) { return value; }

/// An array that grows.
class List {
 public:
  explicit List(napi_env env) : env_(env) { napi_create_array(env, &value_); }
  template <class... Values>
  void add(const Values&... values) {
    (napi_set_element(env_, value_, length_++, to_value(env_, values)), ...);
  }
  [[nodiscard]] napi_value value() const { return value_; }

 private:
  napi_env env_;
  napi_value value_ = nullptr;
  uint32_t length_ = 0;
};

template <class... Values>
napi_value list_of(napi_env env, const Values&... values) {
  List list(env);
  list.add(values...);
  return list.value();
}

template <class T>
constexpr napi_typedarray_type array_type = napi_uint8_array;
template <>
inline constexpr napi_typedarray_type array_type<uint16_t> = napi_uint16_array;
template <>
inline constexpr napi_typedarray_type array_type<int32_t> = napi_int32_array;
template <>
inline constexpr napi_typedarray_type array_type<uint32_t> = napi_uint32_array;
template <>
inline constexpr napi_typedarray_type array_type<uint64_t> = napi_biguint64_array;
template <>
inline constexpr napi_typedarray_type array_type<double> = napi_float64_array;

/// Elements of a typed array of T; nothing if it is none.
template <class T>
std::optional<std::span<T>> elements_of(napi_env env, napi_value value) {
  static_assert(array_type<T> != napi_uint8_array || std::is_same_v<T, uint8_t>);
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != array_type<T>)
    return std::nullopt;
  return std::span(static_cast<T*>(data), length);
}

template <class T>
std::optional<std::span<T>> elements_property(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  if (napi_get_named_property(env, object, name, &value) != napi_ok) return std::nullopt;
  return elements_of<T>(env, value);
}

/// Copies octets that are structures one after another; false if `octets` is nothing or the last one is cut.
template <class T>
bool read_structures(const std::optional<std::span<uint8_t>>& octets, std::vector<T>& into) {
  if (!octets || octets->size() % sizeof(T) != 0) return false;
  into.resize(octets->size() / sizeof(T));
  if (!octets->empty()) std::memcpy(into.data(), octets->data(), octets->size());
  return true;
}

/// A new typed array of T with room for `count` elements, which are where `room` points; nullptr if there is no memory.
template <class T>
napi_value new_array(napi_env env, size_t count, T*& room) {
  napi_value buffer = nullptr, array = nullptr;
  void* data = nullptr;
  if (napi_create_arraybuffer(env, count * sizeof(T), &data, &buffer) != napi_ok ||
      napi_create_typedarray(env, array_type<T>, count, buffer, 0, &array) != napi_ok)
    return nullptr;
  room = static_cast<T*>(data);
  return array;
}

/// A copy of `elements`; nullptr if there is no memory.
template <class T>
napi_value copy_of(napi_env env, std::span<const T> elements) {
  T* room = nullptr;
  const napi_value array = new_array(env, elements.size(), room);
  if (array != nullptr && !elements.empty())
    std::memcpy(room, elements.data(), elements.size_bytes());
  return array;
}

/// A Uint8Array over octets that belong to JavaScript from now on; `release` gets them and `hint` when it is done with them.
inline napi_value hand_over(napi_env env, uint8_t* octets, size_t size, napi_finalize release,
                            void* hint = nullptr) {
  napi_value buffer = nullptr, array = nullptr;
  if (napi_create_external_arraybuffer(env, octets, size, release, hint, &buffer) == napi_ok) {
    napi_create_typedarray(env, napi_uint8_array, size, buffer, 0, &array);
    return array;
  }
  // A JavaScript engine that keeps all its memory in one cage takes a copy only.
  array = copy_of(env, std::span<const uint8_t>(octets, size));
  release(env, octets, hint);
  return array;
}

/// A property that is a number or boolean, as a number; not a number if it is neither.
inline double number_property(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  napi_valuetype type = napi_undefined;
  if (napi_get_named_property(env, object, name, &value) != napi_ok ||
      napi_typeof(env, value, &type) != napi_ok)
    return std::nan("");
  bool flag = false;
  if (type == napi_boolean && napi_get_value_bool(env, value, &flag) == napi_ok) return flag;
  double result = std::nan("");
  if (type == napi_number) napi_get_value_double(env, value, &result);
  return result;
}

/// Whole number between 0 and `most`; what is no number is 0.
inline uint64_t whole(double value, uint64_t most) {
  if (!(value > 0)) return 0;
  return value >= static_cast<double>(most) ? most : static_cast<uint64_t>(value);
}

/// A property as a whole number between 0 and `most`.
template <class T = uint64_t>
T whole_property(napi_env env, napi_value object, const char* name,
                 uint64_t most = std::numeric_limits<T>::max()) {
  return static_cast<T>(whole(number_property(env, object, name), most));
}

/// A property that is true, or a number above 0.
inline bool flag_property(napi_env env, napi_value object, const char* name) {
  return number_property(env, object, name) > 0;
}

/// A property that is a string; empty if it is none.
inline std::string text_property(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  size_t length = 0;
  if (napi_get_named_property(env, object, name, &value) != napi_ok ||
      napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok)
    return {};
  std::string result(length + 1, '\0');
  napi_get_value_string_utf8(env, value, result.data(), result.size(), &length);
  result.resize(length);
  return result;
}

}  // namespace darta
