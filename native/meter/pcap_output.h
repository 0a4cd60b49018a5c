// `--emit pcap`: the frames as they are, as a nanosecond pcap file. docs/METERING.md section 4.
#pragma once
#include "capture/reader.h"
#include "meter/records.h"

namespace darta {

class PcapOutput {
 public:
  PcapOutput() = default;
  PcapOutput(const PcapOutput&) = delete;
  PcapOutput& operator=(const PcapOutput&) = delete;
  ~PcapOutput();

  /// The header of a file, of which buffers of one or more of these are the rest.
  [[nodiscard]] static Output header(uint32_t link_type);
  /// Someone else has written the header.
  void follow(uint32_t link_type) noexcept {
    begun_ = true;
    link_type_ = link_type;
  }
  /// False if the frame is of another link type than the file's.
  [[nodiscard]] bool write(const Frame& frame, int64_t now, Outputs& outputs);
  /// Hands over what is there. `now`: nanoseconds since 1970.
  void close(int64_t now, Outputs& outputs);
  /// As `close`, after the file header if no frame has brought it.
  void finish(uint32_t link_type, int64_t now, Outputs& outputs);
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }

 private:
  static constexpr size_t buffer_octets = 262144;
  static constexpr size_t file_header = 24;
  static constexpr size_t record_header = 16;

  static void write_header(uint8_t* at, uint32_t link_type) noexcept;
  [[nodiscard]] uint8_t* room(size_t size, int64_t now, Outputs& outputs);
  void begin(uint32_t link_type, int64_t now, Outputs& outputs);

  bool begun_ = false;
  uint32_t link_type_ = 1;
  uint8_t* octets_ = nullptr;
  size_t capacity_ = 0;
  size_t size_ = 0;
  uint32_t count_ = 0;
};

}  // namespace darta
