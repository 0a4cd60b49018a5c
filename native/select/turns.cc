#include "select/turns.h"

#include <linux/bpf.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

namespace darta {
namespace {

int bpf(int command, bpf_attr& attributes) noexcept {
  return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

constexpr uint8_t load_64_bits = 0x18;

}  // namespace

Turns::~Turns() {
  if (value_ != nullptr) munmap(value_, octets_);
  if (program_ >= 0) close(program_);
  if (map_ >= 0) close(map_);
}

std::unique_ptr<Turns> Turns::load(std::span<const uint8_t> program, size_t value_octets,
                                   const char*& call, int& error, std::string& log) {
  std::unique_ptr<Turns> turns(new Turns());
  const auto failed = [&](const char* what) {
    call = what;
    error = errno;
    return nullptr;
  };
  bpf_attr map;
  std::memset(&map, 0, sizeof map);
  map.map_type = BPF_MAP_TYPE_ARRAY;
  map.key_size = 4;
  map.value_size = static_cast<uint32_t>(value_octets);
  map.max_entries = 1;
  map.map_flags = BPF_F_MMAPABLE;
  turns->map_ = bpf(BPF_MAP_CREATE, map);
  if (turns->map_ < 0) return failed("BPF_MAP_CREATE");
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  turns->octets_ = (value_octets + page - 1) / page * page;
  void* const value = mmap(nullptr, turns->octets_, PROT_READ, MAP_SHARED, turns->map_, 0);
  if (value == MAP_FAILED) return failed("mmap");
  turns->value_ = static_cast<uint8_t*>(value);

  std::vector<bpf_insn> instructions(program.size() / sizeof(bpf_insn));
  if (instructions.empty()) {
    errno = EINVAL;
    return failed("BPF_PROG_LOAD");
  }
  std::memcpy(instructions.data(), program.data(), instructions.size() * sizeof(bpf_insn));
  for (bpf_insn& one : instructions) {
    if (one.code == load_64_bits && one.src_reg == BPF_PSEUDO_MAP_VALUE) one.imm = turns->map_;
  }
  static constexpr char license[] = "Apache-2.0";
  bpf_attr load;
  std::memset(&load, 0, sizeof load);
  load.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  load.insns = reinterpret_cast<uint64_t>(instructions.data());
  load.insn_cnt = static_cast<uint32_t>(instructions.size());
  load.license = reinterpret_cast<uint64_t>(license);
  turns->program_ = bpf(BPF_PROG_LOAD, load);
  if (turns->program_ < 0) {
    const int first = errno;
    // Asked again for its reasons, which take time and memory.
    std::vector<char> words(size_t{1} << 16);
    load.log_buf = reinterpret_cast<uint64_t>(words.data());
    load.log_size = static_cast<uint32_t>(words.size());
    load.log_level = 1;
    if (first != EPERM) turns->program_ = bpf(BPF_PROG_LOAD, load);
    log.assign(words.data(), strnlen(words.data(), words.size()));
    errno = first;
    if (turns->program_ < 0) return failed("BPF_PROG_LOAD");
  }
  return turns;
}

}  // namespace darta
