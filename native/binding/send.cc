// Datagrams to one peer, and what the system knows of a stream's: src/io/native.ts says what these take.
#include <unistd.h>

#include "binding/binding.h"
#include "binding/values.h"
#include "send/udp.h"

namespace darta {
namespace {

std::optional<uint32_t> number_of(napi_env env, napi_value value) {
  uint32_t number = 0;
  if (napi_get_value_uint32(env, value, &number) != napi_ok) return std::nullopt;
  return number;
}

/// udpOpen(address, port): [descriptor or −1, errno]
napi_value udp_open(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  char address[256];
  size_t length = 0;
  const auto port = number_of(env, given[1]);
  if (!port || *port > 65535 ||
      napi_get_value_string_utf8(env, given[0], address, sizeof address, &length) != napi_ok)
    return refuse(env, "udpOpen(address, port)");
  const SendResult result = open_udp(address, static_cast<uint16_t>(*port));
  return list_of(env, result.value, result.error);
}

/// udpMtu(descriptor): [octets of an IP packet, errno]
napi_value udp_mtu(napi_env env, napi_callback_info info) {
  const auto descriptor = number_of(env, Arguments<1>(env, info)[0]);
  if (!descriptor) return refuse(env, "udpMtu(descriptor)");
  const SendResult result = path_mtu(static_cast<int>(*descriptor));
  return list_of(env, result.value, result.error);
}

/// udpSend(descriptor, octets, ends, from, to): [datagrams that went out, errno]
napi_value udp_send(napi_env env, napi_callback_info info) {
  const Arguments<5> given(env, info);
  const auto descriptor = number_of(env, given[0]);
  const auto from = number_of(env, given[3]);
  const auto to = number_of(env, given[4]);
  const auto octets = elements_of<uint8_t>(env, given[1]);
  const auto ends = elements_of<uint32_t>(env, given[2]);
  if (!descriptor || !from || !to || !octets || !ends)
    return refuse(env, "udpSend(descriptor, octets, ends, from, to)");
  const SendResult result =
      send_datagrams(static_cast<int>(*descriptor), *octets, *ends, *from, *to);
  return list_of(env, result.value, result.error);
}

/// udpClose(descriptor)
napi_value udp_close(napi_env env, napi_callback_info info) {
  if (const auto descriptor = number_of(env, Arguments<1>(env, info)[0]))
    close(static_cast<int>(*descriptor));
  return nullptr;
}

/// streamState(descriptor): [octets outstanding, octets of window], or undefined where the system does not tell
napi_value stream_state_of(napi_env env, napi_callback_info info) {
  const auto descriptor = number_of(env, Arguments<1>(env, info)[0]);
  StreamState state = {};
  if (!descriptor || stream_state(static_cast<int>(*descriptor), state).value != 0) return nullptr;
  return list_of(env, state.outstanding, state.window);
}

}  // namespace

void register_send(napi_env env, napi_value exports) {
  export_functions(env, exports,
                   {
                       {"udpOpen", udp_open},
                       {"udpMtu", udp_mtu},
                       {"udpSend", udp_send},
                       {"udpClose", udp_close},
                       {"streamState", stream_state_of},
                   });
}

}  // namespace darta
