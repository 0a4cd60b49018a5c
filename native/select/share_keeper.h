// Shares that change while packets come: decides by each packet's slot and capture time what a node
// does with it, keeps what it may have to take over, and accounts for all it saw and took.
// src/metering/coordination/division.ts is the same decision in TypeScript, and says why.
#pragma once
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <vector>

#include "capture/reader.h"
#include "select/share_hash.h"

namespace darta {

inline constexpr size_t group_slots = 256;
using SlotOctets = std::array<uint8_t, group_slots>;

/// Bits of EpochView::roles.
enum ShareRole : uint8_t {
  role_owner = 1,
  role_standby = 2,
  role_contested = 4,
  role_changed = 8,
};

/// How a packet came to be taken: MARKS of division.ts.
enum ShareMark : uint8_t {
  mark_own = 0,
  mark_giving = 1,
  mark_receiving = 2,
  mark_recovered = 3,
  mark_unconfirmed = 4,
};
inline constexpr size_t share_marks = 5;
/// In a list: seen and kept, not taken.
inline constexpr uint8_t mark_seen = 255;

/// Times in nanoseconds since 1970.
struct EpochView {
  uint32_t epoch = 0;
  int64_t at = 0;
  int64_t band_end = 0;
  SlotOctets roles{};
  /// Slots with the same owners and standby have the same number: what is accounted for together.
  SlotOctets classes{};
};

struct RecoveryOrder {
  /// Whoever gave the order knows by it which node died.
  uint32_t id = 0;
  int64_t from = 0;
  int64_t to = 0;
  bool own = false;
  SlotOctets slots{};
};

struct SharePlan {
  ShareSelector selector;
  uint32_t seed = 0;
  int64_t guard = 0;
  /// By `at`.
  std::vector<EpochView> views;
  std::vector<RecoveryOrder> orders;
};

/// Count, sum and exclusive or of packet digests: adding up and in no order.
struct DigestSum {
  uint64_t packets = 0;
  uint64_t octets = 0;
  uint64_t sum = 0;
  uint64_t exclusive = 0;

  void add(uint64_t digest, uint32_t size) noexcept {
    ++packets;
    octets += size;
    sum += digest;
    exclusive ^= digest;
  }
};

/// What passed in one span of time, of one class in one epoch.
struct ShareRow {
  uint32_t epoch;
  int64_t start;
  bool owner;
  uint8_t share_class;
  DigestSum sum;
};

/// A packet around an instant at which its slot changed hands, or one that was recovered.
struct ListedPacket {
  /// The epoch that began at the instant; 0: none did, the packet was recovered.
  uint32_t epoch;
  uint8_t slot;
  uint8_t mark;
  uint32_t order;
  uint32_t octets;
  int64_t time;
  uint64_t digest;
};

struct ShareCounters {
  std::array<uint64_t, share_marks> taken{};
  uint64_t taken_octets = 0;
  /// Packets that came to be kept, and those that had to go before their time for want of room.
  uint64_t kept = 0;
  uint64_t kept_lost = 0;
  /// Kept now.
  uint64_t held = 0;
  /// Passed the filter, but are another node's.
  uint64_t foreign = 0;
};

struct ShareOptions {
  /// Octets that each thread's kept packets may take; 0: none are kept.
  size_t ring_octets = 0;
  int64_t ring_time = 0;
  /// Octets of each packet that are kept.
  uint32_t header_octets = 256;
};

/// What the threads have found, for who reports.
struct ShareFindings {
  std::vector<ShareRow> rows;
  std::vector<ListedPacket> listed;
  /// All frames before this are in the rows and, once the buffers filled by then are written, out;
  /// the least of all threads. 0: unknown.
  int64_t closed = 0;
  ShareCounters counters;
};

class ShareKeeper;

/// The part of one thread.
class ShareSorter {
 public:
  explicit ShareSorter(ShareKeeper& keeper) noexcept : keeper_(keeper) {}
  ShareSorter(const ShareSorter&) = delete;
  ShareSorter& operator=(const ShareSorter&) = delete;

