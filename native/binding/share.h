// What other binding files need of shares.
#pragma once
#include <memory>

#include "binding/binding.h"
#include "select/share_keeper.h"

namespace darta {

/// The keeper that shareCreate made; empty if the value is none.
std::shared_ptr<ShareKeeper> keeper_of(napi_env env, napi_value value);

}  // namespace darta
