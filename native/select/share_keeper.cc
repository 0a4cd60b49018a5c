#include "select/share_keeper.h"

#include <algorithm>
#include <cstring>

#include "select/packet_digest.h"

namespace darta {
namespace {

/// What a node does with a packet.
struct Decision {
  bool take = false;
  bool keep = false;
  uint8_t mark = mark_own;
  /// The epoch in force; SIZE_MAX: none yet.
  size_t view = SIZE_MAX;
};

/// decide() of division.ts.
Decision decide(const SharePlan& plan, int64_t lease, size_t slot, int64_t time) noexcept {
  const auto& views = plan.views;
  size_t next = views.size();
  while (next > 0 && views[next - 1].at > time) --next;
  bool some = false;
  bool all = true;
  bool earliest = false;
  const auto include = [&](const EpochView* view) {
    const bool owner = view != nullptr && (view->roles[slot] & role_owner) != 0;
    some = some || owner;
    all = all && owner;
    earliest = owner;
  };
  const bool has_next = next < views.size();
  const bool near_next = has_next && time >= views[next].at - plan.guard;
  if (near_next && (views[next].roles[slot] & role_contested) != 0) {
    include(&views[next]);
    if (next == 0) include(nullptr);
  }
  if (next > 0) include(&views[next - 1]);
  for (size_t k = next; k-- > 0;) {
    if ((views[k].roles[slot] & role_contested) != 0 && time < views[k].band_end)
      include(k > 0 ? &views[k - 1] : nullptr);
  }
  Decision decision;
  if (next > 0) decision.view = next - 1;
  if (some) {
    decision.take = true;
    if (!all) {
      decision.mark = earliest ? mark_giving : mark_receiving;
    } else {
      decision.mark = time >= lease ? mark_unconfirmed : mark_own;
    }
    return decision;
  }
  const auto standby = [&](size_t k) { return (views[k].roles[slot] & role_standby) != 0; };
  decision.keep = (next > 0 && standby(next - 1)) ||
                  (next > 1 && time < views[next - 1].at + plan.guard && standby(next - 2)) ||
                  (near_next && standby(next));
  return decision;
}

/// The epoch that begins near `time` and changes who has the slot; 0 for none.
uint32_t changing(const SharePlan& plan, size_t view, size_t slot, int64_t time,
                  bool contested) noexcept {
  const size_t next = view == SIZE_MAX ? 0 : view + 1;
  if (next < plan.views.size()) {
    const EpochView& v = plan.views[next];
    if ((v.roles[slot] & role_changed) != 0 && time >= v.at - plan.guard) return v.epoch;
  }
  for (size_t k = next; k-- > 0;) {
    const EpochView& v = plan.views[k];
    if ((v.roles[slot] & role_changed) == 0) continue;
    if (time < v.at + plan.guard) return v.epoch;
    // As long as not all have the plan, both take it.
    if (contested && (v.roles[slot] & role_contested) != 0 && time < v.band_end) return v.epoch;
  }
  return 0;
}

bool falls_under(const RecoveryOrder& order, size_t slot, int64_t time, bool kept) noexcept {
  if (order.slots[slot] == 0 || time < order.from) return false;
  return time < order.to || (kept && order.own);
}

}  // namespace

bool ShareSorter::refresh() {
  for (auto& list : taken_) list.clear();
  if (version_ == keeper_.version_.load(std::memory_order_acquire)) return false;
  adopt();
  return !taken_[mark_recovered].empty();
}

void ShareSorter::sort(std::span<const Frame> frames) {
  for (auto& list : taken_) list.clear();
  lease_ = keeper_.lease_.load(std::memory_order_relaxed);
  for (const Frame& frame : frames) sort_one(frame);
}

void ShareSorter::adopt() {
  {
    const std::lock_guard lock(keeper_.mutex_);
    plan_ = keeper_.plan_;
    version_ = keeper_.version_.load();
  }
  if (plan_->views.empty()) start_anew();
  if (ring_.empty() && keeper_.options_.ring_octets > 0) ring_.resize(keeper_.options_.ring_octets);
  for (const RecoveryOrder& order : plan_->orders) {
    if (order.id <= last_order_) continue;
    last_order_ = order.id;
    recover(order);
  }
}

void ShareSorter::start_anew() {
  close(INT64_MAX);
  while (first_kept_ < kept_.size()) drop_oldest();
  latest_ = -1;
  closed_ = 0;
}

void ShareSorter::sort_one(const Frame& frame) {
  latest_ = std::max(latest_, frame.time);
  if (!plan_) {
    ++counters_.foreign;
    return;
  }
  const SharePlan& plan = *plan_;
  const std::span<const uint8_t> octets(frame.octets, frame.captured);
  const SharePlace place = share_place(octets, frame.link_type, plan.selector, plan.seed);
  const auto slot = static_cast<uint8_t>(place.slot * group_slots / share_slots);
  const Decision decision = decide(plan, lease_, slot, frame.time);
  const RecoveryOrder* order = nullptr;
  if (!decision.take) {
    for (const RecoveryOrder& one : plan.orders) {
      if (falls_under(one, slot, frame.time, false)) order = &one;
    }
  }
  if (!decision.take && !decision.keep && order == nullptr) {
    ++counters_.foreign;
    return;
  }
  const uint64_t digest = packet_digest(octets, place.ip);
  const bool contested = decision.mark == mark_giving || decision.mark == mark_receiving;
  const uint32_t epoch = changing(plan, decision.view, slot, frame.time, contested);
  // Who keeps nothing saw only a part, and is no witness.
  if (epoch == 0 && decision.view != SIZE_MAX && (decision.take || decision.keep)) {
    const EpochView& view = plan.views[decision.view];
    bucket(view.epoch, frame.time)
        .sums[decision.take ? 1 : 0][view.classes[slot]]
        .add(digest, frame.original);
  }
  if (decision.take) {
    if (epoch != 0) list(epoch, slot, decision.mark, 0, frame, digest);
    give(decision.mark, frame);
    return;
  }
  if (epoch != 0) list(epoch, slot, mark_seen, 0, frame, digest);
  if (order != nullptr) {
    list(0, slot, mark_recovered, order->id, frame, digest);
    give(mark_recovered, frame);
    return;
  }
  keep(frame, slot, digest);
}

void ShareSorter::give(uint8_t mark, const Frame& frame) {
  taken_[mark].push_back(frame);
  ++counters_.taken[mark];
  counters_.taken_octets += frame.original;
}

void ShareSorter::list(uint32_t epoch, uint8_t slot, uint8_t mark, uint32_t order,
                       const Frame& frame, uint64_t digest) {
  listed_.push_back({epoch, slot, mark, order, frame.original, frame.time, digest});
}

void ShareSorter::keep(const Frame& frame, uint8_t slot, uint64_t digest) {
  ++counters_.kept;
  const uint32_t size = std::min(frame.captured, keeper_.options_.header_octets);
  while (first_kept_ < kept_.size() &&
         kept_[first_kept_].time < frame.time - keeper_.options_.ring_time)
    drop_oldest();
  // A packet lies in one piece: what is left at the ring's end stays empty.
  uint64_t head = ring_head_;
  if (size > ring_.size()) {
    ++counters_.kept_lost;
    return;
  }
  if (head % ring_.size() + size > ring_.size()) head += ring_.size() - head % ring_.size();
  while (head + size - ring_tail_ > ring_.size()) {
    if (first_kept_ == kept_.size()) {
      ring_tail_ = head;
      break;
    }
    drop_oldest();
    ++counters_.kept_lost;
  }
  if (size > 0) std::memcpy(ring_.data() + head % ring_.size(), frame.octets, size);
  ring_head_ = head + size;
  kept_.push_back({head, size, frame.original, frame.link_type, frame.interface, frame.time, digest,
                   slot, false});
}

void ShareSorter::drop_oldest() noexcept {
  ++first_kept_;
  ring_tail_ = first_kept_ < kept_.size() ? kept_[first_kept_].position : ring_head_;
  // The list moves to its front now and then, which costs each packet one move.
  if (first_kept_ > 4096 && first_kept_ > kept_.size() / 2) {
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<ptrdiff_t>(first_kept_));
    first_kept_ = 0;
  }
}

