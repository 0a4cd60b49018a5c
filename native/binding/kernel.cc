// What only system calls reach: answers of netlink, and bpf(2).
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>

#include "binding/binding.h"
#include "binding/values.h"

namespace darta {
namespace {

/// More than any answer that is asked for here; a kernel that sends on and on is not one.
constexpr size_t most_answer_octets = size_t{1} << 30;

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
  const Arguments<2> given(env, info);
  const auto message = elements_of<uint8_t>(env, given[1]);
  int32_t protocol = 0;
  if (given.count != 2 || !message || napi_get_value_int32(env, given[0], &protocol) != napi_ok)
    return refuse(env, "netlinkAsk(protocol, message)");
  std::vector<uint8_t> answer;
  const int error = ask(protocol, *message, answer);
  const napi_value octets = copy_of(env, std::span<const uint8_t>(answer));
  return octets == nullptr ? nullptr : list_of(env, octets, error);
}

/// bpfCall(command, attributes, offset, octets, …): [result, errno]; the address of octets is put at each offset.
napi_value bpf_call(napi_env env, napi_callback_info info) {
  constexpr size_t most = 10;
  const Arguments<most> given(env, info);
  const auto attributes = elements_of<uint8_t>(env, given[1]);
  int32_t command = 0;
  bool good = given.count >= 2 && given.count <= most && given.count % 2 == 0 && attributes &&
              napi_get_value_int32(env, given[0], &command) == napi_ok;
  for (size_t i = 2; good && i < given.count; i += 2) {
    uint32_t offset = 0;
    const auto octets = elements_of<uint8_t>(env, given[i + 1]);
    good = napi_get_value_uint32(env, given[i], &offset) == napi_ok && octets &&
           attributes->size() >= 8 && offset <= attributes->size() - 8;
    if (!good) break;
    const uint64_t address = reinterpret_cast<uint64_t>(octets->data());
    std::memcpy(attributes->data() + offset, &address, sizeof address);
  }
  if (!good) return refuse(env, "bpfCall(command, attributes, offset, octets, …)");
  const long outcome = syscall(SYS_bpf, command, attributes->data(), attributes->size());
  const int error = outcome < 0 ? errno : 0;
  return list_of(env, outcome, error);
}

}  // namespace

void register_kernel(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"netlinkAsk", netlink_ask}, {"bpfCall", bpf_call}});
}

}  // namespace darta
