// UDP sockets that a thread reads. The thread never touches Node-API; a threadsafe function wakes JavaScript, which then
// takes the blocks.
#include <cstdlib>
#include <cstring>
#include <memory>

#include "binding/binding.h"
#include "binding/meter_values.h"
#include "receive/datagrams.h"

namespace darta {
namespace {

struct ReceiverHandle {
  std::unique_ptr<DatagramReceiver> receiver;
  napi_threadsafe_function wake = nullptr;
};

constexpr napi_type_tag receiver_tag = {0x7265636569766572, 0x64617274612d7564};
static_assert(sizeof(DatagramInfo) == 44);

napi_value fail(napi_env env, const char* what) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, "DARTA_INTERNAL", what);
  return nullptr;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

ReceiverHandle* handle_of(napi_env env, napi_callback_info info, napi_value* second = nullptr) {
  napi_value arguments[2] = {nullptr, nullptr};
  size_t count = 2;
  bool ours = false;
  void* data = nullptr;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok ||
      napi_check_object_type_tag(env, arguments[0], &receiver_tag, &ours) != napi_ok || !ours ||
      napi_get_value_external(env, arguments[0], &data) != napi_ok)
    return nullptr;
  if (second != nullptr) *second = arguments[1];
  auto* const handle = static_cast<ReceiverHandle*>(data);
  return handle->receiver ? handle : nullptr;
}

/// receiverOpen(sockets): a handle, or [call, errno, socket] of what failed
napi_value receiver_open(napi_env env, napi_callback_info info) {
  napi_value given = nullptr;
  size_t count = 1;
  uint32_t length = 0;
  if (napi_get_cb_info(env, info, &count, &given, nullptr, nullptr) != napi_ok || count != 1 ||
      napi_get_array_length(env, given, &length) != napi_ok)
    return fail(env, "receiverOpen(sockets)");
  std::vector<SocketOptions> sockets;
  for (uint32_t i = 0; i < length; ++i) {
    napi_value one = nullptr;
    if (napi_get_element(env, given, i, &one) != napi_ok) return fail(env, "receiverOpen(sockets)");
    SocketOptions options;
    options.address = text_property(env, one, "address");
    options.port = static_cast<uint16_t>(whole(number_property(env, one, "port"), UINT16_MAX));
    options.buffer_octets = whole(number_property(env, one, "bufferOctets"), size_t{1} << 30);
    const double descriptor = number_property(env, one, "descriptor");
    if (descriptor >= 0) options.descriptor = static_cast<int>(whole(descriptor, INT32_MAX));
    sockets.push_back(std::move(options));
  }
  SocketFault fault;
  auto handle = std::make_unique<ReceiverHandle>();
  handle->receiver = DatagramReceiver::open(sockets, fault);
  napi_value result = nullptr;
  if (!handle->receiver) {
    napi_value call = nullptr;
    napi_create_array(env, &result);
    napi_create_string_utf8(env, fault.call, NAPI_AUTO_LENGTH, &call);
    napi_set_element(env, result, 0, call);
    napi_set_element(env, result, 1, number(env, fault.error));
    napi_set_element(env, result, 2, number(env, static_cast<double>(fault.socket)));
    return result;
  }
  const auto finalize = [](napi_env, void* data, void*) {
    delete static_cast<ReceiverHandle*>(data);
  };
  if (napi_create_external(env, handle.get(), finalize, nullptr, &result) != napi_ok)
    return fail(env, "no handle");
  handle.release();
  return napi_type_tag_object(env, result, &receiver_tag) == napi_ok ? result : fail(env, "no tag");
}

/// receiverStart(receiver, wake)
napi_value receiver_start(napi_env env, napi_callback_info info) {
  napi_value callback = nullptr;
  ReceiverHandle* const handle = handle_of(env, info, &callback);
  napi_value name = nullptr;
  napi_create_string_utf8(env, "darta receiver", NAPI_AUTO_LENGTH, &name);
  if (handle == nullptr || handle->wake != nullptr ||
      napi_create_threadsafe_function(env, callback, nullptr, name, 0, 1, nullptr, nullptr, nullptr,
                                      nullptr, &handle->wake) != napi_ok)
    return fail(env, "receiverStart(receiver, wake)");
  handle->receiver->start([wake = handle->wake] {
    napi_call_threadsafe_function(wake, nullptr, napi_tsfn_nonblocking);
  });
  return nullptr;
}

/// A Uint8Array over `octets`, which JavaScript gives back when it is done with them.
napi_value octets_value(napi_env env, uint8_t* octets, size_t size) {
  napi_value buffer = nullptr, array = nullptr;
  const auto release = [](napi_env, void* data, void* length) {
    give_back_block(static_cast<uint8_t*>(data), reinterpret_cast<size_t>(length));
  };
  if (napi_create_external_arraybuffer(env, octets, size, release, reinterpret_cast<void*>(size),
                                       &buffer) != napi_ok) {
    // A JavaScript engine that keeps all its memory in one cage takes a copy only.
    void* data = nullptr;
    if (napi_create_arraybuffer(env, size, &data, &buffer) == napi_ok)
      std::memcpy(data, octets, size);
    std::free(octets);
  }
  if (buffer != nullptr) napi_create_typedarray(env, napi_uint8_array, size, buffer, 0, &array);
  return array;
}

