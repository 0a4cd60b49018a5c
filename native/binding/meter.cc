#include "binding/binding.h"

namespace darta {
void register_meter(napi_env, napi_value) {}
}  // namespace darta
