// Passes on records of datagrams and Messages about which nothing needs to be decided: src/record/relay-kernel.ts says what
// goes in and out, src/mediation/relay.ts decides.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace darta {

/// Where Messages are written: `words` and `domains` are those of src/record/relay-kernel.ts.
struct RelayRoom {
  std::span<uint32_t> words;
  std::span<uint32_t> domains;
  std::span<uint8_t> block;
  std::span<uint8_t> spare;
  std::span<uint32_t> touched;
};

class Relay {
 public:
  static constexpr size_t recent_messages = 64;
  /// Sequence number expected, export time of the last Message, place in the ring, Messages in it, the ring; and when each
  /// announcement was last seen.
  static constexpr size_t most_announcements = 8;
  static constexpr size_t sequence_words = 4 + 3 * recent_messages;
  static constexpr size_t state_words = sequence_words + most_announcements;

  /// Datagrams of this sender belong to the session.
  void source(uint32_t hash, uint32_t socket, uint32_t port, std::span<const uint8_t> address,
              uint32_t session);
  /// Number of a new lane; -1 if the program does not fit.
  [[nodiscard]] int64_t lane(std::span<const uint32_t> program, std::span<const uint8_t> address);
  /// False if there is no such lane or the program does not fit.
  [[nodiscard]] bool add_template(uint32_t lane, std::span<const uint32_t> program);
  [[nodiscard]] bool announce(uint32_t lane, std::span<const uint8_t> sets);
  [[nodiscard]] bool put(uint32_t lane, std::span<const uint32_t> state) noexcept;
  [[nodiscard]] bool get(uint32_t lane, std::span<uint32_t> state) const noexcept;
  void drop(uint32_t lane);

  /// Index of the first datagram from `from` on that was not passed on; nothing if the arguments do not fit.
  [[nodiscard]] std::optional<size_t> datagrams(std::span<const uint8_t> octets,
                                                std::span<const uint32_t> datagrams, size_t from,
                                                double base_ms, const RelayRoom& room);
  /// How many datagrams from `from` on are of no lane, so that they would be left as well; 1 at least, for that one.
  [[nodiscard]] size_t left(std::span<const uint8_t> octets, std::span<const uint32_t> datagrams,
                            size_t from) noexcept;
  /// Octet of the first Message from `from` on that was not passed on; nothing if the arguments do not fit.
  [[nodiscard]] std::optional<size_t> messages(std::span<const uint8_t> octets, size_t from,
                                               uint32_t session, double ms, const RelayRoom& room);

 private:
  struct Source {
    uint32_t socket;
    uint32_t port;
    uint32_t session;
    uint32_t address_octets;
    std::array<uint8_t, 16> address;
  };
  struct Template {
    uint32_t id;
    uint32_t out_id;
    uint32_t octets;
    uint32_t parts;
    uint32_t tail_octets;
    uint32_t masks;
    std::array<uint32_t, 4> masked;
  };
  struct Lane {
    bool used = false;
    /// 5, 9 or 10
    uint32_t protocol = 0;
    uint64_t key = 0;
    /// What a datagram has where its header names the domain. NetFlow 5: the engine, which tells lanes apart, and behind it the
    /// sampling, which is the same in all.
    uint32_t word = 0;
    uint32_t domain_id = 0;
    /// Of `RelayRoom::domains`.
    uint32_t domain = 0;
    uint32_t address_octets = 0;
    std::array<uint8_t, 16> address{};
    std::array<uint32_t, state_words> state{};
    std::vector<Template> templates;
    std::vector<std::vector<uint8_t>> announcements;
    /// Its entry in `touched` in the call at hand.
    uint32_t touched = 0;
    uint64_t call = 0;
  };
  /// A Data Set that was looked at.
  struct Run {
    const Template* of;
    const uint8_t* from;
    uint32_t count;
  };
  /// What is known of a Message that was looked at.
  struct Seen {
    uint32_t export_time;
    uint32_t sequence;
    uint32_t records;
    size_t runs;
    /// Templates of its Data Sets: bits.
    uint64_t templates;
    /// Number of the announcement in it; -1: none.
    int announcement;
    /// What the header of NetFlow says, in front of the rest of the tail.
    std::array<uint8_t, 16> columns;
    uint32_t column_octets;
  };
  static constexpr size_t most_runs = 512;
  class Writer;

  [[nodiscard]] static uint64_t key_of(uint32_t session, uint32_t protocol, uint32_t word) noexcept;
  [[nodiscard]] Lane* lane_of(uint32_t session, uint32_t protocol, uint32_t word) noexcept;
  [[nodiscard]] const Source* source_of(const uint32_t* datagram) noexcept;
  /// Looks at a whole datagram or Message; false if there is something to decide.
  [[nodiscard]] bool look(const Lane& lane, const uint8_t* octets, size_t length,
                          Seen& seen) noexcept;
  [[nodiscard]] bool look_at_sets(const Lane& lane, const uint8_t* at, const uint8_t* end,
                                  Seen& seen) noexcept;
  /// Passes on one datagram or Message; false if it was left alone.
  [[nodiscard]] bool pass(uint32_t session, const uint8_t* octets, size_t length,
                          const uint8_t* end, uint64_t ms, Writer& writer);

  std::unordered_multimap<uint32_t, Source> sources_;
  std::unordered_map<uint64_t, uint32_t> by_key_;
  std::vector<Lane> lanes_;
  std::vector<uint32_t> free_;
  const Source* last_source_ = nullptr;
  uint32_t last_hash_ = 0;
  uint64_t last_key_ = 0;
  uint32_t last_lane_ = 0;
  bool has_last_ = false;
  uint64_t call_ = 0;
  std::array<Run, most_runs> runs_;
};

}  // namespace darta
