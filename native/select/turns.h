// A socket filter that counts (src/metering/turn-program.ts): eBPF with a map that this process can read.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace darta {

class Turns {
 public:
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;
  ~Turns();

  /// Loads `program` (struct bpf_insn after struct bpf_insn; the address of the map's value is filled in). nullptr: `call`
  /// failed with `error`, and `log` is what the kernel says of it. Needs CAP_BPF and Linux 5.12.
  [[nodiscard]] static std::unique_ptr<Turns> load(std::span<const uint8_t> program,
                                                   size_t value_octets, const char*& call,
                                                   int& error, std::string& log);
  /// Of the program, for SO_ATTACH_BPF.
  [[nodiscard]] int descriptor() const noexcept { return program_; }
  /// The map's value, which the kernel changes at any time.
  [[nodiscard]] std::span<const uint8_t> value() const noexcept { return {value_, octets_}; }

 private:
  Turns() = default;

  int map_ = -1;
  int program_ = -1;
  uint8_t* value_ = nullptr;
  size_t octets_ = 0;
};

}  // namespace darta
