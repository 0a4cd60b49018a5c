// What only system calls reach: answers of netlink, and bpf(2).
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "binding/binding.h"

namespace darta {
namespace {

/// More than any answer that is asked for here; a kernel that sends on and on is not one.
constexpr size_t most_answer_octets = size_t{1} << 30;

bool octets_of(napi_env env, napi_value value, std::span<uint8_t>& octets) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array)
    return false;
  octets = {static_cast<uint8_t*>(data), length};
  return true;
}

napi_value number(napi_env env, double value) {
  napi_value result = nullptr;
  napi_create_double(env, value, &result);
  return result;
}

/// Appends messages to `answer` until the last one, which may be an error. 0 or an errno.
int receive_all(int descriptor, std::vector<uint8_t>& answer) {
  std::vector<uint8_t> part(size_t{1} << 18);
  while (answer.size() < most_answer_octets) {
    const ssize_t n = recv(descriptor, part.data(), part.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    answer.insert(answer.end(), part.begin(), part.begin() + n);
    for (size_t at = 0; at + sizeof(nlmsghdr) <= static_cast<size_t>(n);) {
      nlmsghdr header;
      std::memcpy(&header, part.data() + at, sizeof header);
      if (header.nlmsg_type == NLMSG_DONE || header.nlmsg_type == NLMSG_ERROR ||
          (header.nlmsg_flags & NLM_F_MULTI) == 0)
        return 0;
      if (header.nlmsg_len < sizeof header) return EBADMSG;
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
  return EMSGSIZE;
}

int ask(int protocol, std::span<const uint8_t> message, std::vector<uint8_t>& answer) {
  const int descriptor = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
  if (descriptor < 0) return errno;
  // The kernel answers at once or not at all; nothing here may wait for ever.
  timeval limit = {10, 0};
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  int error = 0;
  if (send(descriptor, message.data(), message.size(), 0) < 0)
    error = errno;
  else
    error = receive_all(descriptor, answer);
  close(descriptor);
  return error;
}

/// netlinkAsk(protocol, message): [octets of all answers, errno]
napi_value netlink_ask(napi_env env, napi_callback_info info) {
  size_t count = 2;
  napi_value arguments[2];
  int32_t protocol = 0;
  std::span<uint8_t> message;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2 ||
      napi_get_value_int32(env, arguments[0], &protocol) != napi_ok ||
      !octets_of(env, arguments[1], message)) {
    napi_throw_type_error(env, nullptr, "netlinkAsk(protocol, message)");
    return nullptr;
  }
  std::vector<uint8_t> answer;
  const int error = ask(protocol, message, answer);
  void* data = nullptr;
  napi_value buffer = nullptr;
  napi_value octets = nullptr;
  napi_value result = nullptr;
  if (napi_create_arraybuffer(env, answer.size(), &data, &buffer) != napi_ok) return nullptr;
  if (!answer.empty()) std::memcpy(data, answer.data(), answer.size());
  napi_create_typedarray(env, napi_uint8_array, answer.size(), buffer, 0, &octets);
  napi_create_array_with_length(env, 2, &result);
  napi_set_element(env, result, 0, octets);
  napi_set_element(env, result, 1, number(env, error));
  return result;
}

/// bpfCall(command, attributes, offset, octets, …): [result, errno]; the address of octets is put at each offset.
napi_value bpf_call(napi_env env, napi_callback_info info) {
  constexpr size_t most = 10;
  size_t count = most;
  napi_value arguments[most];
  int32_t command = 0;
  std::span<uint8_t> attributes;
  bool good = napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) == napi_ok &&
              count >= 2 && count <= most && count % 2 == 0 &&
              napi_get_value_int32(env, arguments[0], &command) == napi_ok &&
              octets_of(env, arguments[1], attributes);
  for (size_t i = 2; good && i < count; i += 2) {
    uint32_t offset = 0;
    std::span<uint8_t> octets;
    good = napi_get_value_uint32(env, arguments[i], &offset) == napi_ok &&
           octets_of(env, arguments[i + 1], octets) && attributes.size() >= 8 &&
           offset <= attributes.size() - 8;
    if (!good) break;
    const uint64_t address = reinterpret_cast<uint64_t>(octets.data());
    std::memcpy(attributes.data() + offset, &address, sizeof address);
  }
  if (!good) {
    napi_throw_type_error(env, nullptr, "bpfCall(command, attributes, offset, octets, …)");
    return nullptr;
  }
  const long outcome = syscall(SYS_bpf, command, attributes.data(), attributes.size());
  const int error = outcome < 0 ? errno : 0;
  napi_value result = nullptr;
  napi_create_array_with_length(env, 2, &result);
  napi_set_element(env, result, 0, number(env, static_cast<double>(outcome)));
  napi_set_element(env, result, 1, number(env, error));
  return result;
}

}  // namespace

void register_kernel(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  napi_create_function(env, "netlinkAsk", NAPI_AUTO_LENGTH, netlink_ask, nullptr, &function);
  napi_set_named_property(env, exports, "netlinkAsk", function);
  napi_create_function(env, "bpfCall", NAPI_AUTO_LENGTH, bpf_call, nullptr, &function);
  napi_set_named_property(env, exports, "bpfCall", function);
}

}  // namespace darta
