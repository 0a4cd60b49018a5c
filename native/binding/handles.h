// What JavaScript holds of ours: handles, which functions take, and objects with methods.
#pragma once
#include <memory>
#include <utility>

#include "binding/values.h"

namespace darta {

/// Tells the values of one kind from all others; each kind has its own.
template <class T>
extern const napi_type_tag tag_of;

/// What a handle points to.
template <class T>
struct Handle {
  /// Empty once it is closed.
  std::shared_ptr<T> thing;
  /// Wakes JavaScript from the threads of `thing`; nullptr until it is started.
  napi_threadsafe_function wake = nullptr;
};

template <class T>
napi_value new_handle(napi_env env, std::shared_ptr<T> thing) {
  auto handle = std::make_unique<Handle<T>>();
  handle->thing = std::move(thing);
  const auto finalize = [](napi_env, void* data, void*) { delete static_cast<Handle<T>*>(data); };
  napi_value result = nullptr;
  if (napi_create_external(env, handle.get(), finalize, nullptr, &result) != napi_ok)
    return fail(env, "no handle");
  handle.release();
  return napi_type_tag_object(env, result, &tag_of<T>) == napi_ok ? result : fail(env, "no tag");
}

/// Nullptr if the value is no handle of a T or a closed one.
template <class T>
Handle<T>* handle_of(napi_env env, napi_value value) {
  bool ours = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(env, value, &tag_of<T>, &ours) != napi_ok || !ours ||
      napi_get_value_external(env, value, &data) != napi_ok)
    return nullptr;
  auto* const handle = static_cast<Handle<T>*>(data);
  return handle->thing ? handle : nullptr;
}

/// The T behind the first argument; nullptr if there is none.
template <class T>
T* thing_of(napi_env env, napi_callback_info info) {
  Handle<T>* const handle = handle_of<T>(env, Arguments<1>(env, info)[0]);
  return handle == nullptr ? nullptr : handle->thing.get();
}

/// A function of a handle and a callback: starts the threads of a T, which call it whenever there is something to take.
template <class T>
napi_value start_waking(napi_env env, napi_callback_info info, const char* what,
                        const char* usage) {
  const Arguments<2> given(env, info);
  Handle<T>* const handle = handle_of<T>(env, given[0]);
  if (handle == nullptr || handle->wake != nullptr ||
      napi_create_threadsafe_function(env, given[1], nullptr, to_value(env, what), 0, 1, nullptr,
                                      nullptr, nullptr, nullptr, &handle->wake) != napi_ok)
    return fail(env, usage);
  handle->thing->start([wake = handle->wake] {
    napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking);
  });
  return nullptr;
}

/// A function of a handle: frees the T, which waits for its threads. Closing twice does nothing.
template <class T>
napi_value close_handle(napi_env env, napi_callback_info info) {
  Handle<T>* const handle = handle_of<T>(env, Arguments<1>(env, info)[0]);
  if (handle == nullptr) return nullptr;
  handle->thing.reset();
  if (handle->wake != nullptr) napi_release_threadsafe_function(handle->wake, napi_tsfn_abort);
  handle->wake = nullptr;
  return nullptr;
}

/// An object with methods, which owns a T; nullptr if it could not be made.
template <class T>
napi_value new_object(napi_env env, std::unique_ptr<T> thing,
                      std::initializer_list<Function> methods) {
  napi_value object = nullptr;
  napi_create_object(env, &object);
  for (const auto& [name, call] : methods) {
    const napi_property_descriptor method = {
        name, nullptr, call, nullptr, nullptr, nullptr, napi_default_method, nullptr};
    napi_define_properties(env, object, 1, &method);
  }
  napi_type_tag_object(env, object, &tag_of<T>);
  const napi_finalize forget = [](napi_env, void* data, void*) { delete static_cast<T*>(data); };
  if (napi_wrap(env, object, thing.get(), forget, nullptr, nullptr) != napi_ok) return nullptr;
  thing.release();
  return object;
}

/// The T that `self` owns; nullptr if it is closed or owns none.
template <class T>
T* owned_by(napi_env env, napi_value self) {
  bool ours = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(env, self, &tag_of<T>, &ours) != napi_ok || !ours ||
      napi_unwrap(env, self, &data) != napi_ok)
    return nullptr;
  return static_cast<T*>(data);
}

/// The method `close`. Closing twice does nothing.
template <class T>
napi_value close_object(napi_env env, napi_callback_info info) {
  const napi_value self = Arguments<1>(env, info).self;
  void* data = nullptr;
  if (owned_by<T>(env, self) != nullptr && napi_remove_wrap(env, self, &data) == napi_ok)
    delete static_cast<T*>(data);
  return nullptr;
}

}  // namespace darta