/// receiverTake(receiver): [ended, octets, datagrams, baseMs, octets, …]; `datagrams` are eleven numbers each, the last four
/// of which are the address
napi_value receiver_take(napi_env env, napi_callback_info info) {
  ReceiverHandle* const handle = handle_of(env, info);
  napi_value array = nullptr;
  if (handle == nullptr || napi_create_array(env, &array) != napi_ok)
    return fail(env, "receiverTake(receiver)");
  // Asked first: what was taken before the end is then sure to be handed over with it.
  const bool ended = handle->receiver->ended();
  uint32_t at = 0;
  napi_set_element(env, array, at++, number(env, ended ? 1 : 0));
  for (DatagramBlock& block : handle->receiver->take()) {
    const size_t octets = block.datagrams.size() * sizeof(DatagramInfo);
    void* data = nullptr;
    napi_value buffer = nullptr, datagrams = nullptr;
    if (napi_create_arraybuffer(env, octets, &data, &buffer) != napi_ok) {
      std::free(block.octets);
      return fail(env, "no buffer");
    }
    std::memcpy(data, block.datagrams.data(), octets);
    napi_create_typedarray(env, napi_uint32_array, octets / 4, buffer, 0, &datagrams);
    napi_set_element(env, array, at++, octets_value(env, block.octets, block.size));
    napi_set_element(env, array, at++, datagrams);
    napi_set_element(env, array, at++, number(env, block.base_ms));
  }
  return array;
}

napi_value receiver_stop(napi_env env, napi_callback_info info) {
  if (ReceiverHandle* const handle = handle_of(env, info)) handle->receiver->stop();
  return nullptr;
}

/// receiverStatistics(receiver): port, buffer octets, received and dropped datagrams of each socket, one after another
napi_value receiver_statistics(napi_env env, napi_callback_info info) {
  ReceiverHandle* const handle = handle_of(env, info);
  napi_value array = nullptr;
  if (handle == nullptr || napi_create_array(env, &array) != napi_ok)
    return fail(env, "receiverStatistics(receiver)");
  uint32_t at = 0;
  const DatagramReceiver& receiver = *handle->receiver;
  for (size_t i = 0; i < receiver.sockets(); ++i) {
    const SocketStatistics s = receiver.statistics(i);
    napi_set_element(env, array, at++, number(env, receiver.port(i)));
    napi_set_element(env, array, at++, number(env, static_cast<double>(receiver.buffer_octets(i))));
    napi_set_element(env, array, at++, number(env, static_cast<double>(s.received)));
    napi_set_element(env, array, at++, number(env, static_cast<double>(s.dropped)));
  }
  return array;
}

/// receiverClose(receiver): waits for the thread and closes the sockets
napi_value receiver_close(napi_env env, napi_callback_info info) {
  ReceiverHandle* const handle = handle_of(env, info);
  if (handle == nullptr) return nullptr;
  handle->receiver.reset();
  if (handle->wake != nullptr) napi_release_threadsafe_function(handle->wake, napi_tsfn_abort);
  handle->wake = nullptr;
  return nullptr;
}

struct Octets8 {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

bool octets_of(napi_env env, napi_value value, Octets8& octets) {
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &octets.size, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_uint8_array)
    return false;
  octets.data = static_cast<const uint8_t*>(data);
  return true;
}

/// appendTails(octets, program, steps, tails, out, to): see src/mediation/origin.ts. Nothing is assumed of the program.
napi_value append_tails(napi_env env, napi_callback_info info) {
  static constexpr char usage[] = "appendTails(octets, program, steps, tails, out, to)";
  napi_value arguments[6] = {};
  size_t given = 6;
  Octets8 octets, tails, out;
  napi_typedarray_type type;
  size_t numbers = 0;
  void* data = nullptr;
  uint32_t steps = 0, to = 0;
  if (napi_get_cb_info(env, info, &given, arguments, nullptr, nullptr) != napi_ok || given != 6 ||
      !octets_of(env, arguments[0], octets) ||
      napi_get_typedarray_info(env, arguments[1], &type, &numbers, &data, nullptr, nullptr) !=
          napi_ok ||
      type != napi_uint32_array || napi_get_value_uint32(env, arguments[2], &steps) != napi_ok ||
      !octets_of(env, arguments[3], tails) || !octets_of(env, arguments[4], out) ||
      napi_get_value_uint32(env, arguments[5], &to) != napi_ok || uint64_t{steps} * 5 > numbers)
    return fail(env, usage);
  const auto* step = static_cast<const uint32_t*>(data);
  uint64_t at = to;
  for (uint32_t i = 0; i < steps; ++i, step += 5) {
    const uint64_t start = step[0], size = step[1], count = step[2], tail = step[3],
                   length = step[4];
    if (start + size * count > octets.size || tail + length > tails.size ||
        at + (size + length) * count > out.size)
      return fail(env, usage);
    const uint8_t* from = octets.data + start;
    auto* write = const_cast<uint8_t*>(out.data) + at;
    for (uint64_t n = 0; n < count; ++n) {
      std::memcpy(write, from, size);
      std::memcpy(write + size, tails.data + tail, length);
      from += size;
      write += size + length;
    }
    at += (size + length) * count;
  }
  return nullptr;
}

}  // namespace

void register_receive(napi_env env, napi_value exports) {
  static constexpr struct {
    const char* name;
    napi_callback call;
  } functions[] = {
      {"receiverOpen", receiver_open},
      {"receiverStart", receiver_start},
      {"receiverTake", receiver_take},
      {"receiverStop", receiver_stop},
      {"receiverStatistics", receiver_statistics},
      {"receiverClose", receiver_close},
      {"appendTails", append_tails},
  };
  for (const auto& [name, call] : functions) {
    napi_value function = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function) == napi_ok)
      napi_set_named_property(env, exports, name, function);
  }
}

}  // namespace darta
