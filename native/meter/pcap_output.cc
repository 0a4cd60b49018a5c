#include "meter/pcap_output.h"

#include <cstdlib>

namespace darta {

PcapOutput::~PcapOutput() { std::free(octets_); }

uint8_t* PcapOutput::room(size_t size, int64_t now, Outputs& outputs) {
  if (size > capacity_ - size_) {
    close(now, outputs);
    capacity_ = std::max(buffer_octets, size);
    octets_ = static_cast<uint8_t*>(std::malloc(capacity_));
    if (octets_ == nullptr) std::abort();
  }
  uint8_t* const at = octets_ + size_;
  size_ += size;
  return at;
}

Output PcapOutput::header(uint32_t link_type) {
  auto* const at = static_cast<uint8_t*>(std::malloc(file_header));
  if (at == nullptr) std::abort();
  write_header(at, link_type);
  return {at, file_header, 0, 0, 0};
}

void PcapOutput::begin(uint32_t link_type, int64_t now, Outputs& outputs) {
  write_header(room(file_header, now, outputs), link_type);
  follow(link_type);
}

void PcapOutput::write_header(uint8_t* at, uint32_t link_type) noexcept {
  put_le32(at, 0xa1b23c4d);
  put_le16(at + 4, 2);
  put_le16(at + 6, 4);
  put_le32(at + 8, 0);
  put_le32(at + 12, 0);
  put_le32(at + 16, 262144);
  put_le32(at + 20, link_type);
}

bool PcapOutput::write(const Frame& frame, int64_t now, Outputs& outputs) {
  if (DARTA_UNLIKELY(!begun_)) begin(frame.link_type, now, outputs);
  if (frame.link_type != link_type_) return false;
  uint8_t* const at = room(record_header + frame.captured, now, outputs);
  put_le32(at, static_cast<uint32_t>(frame.time / 1'000'000'000));
  put_le32(at + 4, static_cast<uint32_t>(frame.time % 1'000'000'000));
  put_le32(at + 8, frame.captured);
  put_le32(at + 12, frame.original);
  if (frame.captured > 0) std::memcpy(at + record_header, frame.octets, frame.captured);
  ++count_;
  return true;
}

void PcapOutput::close(int64_t now, Outputs& outputs) {
  if (size_ > 0) {
    outputs.add({octets_, size_, 0, count_, now / 1'000'000'000});
  } else {
    std::free(octets_);
  }
  octets_ = nullptr;
  capacity_ = size_ = 0;
  count_ = 0;
}

void PcapOutput::finish(uint32_t link_type, int64_t now, Outputs& outputs) {
  if (!begun_) begin(link_type, now, outputs);
  close(now, outputs);
}

}  // namespace darta
