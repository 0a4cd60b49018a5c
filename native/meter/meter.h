// The Metering Process over one capture. docs/METERING.md says what it does; src/metering/meter.ts
// how it is used.
#pragma once
#include <memory>
#include <string>
#include <utility>

#include "capture/file.h"
#include "capture/reader.h"
#include "meter/dissect.h"
#include "meter/pcap_output.h"
#include "meter/records.h"
#include "meter/wheel.h"
#include "select/share_hash.h"

namespace darta {

enum class Emit : uint8_t { flows, packets, pcap };
enum class OnFull : uint8_t { evict, drop, fail };

/// The part of the frames that is metered.
struct MeterShare {
  enum class By : uint8_t { all, hash, turn };
  By by = By::all;
  ShareSelector selector;
  uint32_t seed = 0;
  /// One octet for each slot: whether it is ours.
  std::vector<uint8_t> owned;
  /// In turn: frames `first` to `last`, from 0, of each `parts`.
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t parts = 1;
};

/// As in src/metering/meter.ts; times in nanoseconds.
struct MeterOptions {
  Emit emit = Emit::flows;
  /// KeyPart bits.
  uint32_t key = key_5tuple | key_vlan | key_tunnel;
  bool biflow = false;
  bool decap = false;
  int64_t idle_timeout = 60'000'000'000;
  int64_t active_timeout = 300'000'000'000;
  int64_t tcp_fin_timeout = 5'000'000'000;
  int64_t tcp_rst_timeout = 5'000'000'000;
  uint64_t max_memory = 0;
  uint64_t max_flows = 0;
  OnFull on_full = OnFull::evict;
  uint32_t section_octets = 64;
  /// Frames to read; 0: no limit.
  uint64_t max_frames = 0;
  uint64_t seed = 0;
  MeterShare share;
  /// Value of dartaShareMark in all records.
  uint8_t mark = 0;
  std::vector<FieldSpecifier> v4;
  std::vector<FieldSpecifier> v6;
};

enum class MeterStatus : uint8_t { ok, bad_format, table_full, file_shrunk };

struct Reason {
  std::string name;
  uint64_t count;
  uint64_t first_offset;
};

struct MeterCounters {
  uint64_t frames = 0;
  uint64_t ip_packets = 0;
  uint64_t ip_octets = 0;
  uint64_t input_octets = 0;
  uint64_t flows_created = 0;
  uint64_t flows_exported = 0;
  uint64_t flows_live = 0;
  uint64_t flows_evicted = 0;
  uint64_t memory_octets = 0;
  /// Nanoseconds since 1970; −1 before the first frame.
  int64_t first_time = -1;
  int64_t last_time = -1;
  /// Σ octets of lost frames, and their earliest and latest time; −1 where none has one.
  uint64_t lost_octets = 0;
  int64_t first_lost = -1;
  int64_t last_lost = -1;
  std::vector<Reason> skipped;
  std::vector<Reason> lost;
};

class Meter {
 public:
  /// A meter, or nullptr and why not.
  [[nodiscard]] static std::unique_ptr<Meter> create(const MeterOptions& options,
                                                     std::string& error);

