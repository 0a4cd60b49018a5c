// Gives up the capabilities of the process, for good.
#include <dirent.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <ctime>

#include "binding/binding.h"
#include "binding/values.h"

namespace darta {
namespace {

std::atomic<int> threads_done{0};

/// Capabilities and the no-new-privileges bit belong to threads: each must give up its own.
int give_up() noexcept {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  return syscall(SYS_capset, &header, none) == 0 ? 0 : errno;
}

void on_signal(int) {
  const int before = errno;
  give_up();
  errno = before;
  threads_done.fetch_add(1);
}

/// A signal that no thread blocks: glibc leaves it out of every mask, as its setuid() must reach all threads too. It
/// also refuses to set a handler for it, so the kernel is asked for that.
constexpr int kUnblockable = 33;

/// rt_sigaction(2)'s own structure, of any size that an architecture gives it.
struct KernelAction {
  alignas(8) unsigned char octets[160];
};

long kernel_action(int signal_number, const KernelAction* set, KernelAction* get) noexcept {
  constexpr long kMaskOctets = 8;
  return syscall(SYS_rt_sigaction, signal_number, set, get, kMaskOctets);
}

/// Has every other thread call give_up(), and waits until all have.
void ask_other_threads() {
  struct sigaction ours = {};
  ours.sa_handler = on_signal;
  ours.sa_flags = SA_RESTART;
  sigfillset(&ours.sa_mask);
  // glibc knows how a handler returns on this architecture: it sets ours for a signal that it allows.
  const int allowed = SIGRTMAX - 3;
  struct sigaction before_allowed = {};
  KernelAction made = {};
  KernelAction before = {};
  sigaction(allowed, &ours, &before_allowed);
  kernel_action(allowed, nullptr, &made);
  sigaction(allowed, &before_allowed, nullptr);
  if (kernel_action(kUnblockable, &made, &before) != 0) return;

  const auto self = static_cast<pid_t>(syscall(SYS_gettid));
  threads_done = 0;
  int asked = 0;
  if (DIR* const tasks = opendir("/proc/self/task")) {
    while (const dirent* const entry = readdir(tasks)) {
      const auto thread = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
      if (thread <= 0 || thread == self) continue;
      if (syscall(SYS_tgkill, getpid(), thread, kUnblockable) == 0) ++asked;
    }
    closedir(tasks);
  }
  for (int wait = 0; threads_done.load() < asked && wait < 2000; ++wait) {
    const timespec millisecond = {0, 1000000};
    nanosleep(&millisecond, nullptr);
  }
  // A thread that has not run since would die of the signal without a handler.
  if (threads_done.load() >= asked) kernel_action(kUnblockable, &before, nullptr);
}

/// dropCapabilities(): 0, or the errno of what failed.
napi_value drop_capabilities(napi_env env, napi_callback_info) {
  const int error = give_up();
  ask_other_threads();
  return to_value(env, error);
}

}  // namespace

void register_privileges(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"dropCapabilities", drop_capabilities}});
}

}  // namespace darta
