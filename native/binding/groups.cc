#include "binding/binding.h"

namespace darta {
void register_groups(napi_env, napi_value) {}
}  // namespace darta
