#include "capture/xdp_program.h"

#include <linux/bpf.h>
#include <net/if.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace darta {
namespace {

// Headers of older kernels do not know it.
constexpr uint32_t program_takes_frags = 1 << 5;  // BPF_F_XDP_HAS_FRAGS

uint64_t address(const void* at) noexcept { return reinterpret_cast<uintptr_t>(at); }

int bpf(int command, bpf_attr& attributes) noexcept {
  return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

}  // namespace

XdpProgram::~XdpProgram() {
  for (const int descriptor : {link_, program_, map_}) {
    if (descriptor >= 0) close(descriptor);
  }
}

OpenFault XdpProgram::load(std::span<const uint8_t> octets, uint32_t queues) noexcept {
  if (queues > 0) {
    bpf_attr map{};
    map.map_type = BPF_MAP_TYPE_XSKMAP;
    map.key_size = map.value_size = sizeof(uint32_t);
    map.max_entries = queues;
    map_ = bpf(BPF_MAP_CREATE, map);
    if (map_ < 0) return {"BPF_MAP_CREATE", errno};
  }
  std::vector<bpf_insn> instructions(octets.size() / sizeof(bpf_insn));
  std::memcpy(instructions.data(), octets.data(), instructions.size() * sizeof(bpf_insn));
  for (bpf_insn& instruction : instructions) {
    if (instruction.code == (BPF_LD | BPF_DW | BPF_IMM) && instruction.src_reg == BPF_PSEUDO_MAP_FD)
      instruction.imm = map_;
  }
  bpf_attr program{};
  program.prog_type = BPF_PROG_TYPE_XDP;
  program.insns = address(instructions.data());
  program.insn_cnt = static_cast<uint32_t>(instructions.size());
  // Only tells the kernel that none of its GPL-only functions are used.
  program.license = address("Apache-2.0");
  program.expected_attach_type = BPF_XDP;
  program.prog_flags = program_takes_frags;
  std::memcpy(program.prog_name, "darta_capture", sizeof "darta_capture");
  program_ = bpf(BPF_PROG_LOAD, program);
  if (program_ < 0 && errno == EINVAL) {
    program.prog_flags = 0;
    program_ = bpf(BPF_PROG_LOAD, program);
  }
  return program_ < 0 ? OpenFault{"BPF_PROG_LOAD", errno} : OpenFault{};
}

OpenFault XdpProgram::add(uint32_t queue, int socket) noexcept {
  bpf_attr entry{};
  entry.map_fd = static_cast<uint32_t>(map_);
  entry.key = address(&queue);
  entry.value = address(&socket);
  return bpf(BPF_MAP_UPDATE_ELEM, entry) == 0 ? OpenFault{}
                                              : OpenFault{"BPF_MAP_UPDATE_ELEM", errno};
}

OpenFault XdpProgram::attach() noexcept {
  bpf_attr link{};
  link.link_create.prog_fd = static_cast<uint32_t>(program_);
  link.link_create.target_ifindex = if_nametoindex(interface_.c_str());
  link.link_create.attach_type = BPF_XDP;
  // Without flags the driver runs the program if it can, else the kernel does behind it.
  link_ = bpf(BPF_LINK_CREATE, link);
  return link_ < 0 ? OpenFault{"BPF_LINK_CREATE", errno} : OpenFault{};
}

}  // namespace darta
