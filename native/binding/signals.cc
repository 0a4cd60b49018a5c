// bin/darta starts Node with --disable-sigusr1, because SIGUSR1 must never open its debugger. Node then
// leaves the signal blocked in every thread, so that no listener of ours would ever hear it.
#include <signal.h>

#include "binding/binding.h"

namespace darta {
namespace {

/// Lets SIGUSR1 through to the calling thread, the one that waits since start-up included.
napi_value unblock_usr1(napi_env, napi_callback_info) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  return nullptr;
}

}  // namespace

void register_signals(napi_env env, napi_value exports) {
  napi_value function = nullptr;
  if (napi_create_function(env, "unblockUsr1", NAPI_AUTO_LENGTH, unblock_usr1, nullptr,
                           &function) == napi_ok)
    napi_set_named_property(env, exports, "unblockUsr1", function);
}

}  // namespace darta