void ShareSorter::recover(const RecoveryOrder& order) {
  for (size_t i = first_kept_; i < kept_.size(); ++i) {
    Kept& one = kept_[i];
    if (one.recovered || !falls_under(order, one.slot, one.time, true)) continue;
    one.recovered = true;
    Frame frame{};
    frame.octets = ring_.data() + one.position % ring_.size();
    frame.captured = one.captured;
    frame.original = one.original;
    frame.link_type = one.link_type;
    frame.interface = one.interface;
    frame.time = one.time;
    // Where it lies around an instant it was listed as seen before.
    list(0, one.slot, mark_recovered, order.id, frame, one.digest);
    give(mark_recovered, frame);
  }
}

ShareSorter::Bucket& ShareSorter::bucket(uint32_t epoch, int64_t time) {
  const int64_t start = time - time % span;
  for (auto i = open_.rbegin(); i != open_.rend(); ++i) {
    if ((*i)->start == start && (*i)->epoch == epoch) return **i;
  }
  std::unique_ptr<Bucket> fresh;
  if (spare_.empty()) {
    fresh = std::make_unique<Bucket>();
  } else {
    fresh = std::move(spare_.back());
    spare_.pop_back();
  }
  fresh->epoch = epoch;
  fresh->start = start;
  fresh->sums = {};
  open_.push_back(std::move(fresh));
  return *open_.back();
}

