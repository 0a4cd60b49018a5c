// UDP sockets that a thread reads. The thread never touches Node-API; a threadsafe function wakes JavaScript, which then
// takes the blocks.
#include <cstdlib>

#include "binding/binding.h"
#include "binding/receiver.h"

namespace darta {

namespace {

static_assert(sizeof(DatagramInfo) == 44);

/// receiverOpen(sockets): a handle, or [call, errno, socket] of what failed
napi_value receiver_open(napi_env env, napi_callback_info info) {
  const Arguments<1> given(env, info);
  uint32_t length = 0;
  if (given.count != 1 || napi_get_array_length(env, given[0], &length) != napi_ok)
    return fail(env, "receiverOpen(sockets)");
  std::vector<SocketOptions> sockets;
  for (uint32_t i = 0; i < length; ++i) {
    napi_value one = nullptr;
    if (napi_get_element(env, given[0], i, &one) != napi_ok)
      return fail(env, "receiverOpen(sockets)");
    SocketOptions options;
    options.address = text_property(env, one, "address");
    options.port = whole_property<uint16_t>(env, one, "port");
    options.buffer_octets = whole_property(env, one, "bufferOctets", size_t{1} << 30);
    const double descriptor = number_property(env, one, "descriptor");
    if (descriptor >= 0) options.descriptor = static_cast<int>(whole(descriptor, INT32_MAX));
    sockets.push_back(std::move(options));
  }
  SocketFault fault;
  std::unique_ptr<DatagramReceiver> receiver = DatagramReceiver::open(sockets, fault);
  if (receiver) return new_handle<DatagramReceiver>(env, std::move(receiver));
  return list_of(env, fault.call, fault.error, fault.socket);
}

/// receiverStart(receiver, wake)
napi_value receiver_start(napi_env env, napi_callback_info info) {
  return start_waking<DatagramReceiver>(env, info, "darta receiver",
                                        "receiverStart(receiver, wake)");
}

void release_block(napi_env, void* octets, void* size) {
  give_back_block(static_cast<uint8_t*>(octets), reinterpret_cast<size_t>(size));
}

/// receiverTake(receiver): [ended, octets, datagrams, baseMs, octets, …]; `datagrams` are eleven numbers each, the last four
/// of which are the address
napi_value receiver_take(napi_env env, napi_callback_info info) {
  DatagramReceiver* const receiver = thing_of<DatagramReceiver>(env, info);
  if (receiver == nullptr) return fail(env, "receiverTake(receiver)");
  // Asked first: what was taken before the end is then sure to be handed over with it.
  const bool ended = receiver->ended();
  List list(env);
  list.add(ended);
  for (const DatagramBlock& block : receiver->take()) {
    uint32_t* numbers = nullptr;
    const size_t octets = block.datagrams.size() * sizeof(DatagramInfo);
    const napi_value datagrams = new_array(env, octets / sizeof *numbers, numbers);
    if (datagrams == nullptr) {
      std::free(block.octets);
      return fail(env, "no buffer");
    }
    std::memcpy(numbers, block.datagrams.data(), octets);
    list.add(hand_over(env, block.octets, block.size, release_block,
                       reinterpret_cast<void*>(block.size)),
             datagrams, block.base_ms);
  }
  return list.value();
}

/// receiverNext(receiver): whether there will be no more than what is there, and of the oldest block, if there is one, when its
/// first datagram came and when its last
napi_value receiver_next(napi_env env, napi_callback_info info) {
  DatagramReceiver* const receiver = thing_of<DatagramReceiver>(env, info);
  if (receiver == nullptr) return fail(env, "receiverNext(receiver)");
  List list(env);
  list.add(receiver->ended());
  receiver->advance();
  const DatagramBlock* const block = receiver->front();
  if (block != nullptr) list.add(block->base_ms, block->base_ms + block->datagrams.back().after_ms);
  return list.value();
}

napi_value receiver_stop(napi_env env, napi_callback_info info) {
  if (DatagramReceiver* const receiver = thing_of<DatagramReceiver>(env, info)) receiver->stop();
  return nullptr;
}

/// receiverStatistics(receiver): port, buffer octets, received and dropped datagrams of each socket, one after another
napi_value receiver_statistics(napi_env env, napi_callback_info info) {
  const DatagramReceiver* const receiver = thing_of<DatagramReceiver>(env, info);
  if (receiver == nullptr) return fail(env, "receiverStatistics(receiver)");
  List list(env);
  for (size_t i = 0; i < receiver->sockets(); ++i) {
    const SocketStatistics s = receiver->statistics(i);
    list.add(receiver->port(i), receiver->buffer_octets(i), s.received, s.dropped);
  }
  return list.value();
}

/// appendTails(octets, program, steps, tails, out, to): see src/record/append-tails.ts. Nothing is assumed of the program.
napi_value append_tails(napi_env env, napi_callback_info info) {
  static constexpr char usage[] = "appendTails(octets, program, steps, tails, out, to)";
  const Arguments<6> given(env, info);
  const auto octets = elements_of<uint8_t>(env, given[0]);
  const auto program = elements_of<uint32_t>(env, given[1]);
  const auto tails = elements_of<uint8_t>(env, given[3]);
  const auto out = elements_of<uint8_t>(env, given[4]);
  uint32_t steps = 0, to = 0;
  if (given.count != 6 || !octets || !program || !tails || !out ||
      napi_get_value_uint32(env, given[2], &steps) != napi_ok ||
      napi_get_value_uint32(env, given[5], &to) != napi_ok || uint64_t{steps} * 5 > program->size())
    return fail(env, usage);
  const uint32_t* step = program->data();
  uint64_t at = to;
  for (uint32_t i = 0; i < steps; ++i, step += 5) {
    const uint64_t start = step[0], size = step[1], count = step[2], tail = step[3],
                   length = step[4];
    if (start + size * count > octets->size() || tail + length > tails->size() ||
        at + (size + length) * count > out->size())
      return fail(env, usage);
    const uint8_t* from = octets->data() + start;
    uint8_t* write = out->data() + at;
    for (uint64_t n = 0; n < count; ++n) {
      std::memcpy(write, from, size);
      std::memcpy(write + size, tails->data() + tail, length);
      from += size;
      write += size + length;
    }
    at += (size + length) * count;
  }
  return nullptr;
}

}  // namespace

void register_receive(napi_env env, napi_value exports) {
  export_functions(env, exports,
                   {
                       {"receiverOpen", receiver_open},
                       {"receiverStart", receiver_start},
                       {"receiverTake", receiver_take},
                       {"receiverNext", receiver_next},
                       {"receiverStop", receiver_stop},
                       {"receiverStatistics", receiver_statistics},
                       {"receiverClose", close_handle<DatagramReceiver>},
                       {"appendTails", append_tails},
                   });
}

}  // namespace darta