  /// Takes the next octets of the capture, cut anywhere.
  [[nodiscard]] MeterStatus push(Octets octets);
  /// Ends the capture; another may follow.
  [[nodiscard]] MeterStatus end_capture();
  /// Maps a file to be read by `step`, as the next capture; 0 or an errno.
  [[nodiscard]] int open(const char* path, MeterStatus& status);
  /// Meters about `octets` of the opened file; `done` at its end, or when no more is wanted.
  [[nodiscard]] MeterStatus step(size_t octets, bool& done);
  /// What the capture of the last `bad_format` began with.
  [[nodiscard]] CaptureReader::Beginning bad_beginning() const noexcept { return bad_beginning_; }
  /// Frames will come by `take`, if any come. Of several meters' `--emit pcap` one file is made, of this
  /// link type: its header is written by whoever has the meters.
  void expect(uint32_t link_type) noexcept {
    begun_ = true;
    pcap_.follow(link_type);
  }
  /// Meters frames that come from elsewhere than a capture; they must stay valid during the call.
  [[nodiscard]] MeterStatus take(std::span<const Frame> frames);
  /// Moves the clock (nanoseconds since 1970) when no frame does, so that Flows of a quiet link
  /// end.
  void tick(int64_t time);
  /// The greatest time so far.
  [[nodiscard]] int64_t clock() const noexcept { return clock_; }
  /// The host's clock was set back to this time: ends all Flows, and goes on from there.
  void set_back(int64_t time);
  /// Frames so far.
  [[nodiscard]] uint64_t frames() const noexcept { return frames_; }
  /// Whether the limit of frames is reached.
  [[nodiscard]] bool full() const noexcept {
    return options_.max_frames != 0 && frames_ >= options_.max_frames;
  }
  /// End of input: exports all Flows. After `bad_format` it may be called again to do so.
  [[nodiscard]] MeterStatus finish();
  /// Closes partly filled buffers.
  void flush();
  /// Whether there are any.
  [[nodiscard]] bool pending() const noexcept {
    return !buffers_[0].empty() || !buffers_[1].empty() || !pcap_.empty();
  }
  /// The buffers filled since the last call.
  [[nodiscard]] std::vector<Output> take_outputs() noexcept { return outputs_.take(); }
  [[nodiscard]] MeterCounters counters() const;

 private:
  static constexpr unsigned batch_packets = 64;
  static constexpr uint64_t never = UINT64_MAX;

  enum class Loss : uint8_t {
    truncated,
    malformed,
    unknown_interface,
    ip_version,
    ip_header_short,
    flow_table_full,
    link_type_differs,
  };
  static constexpr size_t loss_count = 7;

  /// What CaptureReader tells frames to, one for each Emit.
  template <Emit emit>
  struct Sink;

  /// An entry of the heap: the Flow in `slot` may end at `deadline`.
  struct Next {
    uint64_t deadline;
    uint32_t serial;
    uint32_t slot;
    uint32_t tick;
  };

  struct Plan {
    RecordProgram programs[2];
    /// Fields of Packet that only some options need are needed.
    bool rich = false;
    bool extra = false;
    bool link = false;
    bool link_in_key = false;
    uint64_t flow_limit = 0;
  };

  Meter(const MeterOptions& options, Plan plan);
  [[nodiscard]] static uint64_t flow_limit(const MeterOptions& options, const Plan& plan) noexcept;

  template <Emit emit>
  void take_each(std::span<const Frame> frames);
  MeterStatus read(Octets octets, bool last, Progress& progress);
  /// Whether the frame is of our share.
  [[nodiscard]] bool ours(const Frame& frame) noexcept;
  /// `time`: −1 if it has none.
  void lose(Loss loss, uint64_t offset, uint64_t octets, int64_t time) noexcept;
  void count(Verdict verdict, const Frame& frame);
  void move_clock(int64_t time) noexcept;

  template <bool biflow, bool rich>
  void meter_batch();
  template <bool biflow, bool rich>
  void meter_packet(const Packet& packet);
  void run_batch() {
    if (batch_count_ > 0) (this->*meter_batch_)();
    batch_count_ = 0;
  }
  void report(const Packet& packet);

  [[nodiscard]] uint32_t tag_of(const KeyWords& key, const Link& link) const noexcept;
  [[nodiscard]] uint32_t tag_of_slot(uint32_t slot) const noexcept;
  [[nodiscard]] bool same_link(uint32_t slot, const Link& link, bool turned) const noexcept;

  template <bool biflow, bool rich>
  void begin(uint32_t slot, const Packet& packet);
  template <bool biflow, bool rich>
  void update(uint32_t slot, const Packet& packet, bool turned);
  void note_tcp_end(Flow& flow, uint16_t tcp_flags, bool turned) const noexcept;

