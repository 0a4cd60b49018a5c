#include "meter/driver_frames.h"

#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <iterator>

namespace darta {
namespace {

// Headers of older kernels do not know it.
constexpr uint32_t live_frames = 1 << 1;  // BPF_F_TEST_XDP_LIVE_FRAMES
constexpr uint32_t frames_at_a_time = 64;
constexpr int source_end = 28;

uint64_t address(const void* at) noexcept { return reinterpret_cast<uintptr_t>(at); }

int bpf(int command, bpf_attr& attributes) noexcept {
  return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

}  // namespace

DriverFrames::~DriverFrames() {
  if (program_ >= 0) close(program_);
}

OpenFault DriverFrames::open(const char* interface, std::span<const uint8_t> frame,
                             Way way) noexcept {
  interface_ = if_nametoindex(interface);
  frame_.assign(frame.begin(), frame.end());
  const bpf_insn instructions[] = {
      {BPF_LDX | BPF_MEM | BPF_W, 2, 1, 4, 0},  // R2 ← end
      {BPF_LDX | BPF_MEM | BPF_W, 7, 1, 0, 0},  // R7 ← frame
      {BPF_ALU64 | BPF_MOV | BPF_X, 3, 7, 0, 0},
      {BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, source_end + 2},
      {BPF_JMP | BPF_JGT | BPF_X, 3, 2, 4, 0},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32},
      {BPF_STX | BPF_MEM | BPF_H, 7, 0, source_end, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, way == Way::pair ? XDP_TX : XDP_DROP},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_ABORTED},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  bpf_attr program{};
  program.prog_type = BPF_PROG_TYPE_XDP;
  program.insns = address(instructions);
  program.insn_cnt = std::size(instructions);
  program.license = address("Apache-2.0");
  program_ = bpf(BPF_PROG_LOAD, program);
  return program_ < 0 ? OpenFault{"BPF_PROG_LOAD", errno} : OpenFault{};
}

bool DriverFrames::send(uint32_t count) noexcept {
  xdp_md context{};
  context.data_end = static_cast<uint32_t>(frame_.size());
  context.ingress_ifindex = interface_;
  bpf_attr run{};
  run.test.prog_fd = static_cast<uint32_t>(program_);
  run.test.data_in = address(frame_.data());
  run.test.data_size_in = static_cast<uint32_t>(frame_.size());
  run.test.ctx_in = address(&context);
  run.test.ctx_size_in = sizeof context;
  run.test.repeat = count;
  run.test.flags = live_frames;
  run.test.batch_size = frames_at_a_time;
  return bpf(BPF_PROG_TEST_RUN, run) == 0;
}

}  // namespace darta
