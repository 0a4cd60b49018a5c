// Handles of receivers, which several binding files know.
#pragma once
#include "binding/handles.h"
#include "receive/datagrams.h"

namespace darta {

template <>
inline constexpr napi_type_tag tag_of<DatagramReceiver> = {0x7265636569766572, 0x64617274612d7564};

}  // namespace darta
