// Shares that change while packets come: plans go in, findings come out.
#include "binding/share.h"

#include <cstring>

#include "binding/meter_values.h"

namespace darta {
namespace {

constexpr napi_type_tag keeper_tag = {0x73686172652d6461, 0x7274612d6b656570};
constexpr double ns_per_ms = 1e6;
/// Later than any packet: 2^62 ns is the year 2116.
constexpr double last_ms = 4.6e12;

napi_value fail(napi_env env, const char* what) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, "DARTA_INTERNAL", what);
  return nullptr;
}

/// Milliseconds, also infinite ones, as nanoseconds.
int64_t nanoseconds(double ms) {
  if (!(ms > 0)) return 0;
  // The product as a double would not be exact: nanoseconds since 1970 have more than 53 bits.
  const auto full = static_cast<int64_t>(std::min(ms, last_ms));
  const double rest = ms < last_ms ? ms - static_cast<double>(full) : 0;
  return full * 1'000'000 + static_cast<int64_t>(rest * ns_per_ms);
}

bool slots_property(napi_env env, napi_value object, const char* name, SlotOctets& slots) {
  napi_value value = nullptr;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_get_named_property(env, object, name, &value) != napi_ok ||
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok ||
      type != napi_uint8_array || length != group_slots)
    return false;
  std::memcpy(slots.data(), data, group_slots);
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
  napi_value given = nullptr;
  size_t count = 1;
  if (napi_get_cb_info(env, info, &count, &given, nullptr, nullptr) != napi_ok || count != 1)
    return fail(env, "shareCreate(options)");
  ShareOptions options;
  options.ring_octets = whole(number_property(env, given, "ringOctets"), size_t{1} << 36);
  options.ring_time = nanoseconds(number_property(env, given, "ringMs"));
  options.header_octets =
      static_cast<uint32_t>(whole(number_property(env, given, "headerOctets"), 262144));
  auto holder =
      std::make_unique<std::shared_ptr<ShareKeeper>>(std::make_shared<ShareKeeper>(options));
  const auto finalize = [](napi_env, void* data, void*) {
    delete static_cast<std::shared_ptr<ShareKeeper>*>(data);
  };
  napi_value result = nullptr;
  if (napi_create_external(env, holder.get(), finalize, nullptr, &result) != napi_ok)
    return fail(env, "no keeper");
  holder.release();
  return napi_type_tag_object(env, result, &keeper_tag) == napi_ok ? result : fail(env, "no tag");
}

/// sharePlan(keeper, {addresses, protocol, ports, seed, guardMs, views, orders})
napi_value share_plan(napi_env env, napi_callback_info info) {
  napi_value arguments[2] = {nullptr, nullptr};
  size_t count = 2;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2)
    return fail(env, "sharePlan(keeper, plan)");
  const auto keeper = keeper_of(env, arguments[0]);
  napi_value given = arguments[1];
  SharePlan plan;
  plan.selector.addresses =
      static_cast<ShareAddresses>(whole(number_property(env, given, "addresses"), 2));
  plan.selector.protocol = number_property(env, given, "protocol") > 0;
  plan.selector.ports = number_property(env, given, "ports") > 0;
  plan.seed = static_cast<uint32_t>(whole(number_property(env, given, "seed"), UINT32_MAX));
  plan.guard = nanoseconds(number_property(env, given, "guardMs"));
  const bool good =
      each_of(env, given, "views",
              [&](napi_value one) {
                EpochView view;
                view.epoch =
                    static_cast<uint32_t>(whole(number_property(env, one, "epoch"), UINT32_MAX));
                view.at = nanoseconds(number_property(env, one, "at"));
                view.band_end = nanoseconds(number_property(env, one, "bandEnd"));
                const bool read = slots_property(env, one, "roles", view.roles) &&
                                  slots_property(env, one, "classes", view.classes);
                plan.views.push_back(view);
                return read;
              }) &&
      each_of(env, given, "orders", [&](napi_value one) {
        RecoveryOrder order;
        order.id = static_cast<uint32_t>(whole(number_property(env, one, "id"), UINT32_MAX));
        order.from = nanoseconds(number_property(env, one, "from"));
        order.to = nanoseconds(number_property(env, one, "to"));
        order.own = number_property(env, one, "own") > 0;
        const bool read = slots_property(env, one, "slots", order.slots);
        plan.orders.push_back(order);
        return read;
      });
  if (!keeper || !good) return fail(env, "sharePlan(keeper, plan)");
  keeper->set_plan(std::move(plan));
  return nullptr;
}

