// gatherMessages(octets, from, program, sequence, answer): src/record/gather-kernel.ts says what it takes.
#include "kernel/gather.h"

#include "binding/binding.h"
#include "binding/values.h"

namespace darta {
namespace {

napi_value gather(napi_env env, napi_callback_info info) {
  const Arguments<5> given(env, info);
  const auto octets = elements_of<uint8_t>(env, given[0]);
  const auto program = elements_of<uint32_t>(env, given[2]);
  const auto sequence = elements_of<uint32_t>(env, given[3]);
  const auto answer = elements_of<uint32_t>(env, given[4]);
  uint32_t from = 0;
  if (!octets || !program || !sequence || !answer ||
      napi_get_value_uint32(env, given[1], &from) != napi_ok)
    return refuse(env, "gatherMessages takes typed arrays");
  const auto next = gather_messages(*octets, from, *program, *sequence, *answer);
  return next ? to_value(env, *next) : refuse(env, "the numbers of Messages do not fit each other");
}

}  // namespace

void register_gather(napi_env env, napi_value exports) {
  export_functions(env, exports, {{"gatherMessages", gather}});
}

}  // namespace darta