void ShareSorter::close(int64_t clock) {
  const int64_t until = clock == INT64_MAX ? clock : clock - disorder;
  std::erase_if(open_, [&](std::unique_ptr<Bucket>& one) {
    if (one->start > until - span) return false;
    for (size_t role = 0; role < 2; ++role) {
      for (size_t number = 0; number < group_slots; ++number) {
        const DigestSum& sum = one->sums[role][number];
        if (sum.packets == 0) continue;
        rows_.push_back({one->epoch, one->start, role == 1, static_cast<uint8_t>(number), sum});
      }
    }
    spare_.push_back(std::move(one));
    return true;
  });
  if (clock == INT64_MAX) {
    // Nothing comes any more.
    if (latest_ >= 0) closed_ = std::max(closed_, latest_ - latest_ % span + span);
    return;
  }
  if (until > 0) closed_ = std::max(closed_, until - until % span);
  while (first_kept_ < kept_.size() &&
         kept_[first_kept_].time < clock - keeper_.options_.ring_time - disorder)
    drop_oldest();
}

void ShareSorter::publish() {
  const std::lock_guard lock(keeper_.mutex_);
  for (size_t i = 0; i < keeper_.sorters_.size(); ++i) {
    if (keeper_.sorters_[i].get() != this) continue;
    ShareKeeper::Published& published = keeper_.published_[i];
    const auto move = [](auto& from, auto& to) {
      to.insert(to.end(), from.begin(), from.end());
      from.clear();
    };
    move(rows_, published.rows);
    move(listed_, published.listed);
    published.closed = closed_;
    counters_.held = kept_.size() - first_kept_;
    published.counters = counters_;
  }
}

ShareSorter& ShareKeeper::add_sorter() {
  sorters_.push_back(std::make_unique<ShareSorter>(*this));
  published_.emplace_back();
  return *sorters_.back();
}

void ShareKeeper::set_plan(SharePlan plan) {
  const std::lock_guard lock(mutex_);
  plan_ = std::make_shared<const SharePlan>(std::move(plan));
  version_.fetch_add(1, std::memory_order_release);
}

ShareFindings ShareKeeper::take() {
  const std::lock_guard lock(mutex_);
  ShareFindings all;
  all.closed = INT64_MAX;
  for (Published& one : published_) {
    all.rows.insert(all.rows.end(), one.rows.begin(), one.rows.end());
    all.listed.insert(all.listed.end(), one.listed.begin(), one.listed.end());
    one.rows.clear();
    one.listed.clear();
    all.closed = std::min(all.closed, one.closed);
    for (size_t mark = 0; mark < share_marks; ++mark)
      all.counters.taken[mark] += one.counters.taken[mark];
    all.counters.taken_octets += one.counters.taken_octets;
    all.counters.kept += one.counters.kept;
    all.counters.kept_lost += one.counters.kept_lost;
    all.counters.held += one.counters.held;
    all.counters.foreign += one.counters.foreign;
  }
  if (published_.empty()) all.closed = 0;
  return all;
}

}  // namespace darta
