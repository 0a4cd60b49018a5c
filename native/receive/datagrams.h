// Datagrams of UDP sockets: a thread takes them from the kernel many at once and keeps them in blocks.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace darta {

struct SocketOptions {
  /// An address in numbers, IPv4 or IPv6, with its zone if it has one; empty for a descriptor that is open.
  std::string address;
  uint16_t port = 0;
  /// Octets of the kernel's buffer that are asked for.
  size_t buffer_octets = size_t{32} << 20;
  /// Of a socket that another process has bound; −1: none.
  int descriptor = -1;
};

/// What went wrong while opening: the call and its errno.
struct SocketFault {
  const char* call = nullptr;
  int error = 0;
  size_t socket = 0;
};

/// What is known of one datagram; nine numbers, so that JavaScript reads them as one array.
struct DatagramInfo {
  uint32_t offset;
  uint32_t length;
  /// Index of the socket that took it.
  uint32_t socket;
  /// Same for the same sender and socket, whatever else is.
  uint32_t hash;
  uint32_t port;
  /// 4 or 16
  uint32_t address_octets;
  /// Milliseconds since the block's base time.
  uint32_t after_ms;
  /// Of the address; 16 octets, of which the first are used.
  uint8_t address[16];
};

/// Keeps a block's octets for the next one if they are a whole block, so that its pages need not be made anew, or
/// frees them. Any thread may.
void give_back_block(uint8_t* octets, size_t size) noexcept;

/// Octets that were allocated by malloc; whoever takes the block has to free them or give them back.
struct DatagramBlock {
  uint8_t* octets = nullptr;
  size_t size = 0;
  std::vector<DatagramInfo> datagrams;
  /// Milliseconds since 1970.
  double base_ms = 0;

  /// Octets that it takes.
  [[nodiscard]] size_t memory() const noexcept {
    return size + datagrams.size() * sizeof(DatagramInfo);
  }
};

struct SocketStatistics {
  uint64_t received = 0;
  /// Datagrams that the kernel had no room for, or found damaged.
  uint64_t dropped = 0;
};

/// The queue of blocks is bounded; while it is full the thread waits, and the kernel counts what its
/// buffers cannot hold.
///
/// Who calls `advance` in time takes datagrams from the kernel itself, so that they are still in its processor's cache when it
/// looks at them; the thread then only tells it when. Where it does not come, the thread takes them, as it does for `take`.
class DatagramReceiver {
 public:
  static constexpr size_t queue_octets = size_t{32} << 20;
  /// Blocks that wait as they were filled. While more do, further ones are copied without what is unused of their slots: who is
  /// that far behind has time for it, and the queue holds more.
  static constexpr size_t queued_as_filled = 8;

  [[nodiscard]] static std::unique_ptr<DatagramReceiver> open(
      const std::vector<SocketOptions>& sockets, SocketFault& fault);
  DatagramReceiver(const DatagramReceiver&) = delete;
  DatagramReceiver& operator=(const DatagramReceiver&) = delete;
  ~DatagramReceiver();

  [[nodiscard]] size_t sockets() const noexcept { return sockets_.size(); }
  [[nodiscard]] uint16_t port(size_t socket) const noexcept;
  [[nodiscard]] size_t buffer_octets(size_t socket) const noexcept;

  /// `ready` is called, from the thread, when there is something to take and once more at the end.
  void start(std::function<void()> ready);
  /// Asks the thread to take what the kernel holds and end.
  void stop() noexcept;
  [[nodiscard]] std::vector<DatagramBlock> take();
  /// Drops the block at the front if all of it is done, and fetches the next one, from the kernel if need be. Only the
  /// thread that takes may call this and the next two.
  void advance();
  /// The oldest block, which stays until it is done; nullptr if there is none.
  [[nodiscard]] const DatagramBlock* front() const { return fetched_ ? &*fetched_ : nullptr; }
  /// The first datagram of `front` that is not done.
  [[nodiscard]] size_t& first() { return first_; }
  [[nodiscard]] bool ended() const noexcept { return ended_.load(); }
  [[nodiscard]] SocketStatistics statistics(size_t socket) const noexcept;

 private:
  struct Socket {
    int descriptor = -1;
    std::atomic<uint64_t> received{0};
    /// Drops that the kernel had counted before this process had the socket.
    uint32_t dropped_before = 0;
    /// Datagrams that may come while the thread sleeps, and those that did since.
    size_t most_in_pause = 0;
    std::atomic<size_t> since_pause{0};
  };
  struct Filling;

  DatagramReceiver();
  void run();
  /// Waits so long, or until `stop`.
  void pause(int64_t us) const noexcept;
  /// Takes what all sockets hold until the block is full; false if there is no more. `draining_` has to be held.
  bool fill(Filling& filling);
  /// Takes the oldest block of the queue, if there is one.
  void fetch_queued();
  /// Takes a block from the kernel if it is time to; nothing if not, or if the thread is at it.
  void fetch();
  /// Takes what a socket holds, as far as the block has room; returns how many datagrams.
  size_t drain(size_t index, Filling& filling);
  /// The block that was filled, or a copy of it if there is little in it or `copied`; the next one begins.
  [[nodiscard]] static DatagramBlock taken_from(Filling& filling, bool copied);
  void hand_over(Filling& filling);

  std::vector<std::unique_ptr<Socket>> sockets_;
  int wake_descriptor_ = -1;
  std::thread thread_;
  std::function<void()> ready_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};
  /// Held by who takes datagrams from the kernel and puts them into the queue, so that they stay in order.
  std::mutex draining_;
  std::unique_ptr<Filling> filling_;
  /// Set by the thread when there is something in the kernel, cleared when `fetch` has taken all of it.
  std::atomic<bool> due_{false};
  /// Whoever takes blocks calls `fetch`, and came when it was due.
  std::atomic<bool> fetches_{false};
  std::mutex mutex_;
  std::condition_variable room_;
  std::deque<DatagramBlock> queue_;
  /// The block that was fetched, and the first datagram of it that is not done.
  std::optional<DatagramBlock> fetched_;
  size_t first_ = 0;
  size_t queued_octets_ = 0;
};

}  // namespace darta
