// The addon's only entry point. Each binding file registers what it offers.
#include "binding/binding.h"

NAPI_MODULE_INIT() {
  darta::register_live(env, exports);
  darta::register_privileges(env, exports);
  darta::register_meter(env, exports);
  darta::register_groups(env, exports);
  darta::register_deal(env, exports);
  darta::register_compose(env, exports);
  darta::register_gather(env, exports);
  darta::register_text(env, exports);
  darta::register_select(env, exports);
  darta::register_filter(env, exports);
  darta::register_crypto_pan(env, exports);
  darta::register_share(env, exports);
  darta::register_turns(env, exports);
  darta::register_capacity(env, exports);
  darta::register_send(env, exports);
  darta::register_receive(env, exports);
  darta::register_relay(env, exports);
  darta::register_kernel(env, exports);
  return exports;
}
