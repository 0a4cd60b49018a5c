// Shares that change while packets come: plans go in, findings come out.
#include "binding/share.h"

#include "binding/binding.h"
#include "binding/handles.h"

namespace darta {

template <>
constexpr napi_type_tag tag_of<ShareKeeper> = {0x73686172652d6461, 0x7274612d6b656570};

namespace {

constexpr double ns_per_ms = 1e6;
/// Later than any packet: 2^62 ns is the year 2116.
constexpr double last_ms = 4.6e12;

/// Milliseconds, also infinite ones, as nanoseconds.
int64_t nanoseconds(double ms) {
  if (!(ms > 0)) return 0;
  // The product as a double would not be exact: nanoseconds since 1970 have more than 53 bits.
  const auto full = static_cast<int64_t>(std::min(ms, last_ms));
  const double rest = ms < last_ms ? ms - static_cast<double>(full) : 0;
  return full * 1'000'000 + static_cast<int64_t>(rest * ns_per_ms);
}

bool slots_property(napi_env env, napi_value object, const char* name, SlotOctets& slots) {
  const auto octets = elements_property<uint8_t>(env, object, name);
  if (!octets || octets->size() != group_slots) return false;
  std::memcpy(slots.data(), octets->data(), group_slots);
  return true;
}

/// Calls `read` with each element of the array that is a property.
template <class Read>
bool each_of(napi_env env, napi_value object, const char* name, Read read) {
  napi_value array = nullptr;
  uint32_t count = 0;
  if (napi_get_named_property(env, object, name, &array) != napi_ok ||
      napi_get_array_length(env, array, &count) != napi_ok)
    return false;
  for (uint32_t i = 0; i < count; ++i) {
    napi_value one = nullptr;
    if (napi_get_element(env, array, i, &one) != napi_ok || !read(one)) return false;
  }
  return true;
}

/// shareCreate({ringOctets, ringMs, headerOctets}): a keeper
napi_value share_create(napi_env env, napi_callback_info info) {
  const Arguments<1> given(env, info);
  if (given.count != 1) return fail(env, "shareCreate(options)");
  ShareOptions options;
  options.ring_octets = whole_property(env, given[0], "ringOctets", size_t{1} << 36);
  options.ring_time = nanoseconds(number_property(env, given[0], "ringMs"));
  options.header_octets = whole_property<uint32_t>(env, given[0], "headerOctets", 262144);
  return new_handle(env, std::make_shared<ShareKeeper>(options));
}

/// sharePlan(keeper, {addresses, protocol, ports, seed, guardMs, views, orders})
napi_value share_plan(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  if (arguments.count != 2) return fail(env, "sharePlan(keeper, plan)");
  const auto keeper = keeper_of(env, arguments[0]);
  const napi_value given = arguments[1];
  SharePlan plan;
  plan.selector.addresses = whole_property<ShareAddresses>(env, given, "addresses", 2);
  plan.selector.protocol = flag_property(env, given, "protocol");
  plan.selector.ports = flag_property(env, given, "ports");
  plan.seed = whole_property<uint32_t>(env, given, "seed");
  plan.guard = nanoseconds(number_property(env, given, "guardMs"));
  const bool views = each_of(env, given, "views", [&](napi_value one) {
    EpochView view;
    view.epoch = whole_property<uint32_t>(env, one, "epoch");
    view.at = nanoseconds(number_property(env, one, "at"));
    view.band_end = nanoseconds(number_property(env, one, "bandEnd"));
    const bool read = slots_property(env, one, "roles", view.roles) &&
                      slots_property(env, one, "classes", view.classes);
    plan.views.push_back(view);
    return read;
  });
  const bool orders = each_of(env, given, "orders", [&](napi_value one) {
    RecoveryOrder order;
    order.id = whole_property<uint32_t>(env, one, "id");
    order.from = nanoseconds(number_property(env, one, "from"));
    order.to = nanoseconds(number_property(env, one, "to"));
    order.own = flag_property(env, one, "own");
    const bool read = slots_property(env, one, "slots", order.slots);
    plan.orders.push_back(order);
    return read;
  });
  if (!keeper || !views || !orders) return fail(env, "sharePlan(keeper, plan)");
  keeper->set_plan(std::move(plan));
  return nullptr;
}

/// shareLease(keeper, ms)
napi_value share_lease(napi_env env, napi_callback_info info) {
  const Arguments<2> arguments(env, info);
  double ms = 0;
  if (arguments.count != 2 || napi_get_value_double(env, arguments[1], &ms) != napi_ok)
    return fail(env, "shareLease(keeper, ms)");
  if (const auto keeper = keeper_of(env, arguments[0])) keeper->set_lease(nanoseconds(ms));
  return nullptr;
}

/// A BigUint64Array with room for `count` words.
uint64_t* words(napi_env env, napi_value object, const char* name, size_t count) {
  uint64_t* room = nullptr;
  const napi_value array = new_array(env, count, room);
  if (array == nullptr || napi_set_named_property(env, object, name, array) != napi_ok)
    return nullptr;
  return room;
}

/// shareTake(keeper): NativeShareFindings of src/io/native.ts
napi_value share_take(napi_env env, napi_callback_info info) {
  napi_value result = nullptr;
  ShareKeeper* const keeper = thing_of<ShareKeeper>(env, info);
  if (keeper == nullptr || napi_create_object(env, &result) != napi_ok)
    return fail(env, "shareTake(keeper)");
  const ShareFindings found = keeper->take();
  uint64_t* row = words(env, result, "rows", found.rows.size() * 8);
  uint64_t* listed = words(env, result, "listed", found.listed.size() * 7);
  uint64_t* number = words(env, result, "counters", share_marks + 6);
  if ((row == nullptr && !found.rows.empty()) || (listed == nullptr && !found.listed.empty()) ||
      number == nullptr)
    return fail(env, "no findings");
  for (const ShareRow& one : found.rows) {
    const uint64_t values[8] = {one.epoch,       static_cast<uint64_t>(one.start),
                                one.owner,       one.share_class,
                                one.sum.packets, one.sum.octets,
                                one.sum.sum,     one.sum.exclusive};
    std::memcpy(row, values, sizeof values);
    row += 8;
  }
  for (const ListedPacket& one : found.listed) {
    const uint64_t values[7] = {one.epoch, one.slot,   one.mark,
                                one.order, one.octets, static_cast<uint64_t>(one.time),
                                one.digest};
    std::memcpy(listed, values, sizeof values);
    listed += 7;
  }
  for (const uint64_t taken : found.counters.taken) *number++ = taken;
  *number++ = found.counters.taken_octets;
  *number++ = found.counters.kept;
  *number++ = found.counters.kept_lost;
  *number++ = found.counters.held;
  *number++ = found.counters.foreign;
  *number = static_cast<uint64_t>(found.closed / 1'000'000);
  return result;
}

/// shareSort(keeper, octets, offsets: Uint32Array, timesMs: Float64Array, linkType, decisions:
/// Uint8Array): what a thread would do with frames; a mark, 254 for another node's, 255 for kept.
napi_value share_sort(napi_env env, napi_callback_info info) {
  const Arguments<6> given(env, info);
  const auto keeper = given.count == 6 ? keeper_of(env, given[0]) : nullptr;
  const auto octets = elements_of<uint8_t>(env, given[1]);
  const auto offsets = elements_of<uint32_t>(env, given[2]);
  const auto times = elements_of<double>(env, given[3]);
  const auto decisions = elements_of<uint8_t>(env, given[5]);
  uint32_t link_type = 0;
  bool good = keeper != nullptr && octets && offsets && times && decisions &&
              napi_get_value_uint32(env, given[4], &link_type) == napi_ok &&
              offsets->size() == times->size() + 1 && decisions->size() == times->size();
  for (size_t i = 0; good && i < times->size(); ++i)
    good = (*offsets)[i] <= (*offsets)[i + 1] && (*offsets)[i + 1] <= octets->size();
  if (!good) return fail(env, "shareSort: wrong arguments");
  ShareSorter& sorter = keeper->add_sorter();
  static_cast<void>(sorter.refresh());
  uint64_t kept = 0;
  const uint32_t* const at = offsets->data();
  for (size_t i = 0; i < times->size(); ++i) {
    Frame frame{};
    frame.octets = octets->data() + at[i];
    frame.captured = frame.original = at[i + 1] - at[i];
    frame.link_type = link_type;
    frame.time = nanoseconds((*times)[i]);
    sorter.sort({&frame, 1});
    uint8_t decision = 254;
    for (size_t mark = 0; mark < share_marks; ++mark) {
      if (!sorter.taken(mark).empty()) decision = static_cast<uint8_t>(mark);
    }
    if (sorter.kept() > kept) decision = 255;
    kept = sorter.kept();
    (*decisions)[i] = decision;
  }
  sorter.finish();
  sorter.publish();
  return nullptr;
}

}  // namespace

std::shared_ptr<ShareKeeper> keeper_of(napi_env env, napi_value value) {
  const auto* const handle = handle_of<ShareKeeper>(env, value);
  return handle == nullptr ? nullptr : handle->thing;
}

void register_share(napi_env env, napi_value exports) {
  export_functions(env, exports,
                   {{"shareCreate", share_create},
                    {"sharePlan", share_plan},
                    {"shareLease", share_lease},
                    {"shareTake", share_take},
                    {"shareSort", share_sort}});
}

}  // namespace darta
