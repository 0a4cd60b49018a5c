// createRelay(): the object that src/record/relay-kernel.ts describes.
#include "kernel/relay.h"

#include "binding/binding.h"
#include "binding/receiver.h"

namespace darta {

template <>
constexpr napi_type_tag tag_of<Relay> = {0x64617274612d7265, 0x6c61790000000000};

namespace {

constexpr char closed[] = "this relay is closed";
constexpr char misfit[] = "the numbers of a relay do not fit each other";

uint32_t number(napi_env env, napi_value value) {
  uint32_t result = 0;
  napi_get_value_uint32(env, value, &result);
  return result;
}

/// The last five arguments of `datagrams` and `messages`.
std::optional<RelayRoom> room_of(napi_env env, const napi_value* given) {
  const auto words = elements_of<uint32_t>(env, given[0]);
  const auto domains = elements_of<uint32_t>(env, given[1]);
  const auto block = elements_of<uint8_t>(env, given[2]);
  const auto spare = elements_of<uint8_t>(env, given[3]);
  const auto touched = elements_of<uint32_t>(env, given[4]);
  if (!words || !domains || !block || !spare || !touched) return std::nullopt;
  return RelayRoom{*words, *domains, *block, *spare, *touched};
}

napi_value source(napi_env env, napi_callback_info info) {
  const Arguments<5> given(env, info);
  Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  const auto address = elements_of<uint8_t>(env, given[3]);
  if (!address) return refuse(env, misfit);
  relay->source(number(env, given[0]), number(env, given[1]), number(env, given[2]), *address,
                number(env, given[4]));
  return nullptr;
}

napi_value lane(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  const auto program = elements_of<uint32_t>(env, given[0]);
  const auto address = elements_of<uint8_t>(env, given[1]);
  const int64_t made = program && address ? relay->lane(*program, *address) : -1;
  return made < 0 ? refuse(env, misfit) : to_value(env, made);
}

napi_value add_template(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  const auto program = elements_of<uint32_t>(env, given[1]);
  if (!program || !relay->add_template(number(env, given[0]), *program)) return refuse(env, misfit);
  return nullptr;
}

napi_value announce(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  const auto sets = elements_of<uint8_t>(env, given[1]);
  if (!sets || !relay->announce(number(env, given[0]), *sets)) return refuse(env, misfit);
  return nullptr;
}

napi_value put(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  const auto state = elements_of<uint32_t>(env, given[1]);
  if (!state || !relay->put(number(env, given[0]), *state)) return refuse(env, misfit);
  return nullptr;
}

napi_value get(napi_env env, napi_callback_info info) {
  const Arguments<2> given(env, info);
  const Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  const auto state = elements_of<uint32_t>(env, given[1]);
  if (!state || !relay->get(number(env, given[0]), *state)) return refuse(env, misfit);
  return nullptr;
}

napi_value drop(napi_env env, napi_callback_info info) {
  const Arguments<1> given(env, info);
  Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  relay->drop(number(env, given[0]));
  return nullptr;
}

/// received(receiver, words, domains, block, spare, touched): passes datagrams of the oldest block on. Octets, numbers and base time
/// of those that were left, as `receiverTake` has them, or undefined: none of it is left, or there is no room for more.
napi_value received(napi_env env, napi_callback_info info) {
  const Arguments<6> given(env, info);
  Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  Handle<DatagramReceiver>* const handle = handle_of<DatagramReceiver>(env, given[0]);
  const auto room = room_of(env, given.values + 1);
  if (handle == nullptr || !room) return refuse(env, misfit);
  const DatagramBlock* const block = handle->thing->front();
  if (block == nullptr) return refuse(env, "there is no block");
  size_t& first = handle->thing->first();
  const std::span<const uint8_t> octets(block->octets, block->size);
  const std::span<const uint32_t> numbers(
      reinterpret_cast<const uint32_t*>(block->datagrams.data()),
      block->datagrams.size() * sizeof(DatagramInfo) / sizeof(uint32_t));
  const auto next = relay->datagrams(octets, numbers, first, block->base_ms, *room);
  if (!next) return refuse(env, misfit);
  first = *next;
  if (*next >= block->datagrams.size() || room->words[9] != 0) return nullptr;
  const size_t count = relay->left(octets, numbers, *next);
  first += count;
  size_t size = 0;
  for (size_t i = 0; i < count; ++i) size += block->datagrams[*next + i].length;
  uint8_t* copied = nullptr;
  uint32_t* listed = nullptr;
  const napi_value copy = new_array(env, size, copied);
  const napi_value list = new_array(env, count * sizeof(DatagramInfo) / sizeof *listed, listed);
  if (copy == nullptr || list == nullptr) return fail(env, "no buffer");
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    DatagramInfo datagram = block->datagrams[*next + i];
    std::memcpy(copied + at, block->octets + datagram.offset, datagram.length);
    datagram.offset = static_cast<uint32_t>(at);
    at += datagram.length;
    std::memcpy(listed + i * sizeof datagram / sizeof *listed, &datagram, sizeof datagram);
  }
  return list_of(env, copy, list, block->base_ms);
}

napi_value datagrams(napi_env env, napi_callback_info info) {
  const Arguments<9> given(env, info);
  Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  const auto octets = elements_of<uint8_t>(env, given[0]);
  const auto list = elements_of<uint32_t>(env, given[1]);
  double base_ms = 0;
  napi_get_value_double(env, given[3], &base_ms);
  const auto room = room_of(env, given.values + 4);
  if (!octets || !list || !room || !(base_ms >= 0)) return refuse(env, misfit);
  const auto next = relay->datagrams(*octets, *list, number(env, given[2]), base_ms, *room);
  return next ? to_value(env, *next) : refuse(env, misfit);
}

napi_value messages(napi_env env, napi_callback_info info) {
  const Arguments<9> given(env, info);
  Relay* const relay = owned_by<Relay>(env, given.self);
  if (relay == nullptr) return refuse(env, closed);
  const auto octets = elements_of<uint8_t>(env, given[0]);
  double ms = 0;
  napi_get_value_double(env, given[3], &ms);
  const auto room = room_of(env, given.values + 4);
  if (!octets || !room || !(ms >= 0)) return refuse(env, misfit);
  const auto next =
      relay->messages(*octets, number(env, given[1]), number(env, given[2]), ms, *room);
  return next ? to_value(env, *next) : refuse(env, misfit);
}

napi_value create_relay(napi_env env, napi_callback_info) {
  const napi_value object = new_object(env, std::make_unique<Relay>(),
                                       {{"source", source},
                                        {"lane", lane},
                                        {"addTemplate", add_template},
                                        {"announce", announce},
                                        {"put", put},
                                        {"get", get},
                                        {"drop", drop},
                                        {"datagrams", datagrams},
                                        {"messages", messages},
                                        {"received", received},
                                        {"close", close_object<Relay>}});
  return object != nullptr ? object : refuse(env, "cannot make a relay");
}

}  // namespace

void register_relay(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"createRelay", create_relay}});
}

}  // namespace darta
