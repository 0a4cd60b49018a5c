// Datagrams to one peer, and what the system knows of a stream's: src/io/native.ts says what these take.
#include <unistd.h>

#include <optional>
#include <span>

#include "binding/binding.h"
#include "send/udp.h"

namespace darta {
namespace {

struct Arguments {
  napi_value values[5] = {};
  size_t count = 5;
};

Arguments arguments_of(napi_env env, napi_callback_info info) {
  Arguments arguments;
  napi_get_cb_info(env, info, &arguments.count, arguments.values, nullptr, nullptr);
  return arguments;
}

std::optional<uint32_t> number_of(napi_env env, napi_value value) {
  uint32_t number = 0;
  if (napi_get_value_uint32(env, value, &number) != napi_ok) return std::nullopt;
  return number;
}

napi_value pair(napi_env env, int64_t first, int64_t second) {
  napi_value result = nullptr;
  napi_create_array_with_length(env, 2, &result);
  for (uint32_t i = 0; i < 2; ++i) {
    napi_value number = nullptr;
    napi_create_int64(env, i == 0 ? first : second, &number);
    napi_set_element(env, result, i, number);
  }
  return result;
}

napi_value refuse(napi_env env, const char* what) {
  napi_throw_type_error(env, nullptr, what);
  return nullptr;
}

/// udpOpen(address, port): [descriptor or −1, errno]
napi_value udp_open(napi_env env, napi_callback_info info) {
  const auto [values, count] = arguments_of(env, info);
  char address[256];
  size_t length = 0;
  const auto port = number_of(env, values[1]);
  if (!port || *port > 65535 ||
      napi_get_value_string_utf8(env, values[0], address, sizeof address, &length) != napi_ok)
    return refuse(env, "udpOpen(address, port)");
  const SendResult result = open_udp(address, static_cast<uint16_t>(*port));
  return pair(env, result.value, result.error);
}

/// udpMtu(descriptor): [octets of an IP packet, errno]
napi_value udp_mtu(napi_env env, napi_callback_info info) {
  const auto descriptor = number_of(env, arguments_of(env, info).values[0]);
  if (!descriptor) return refuse(env, "udpMtu(descriptor)");
  const SendResult result = path_mtu(static_cast<int>(*descriptor));
  return pair(env, result.value, result.error);
}

/// udpSend(descriptor, octets, ends, from, to): [datagrams that went out, errno]
napi_value udp_send(napi_env env, napi_callback_info info) {
  const auto [values, count] = arguments_of(env, info);
  const auto descriptor = number_of(env, values[0]);
  const auto from = number_of(env, values[3]);
  const auto to = number_of(env, values[4]);
  napi_typedarray_type types[2];
  size_t lengths[2] = {};
  void* data[2] = {};
  for (int i = 0; i < 2; ++i) {
    if (napi_get_typedarray_info(env, values[1 + i], &types[i], &lengths[i], &data[i], nullptr,
                                 nullptr) != napi_ok)
      return refuse(env, "udpSend(descriptor, octets, ends, from, to)");
  }
  if (!descriptor || !from || !to || types[0] != napi_uint8_array || types[1] != napi_uint32_array)
    return refuse(env, "udpSend(descriptor, octets, ends, from, to)");
  const SendResult result = send_datagrams(
      static_cast<int>(*descriptor), std::span(static_cast<const uint8_t*>(data[0]), lengths[0]),
      std::span(static_cast<const uint32_t*>(data[1]), lengths[1]), *from, *to);
  return pair(env, result.value, result.error);
}

/// udpClose(descriptor)
napi_value udp_close(napi_env env, napi_callback_info info) {
  if (const auto descriptor = number_of(env, arguments_of(env, info).values[0]))
    close(static_cast<int>(*descriptor));
  return nullptr;
}

/// streamState(descriptor): [octets outstanding, octets of window], or undefined where the system does not tell
napi_value stream_state_of(napi_env env, napi_callback_info info) {
  const auto descriptor = number_of(env, arguments_of(env, info).values[0]);
  StreamState state = {};
  if (!descriptor || stream_state(static_cast<int>(*descriptor), state).value != 0) return nullptr;
  return pair(env, state.outstanding, state.window);
}

}  // namespace

void register_send(napi_env env, napi_value exports) {
  static constexpr struct {
    const char* name;
    napi_callback call;
  } functions[] = {
      {"udpOpen", udp_open},
      {"udpMtu", udp_mtu},
      {"udpSend", udp_send},
      {"udpClose", udp_close},
      {"streamState", stream_state_of},
  };
  for (const auto& [name, call] : functions) {
    napi_value function = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function) == napi_ok)
      napi_set_named_property(env, exports, name, function);
  }
}

}  // namespace darta
