#include "binding/binding.h"

namespace darta {
void register_text(napi_env, napi_value) {}
}  // namespace darta