  /// Takes over a changed plan; whether `taken` then has packets that it says to recover. They must
  /// be metered before the next call of `sort`.
  [[nodiscard]] bool refresh();
  /// Sorts frames; `taken` then has those to be metered, by mark, until the next call.
  void sort(std::span<const Frame> frames);
  [[nodiscard]] const std::vector<Frame>& taken(size_t mark) const noexcept { return taken_[mark]; }
  /// Ends the spans of time that are over. `clock`: no frame from before it comes any more.
  void close(int64_t clock);
  /// The latest frame so far; −1 before the first.
  [[nodiscard]] int64_t latest() const noexcept { return latest_; }
  /// Packets that came to be kept so far.
  [[nodiscard]] uint64_t kept() const noexcept { return counters_.kept; }
  /// Hands the findings to the keeper. All that was taken before the last `close` must be in filled
  /// buffers.
  void publish();
  /// At the end: closes all.
  void finish() { close(INT64_MAX); }

  /// Frames may come so much later than a later one: other interfaces' blocks, CPUs that are busy.
  static constexpr int64_t disorder = 150'000'000;
  static constexpr int64_t span = 100'000'000;

 private:
  friend class ShareKeeper;

  struct Bucket {
    uint32_t epoch;
    int64_t start;
    std::array<std::array<DigestSum, group_slots>, 2> sums;
  };
  struct Kept {
    uint64_t position;
    uint32_t captured;
    uint32_t original;
    uint32_t link_type;
    uint32_t interface;
    int64_t time;
    uint64_t digest;
    uint8_t slot;
    bool recovered;
  };

  void adopt();
  /// A plan without views: the clock was set, and what came before has times of another one.
  void start_anew();
  void sort_one(const Frame& frame);
  void keep(const Frame& frame, uint8_t slot, uint64_t digest);
  void drop_oldest() noexcept;
  void recover(const RecoveryOrder& order);
  [[nodiscard]] Bucket& bucket(uint32_t epoch, int64_t time);
  void give(uint8_t mark, const Frame& frame);
  void list(uint32_t epoch, uint8_t slot, uint8_t mark, uint32_t order, const Frame& frame,
            uint64_t digest);

  ShareKeeper& keeper_;
  std::shared_ptr<const SharePlan> plan_;
  unsigned version_ = 0;
  int64_t lease_ = 0;
  uint32_t last_order_ = 0;
  std::array<std::vector<Frame>, share_marks> taken_;
  int64_t latest_ = -1;
  int64_t closed_ = 0;
  std::vector<std::unique_ptr<Bucket>> open_;
  std::vector<std::unique_ptr<Bucket>> spare_;

  /// Kept packets, oldest first from `first_kept_` on; their octets lie in a ring.
  std::vector<uint8_t> ring_;
  std::vector<Kept> kept_;
  size_t first_kept_ = 0;
  uint64_t ring_head_ = 0;
  uint64_t ring_tail_ = 0;

  std::vector<ShareRow> rows_;
  std::vector<ListedPacket> listed_;
  ShareCounters counters_;
};

/// What all threads of a capture share.
class ShareKeeper {
 public:
  explicit ShareKeeper(const ShareOptions& options) : options_(options) {}

  /// The sorter of one more thread; before any thread runs.
  [[nodiscard]] ShareSorter& add_sorter();
  /// Puts a plan in force. Orders with numbers that were there before are not carried out again.
  void set_plan(SharePlan plan);
  /// Up to this capture time (ns since 1970) the coordinator counts on this node.
  void set_lease(int64_t until) noexcept { lease_.store(until); }
  [[nodiscard]] ShareFindings take();
  [[nodiscard]] const ShareOptions& options() const noexcept { return options_; }

 private:
  friend class ShareSorter;
  struct Published {
    std::vector<ShareRow> rows;
    std::vector<ListedPacket> listed;
    int64_t closed = 0;
    ShareCounters counters;
  };

  ShareOptions options_;
  std::vector<std::unique_ptr<ShareSorter>> sorters_;
  std::mutex mutex_;
  std::shared_ptr<const SharePlan> plan_;
  std::vector<Published> published_;
  std::atomic<unsigned> version_{0};
  std::atomic<int64_t> lease_{0};
};

}  // namespace darta
