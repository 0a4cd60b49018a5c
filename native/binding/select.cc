// Shares: the C++ hash over many frames at once, and the kernel's own BPF interpreter as a judge of
// programs.
#include <linux/filter.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "binding/binding.h"
#include "binding/values.h"
#include "select/share_hash.h"

namespace darta {
namespace {

/// Frames are octets between consecutive offsets; refuses offsets that run backwards or past the
/// octets.
bool frames_ok(std::span<const uint8_t> octets, std::span<const uint32_t> offsets) {
  return !offsets.empty() && std::is_sorted(offsets.begin(), offsets.end()) &&
         offsets.back() <= octets.size();
}

/// shareSlots(octets: Uint8Array, offsets: Uint32Array, linkType, addresses 0|1|2, protocol 0|1,
/// ports 0|1, seed, slots: Uint16Array)
napi_value share_slots_of(napi_env env, napi_callback_info info) {
  const Arguments<8> given(env, info);
  const auto octets = elements_of<uint8_t>(env, given[0]);
  const auto offsets = elements_of<uint32_t>(env, given[1]);
  const auto slots = elements_of<uint16_t>(env, given[7]);
  if (given.count != 8 || !octets || !offsets || !slots || !frames_ok(*octets, *offsets) ||
      slots->size() < offsets->size() - 1)
    return refuse(env, "shareSlots: wrong arguments");
  uint32_t number[5];
  for (size_t i = 0; i < 5; i++) napi_get_value_uint32(env, given[2 + i], &number[i]);
  const ShareSelector selector = {static_cast<ShareAddresses>(number[1] % 3), number[2] != 0,
                                  number[3] != 0};
  const uint32_t* const at = offsets->data();
  for (size_t i = 0; i + 1 < offsets->size(); i++) {
    (*slots)[i] = static_cast<uint16_t>(
        share_slot(octets->subspan(at[i], at[i + 1] - at[i]), number[0], selector, number[4]));
  }
  return nullptr;
}

/// runSocketFilter(program: Uint8Array of struct sock_filter or the descriptor of an eBPF program,
/// octets, offsets, accepted: Uint8Array) Sends every frame through a socket pair with the program attached: the kernel itself
/// decides.
napi_value run_socket_filter(napi_env env, napi_callback_info info) {
  const Arguments<4> given(env, info);
  int descriptor = -1;
  const bool extended = napi_get_value_int32(env, given[0], &descriptor) == napi_ok;
  std::vector<sock_filter> program;
  const auto octets = elements_of<uint8_t>(env, given[1]);
  const auto offsets = elements_of<uint32_t>(env, given[2]);
  const auto accepted = elements_of<uint8_t>(env, given[3]);
  if (given.count != 4 || !octets || !offsets || !accepted ||
      (!extended && !read_structures(elements_of<uint8_t>(env, given[0]), program)) ||
      !frames_ok(*octets, *offsets) || accepted->size() < offsets->size() - 1)
    return refuse(env, "runSocketFilter: wrong arguments");
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) != 0) {
    return refuse(env, std::strerror(errno));
  }
  sock_fprog filter = {static_cast<unsigned short>(program.size()), program.data()};
  const char* fault = nullptr;
  if (extended ? setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_BPF, &descriptor, sizeof descriptor) != 0
               : setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) != 0) {
    fault = std::strerror(errno);
  }
  const uint32_t* const at = offsets->data();
  for (size_t i = 0; fault == nullptr && i + 1 < offsets->size(); i++) {
    if (send(pair[0], octets->data() + at[i], at[i + 1] - at[i], 0) < 0 && errno != EPERM) {
      fault = std::strerror(errno);
      break;
    }
    uint8_t one;
    (*accepted)[i] = recv(pair[1], &one, 1, MSG_TRUNC) >= 0 ? 1 : 0;
  }
  close(pair[0]);
  close(pair[1]);
  return fault == nullptr ? nullptr : refuse(env, fault);
}

}  // namespace

void register_select(napi_env env, napi_value exports) {
  export_functions(env, exports,
                   {{"shareSlots", share_slots_of}, {"runSocketFilter", run_socket_filter}});
}
}  // namespace darta