  [[nodiscard]] bool expired(const Flow& flow, int64_t clock) const noexcept;
  [[nodiscard]] uint64_t deadline(const Flow& flow) const noexcept;
  [[nodiscard]] uint8_t expiry_reason(const Flow& flow) const noexcept;
  [[nodiscard]] uint8_t ending_reason(const Flow& flow) const noexcept;

  void advance(int64_t clock);
  void file(uint32_t slot, uint64_t deadline);
  void file_earlier(uint32_t slot);
  void push_next(uint32_t slot, uint64_t deadline, uint64_t tick);
  [[nodiscard]] bool pop_next(Next& next);
  void load_next(uint64_t tick);
  void expire_next(int64_t clock);
  [[nodiscard]] bool make_room(int64_t clock);
  void evict();
  void visit(uint64_t tick, const uint32_t* slots, uint32_t count, uint64_t clock);

  void export_flow(uint32_t slot, uint8_t reason);
  void remove(uint32_t slot);

  MeterOptions options_;
  Plan plan_;
  HashSeeds seeds_;
  CaptureReader reader_;
  Dissector dissector_;
  FlowTable table_;
  Wheel wheel_;
  SetBuffer buffers_[2] = {SetBuffer(0), SetBuffer(1)};
  PcapOutput pcap_;
  Outputs outputs_;
  MappedFile file_;
  size_t file_position_ = 0;
  /// Octets of a record that is not whole yet, from `carry_at_` on; `need_` are needed of it.
  std::vector<uint8_t> carry_;
  size_t carry_at_ = 0;
  size_t need_ = 0;

  void (Meter::*meter_batch_)() = nullptr;
  unsigned batch_count_ = 0;
  /// Packets dissected before the first of them is metered; 1 where a full table must stop the
  /// reading at once.
  unsigned batch_size_ = batch_packets;
  std::unique_ptr<Packet[]> batch_;

  /// Bits of tcp_flags that may end a Flow; 0 where the key has not all of the 5-tuple.
  uint16_t ending_flags_ = 0;
  /// Octets of Link that are of the key.
  uint64_t link_mask_[2] = {0, 0};
  bool serials_ = false;
  uint32_t next_serial_ = 0;

  int64_t clock_ = -1;
  int64_t first_time_ = -1;
  /// First clock at which the wheel has to move.
  uint64_t next_tick_ = 0;
  /// Flows filed under ticks before this one are in `next_`, a heap, and not in the wheel.
  uint64_t next_end_ = 0;
  std::vector<Next> next_;

  bool started_ = false;
  /// All Flows are being ended, because the clock was set back.
  bool sets_back_ = false;
  /// Link type of the first capture that said.
  std::optional<uint32_t> link_type_;
  CaptureReader::Beginning bad_beginning_;
  bool begun_ = false;
  bool in_capture_ = false;
  /// The capture cannot be read on.
  bool broken_ = false;
  bool table_full_ = false;
  bool finished_ = false;
  uint64_t frames_ = 0;
  /// Frames of other shares; no part of frames_.
  uint64_t others_ = 0;
  /// Of frames_: those that are in no turn, because they could not be read.
  uint64_t unread_ = 0;
  /// Frames at which reading stops.
  uint64_t frame_limit_ = UINT64_MAX;
  uint64_t input_octets_ = 0;
  uint64_t lost_octets_ = 0;
  int64_t first_lost_ = -1;
  int64_t last_lost_ = -1;
  uint64_t ip_packets_ = 0;
  uint64_t ip_octets_ = 0;
  uint64_t flows_created_ = 0;
  uint64_t flows_exported_ = 0;
  uint64_t flows_evicted_ = 0;
  uint64_t skipped_[verdict_count] = {};
  uint64_t lost_[loss_count] = {};
  uint64_t first_offset_[loss_count] = {};
  /// By Ethertype; made with the first unknown one.
  std::unique_ptr<uint64_t[]> ethertypes_;
  std::vector<uint16_t> seen_ethertypes_;
  std::vector<std::pair<uint32_t, uint64_t>> link_types_;
};

}  // namespace darta
