// Shares: the C++ hash over many frames at once, and the kernel's own BPF interpreter as a judge of
// programs.
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "binding/binding.h"
#include "select/share_hash.h"

namespace darta {
namespace {

struct View {
  uint8_t* data = nullptr;
  size_t length = 0;  // elements
};

bool typed(napi_env env, napi_value value, napi_typedarray_type wanted, View& out) {
  napi_typedarray_type type;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &out.length, &data, nullptr, nullptr) !=
      napi_ok) {
    return false;
  }
  out.data = static_cast<uint8_t*>(data);
  return type == wanted;
}

/// Frames are octets between consecutive offsets; refuses offsets that run backwards or past the
/// octets.
bool frames_ok(const View& octets, const View& offsets) {
  if (offsets.length == 0) return false;
  const auto* at = reinterpret_cast<const uint32_t*>(offsets.data);
  for (size_t i = 1; i < offsets.length; i++) {
    if (at[i] < at[i - 1]) return false;
  }
  return at[offsets.length - 1] <= octets.length;
}

napi_value refuse(napi_env env, const char* message) {
  napi_throw_type_error(env, nullptr, message);
  return nullptr;
}

/// shareSlots(octets: Uint8Array, offsets: Uint32Array, linkType, addresses 0|1|2, protocol 0|1,
/// ports 0|1, seed, slots: Uint16Array)
napi_value share_slots_of(napi_env env, napi_callback_info info) {
  napi_value argv[8];
  size_t argc = 8;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  View octets;
  View offsets;
  View slots;
  if (argc != 8 || !typed(env, argv[0], napi_uint8_array, octets) ||
      !typed(env, argv[1], napi_uint32_array, offsets) ||
      !typed(env, argv[7], napi_uint16_array, slots) || !frames_ok(octets, offsets) ||
      slots.length < offsets.length - 1) {
    return refuse(env, "shareSlots: wrong arguments");
  }
  uint32_t number[5];
  for (size_t i = 0; i < 5; i++) napi_get_value_uint32(env, argv[2 + i], &number[i]);
  const ShareSelector selector = {static_cast<ShareAddresses>(number[1] % 3), number[2] != 0,
                                  number[3] != 0};
  const auto* at = reinterpret_cast<const uint32_t*>(offsets.data);
  auto* out = reinterpret_cast<uint16_t*>(slots.data);
  for (size_t i = 0; i + 1 < offsets.length; i++) {
    out[i] = static_cast<uint16_t>(
        share_slot({octets.data + at[i], at[i + 1] - at[i]}, number[0], selector, number[4]));
  }
  return nullptr;
}

/// runSocketFilter(program: Uint8Array of struct sock_filter or the descriptor of an eBPF program,
/// octets, offsets, accepted: Uint8Array) Sends every frame through a socket pair with the program attached: the kernel itself
/// decides.
napi_value run_socket_filter(napi_env env, napi_callback_info info) {
  napi_value argv[4];
  size_t argc = 4;
  napi_get_cb_info(env, info, &argc, argv, nullptr, nullptr);
  View program;
  View octets;
  View offsets;
  View accepted;
  int descriptor = -1;
  const bool extended = argc == 4 && napi_get_value_int32(env, argv[0], &descriptor) == napi_ok;
  if (argc != 4 || (!extended && !typed(env, argv[0], napi_uint8_array, program)) ||
      !typed(env, argv[1], napi_uint8_array, octets) ||
      !typed(env, argv[2], napi_uint32_array, offsets) ||
      !typed(env, argv[3], napi_uint8_array, accepted) || !frames_ok(octets, offsets) ||
      accepted.length < offsets.length - 1 || program.length % sizeof(sock_filter) != 0) {
    return refuse(env, "runSocketFilter: wrong arguments");
  }
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
    return refuse(env, std::strerror(errno));
  }
  sock_fprog filter = {static_cast<unsigned short>(program.length / sizeof(sock_filter)),
                       reinterpret_cast<sock_filter*>(program.data)};
  const char* fault = nullptr;
  if (extended ? setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_BPF, &descriptor, sizeof descriptor) != 0
               : setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
    fault = std::strerror(errno);
  }
  const auto* at = reinterpret_cast<const uint32_t*>(offsets.data);
  for (size_t i = 0; fault == nullptr && i + 1 < offsets.length; i++) {
    if (send(pair[0], octets.data + at[i], at[i + 1] - at[i], 0) < 0 && errno != EPERM) {
      fault = std::strerror(errno);
      break;
    }
    uint8_t one;
    accepted.data[i] = recv(pair[1], &one, 1, MSG_TRUNC) >= 0 ? 1 : 0;
  }
  close(pair[0]);
  close(pair[1]);
  return fault == nullptr ? nullptr : refuse(env, fault);
}

}  // namespace

void register_select(napi_env env, napi_value exports) {
  napi_value function;
  napi_create_function(env, "shareSlots", NAPI_AUTO_LENGTH, share_slots_of, nullptr, &function);
  napi_set_named_property(env, exports, "shareSlots", function);
  napi_create_function(env, "runSocketFilter", NAPI_AUTO_LENGTH, run_socket_filter, nullptr,
                       &function);
  napi_set_named_property(env, exports, "runSocketFilter", function);
}
}  // namespace darta