/// shareLease(keeper, ms)
napi_value share_lease(napi_env env, napi_callback_info info) {
  napi_value arguments[2] = {nullptr, nullptr};
  size_t count = 2;
  double ms = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2 ||
      napi_get_value_double(env, arguments[1], &ms) != napi_ok)
    return fail(env, "shareLease(keeper, ms)");
  if (const auto keeper = keeper_of(env, arguments[0])) keeper->set_lease(nanoseconds(ms));
  return nullptr;
}

/// A BigUint64Array with room for `count` words.
uint64_t* words(napi_env env, napi_value object, const char* name, size_t count) {
  napi_value buffer = nullptr;
  napi_value array = nullptr;
  void* data = nullptr;
  if (napi_create_arraybuffer(env, count * 8, &data, &buffer) != napi_ok ||
      napi_create_typedarray(env, napi_biguint64_array, count, buffer, 0, &array) != napi_ok ||
      napi_set_named_property(env, object, name, array) != napi_ok)
    return nullptr;
  return static_cast<uint64_t*>(data);
}

/// shareTake(keeper): NativeShareFindings of src/io/native.ts
napi_value share_take(napi_env env, napi_callback_info info) {
  napi_value argument = nullptr;
  size_t count = 1;
  napi_value result = nullptr;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok ||
      napi_create_object(env, &result) != napi_ok)
    return fail(env, "shareTake(keeper)");
  const auto keeper = keeper_of(env, argument);
  if (!keeper) return fail(env, "shareTake(keeper)");
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
  napi_value arguments[6];
  size_t count = 6;
  const auto keeper =
      napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) == napi_ok && count == 6
          ? keeper_of(env, arguments[0])
          : nullptr;
  uint32_t link_type = 0;
  void* data[4] = {};
  size_t lengths[4] = {};
  static constexpr size_t places[4] = {1, 2, 3, 5};
  static constexpr napi_typedarray_type wanted[4] = {napi_uint8_array, napi_uint32_array,
                                                     napi_float64_array, napi_uint8_array};
  bool good = keeper != nullptr && napi_get_value_uint32(env, arguments[4], &link_type) == napi_ok;
  for (size_t i = 0; good && i < 4; ++i) {
    napi_typedarray_type type;
    good = napi_get_typedarray_info(env, arguments[places[i]], &type, &lengths[i], &data[i],
                                    nullptr, nullptr) == napi_ok &&
           type == wanted[i];
  }
  const auto* const at = static_cast<const uint32_t*>(data[1]);
  const size_t frames = lengths[2];
  good = good && lengths[1] == frames + 1 && lengths[3] == frames;
  for (size_t i = 0; good && i < frames; ++i) good = at[i] <= at[i + 1] && at[i + 1] <= lengths[0];
  if (!good) return fail(env, "shareSort: wrong arguments");
  ShareSorter& sorter = keeper->add_sorter();
  static_cast<void>(sorter.refresh());
  uint64_t kept = 0;
  for (size_t i = 0; i < frames; ++i) {
    Frame frame{};
    frame.octets = static_cast<const uint8_t*>(data[0]) + at[i];
    frame.captured = frame.original = at[i + 1] - at[i];
    frame.link_type = link_type;
    frame.time = nanoseconds(static_cast<const double*>(data[2])[i]);
    sorter.sort({&frame, 1});
    uint8_t decision = 254;
    for (size_t mark = 0; mark < share_marks; ++mark) {
      if (!sorter.taken(mark).empty()) decision = static_cast<uint8_t>(mark);
    }
    if (sorter.kept() > kept) decision = 255;
    kept = sorter.kept();
    static_cast<uint8_t*>(data[3])[i] = decision;
  }
  sorter.finish();
  sorter.publish();
  return nullptr;
}

}  // namespace

std::shared_ptr<ShareKeeper> keeper_of(napi_env env, napi_value value) {
  bool ours = false;
  void* data = nullptr;
  if (napi_check_object_type_tag(env, value, &keeper_tag, &ours) != napi_ok || !ours ||
      napi_get_value_external(env, value, &data) != napi_ok)
    return nullptr;
  return *static_cast<std::shared_ptr<ShareKeeper>*>(data);
}

void register_share(napi_env env, napi_value exports) {
  static constexpr struct {
    const char* name;
    napi_callback call;
  } functions[] = {{"shareCreate", share_create},
                   {"sharePlan", share_plan},
                   {"shareLease", share_lease},
                   {"shareTake", share_take},
                   {"shareSort", share_sort}};
  for (const auto& [name, call] : functions) {
    napi_value function = nullptr;
    if (napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function) == napi_ok)
      napi_set_named_property(env, exports, name, function);
  }
}

}  // namespace darta
