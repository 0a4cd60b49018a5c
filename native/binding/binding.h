// Only files in binding/ include node_api.h. They convert values and own handles, nothing more.
#pragma once
#include <node_api.h>

namespace darta {
void register_live(napi_env env, napi_value exports);
void register_privileges(napi_env env, napi_value exports);
void register_meter(napi_env env, napi_value exports);
void register_groups(napi_env env, napi_value exports);
void register_deal(napi_env env, napi_value exports);
void register_compose(napi_env env, napi_value exports);
void register_gather(napi_env env, napi_value exports);
void register_text(napi_env env, napi_value exports);
void register_select(napi_env env, napi_value exports);
void register_filter(napi_env env, napi_value exports);
void register_crypto_pan(napi_env env, napi_value exports);
void register_share(napi_env env, napi_value exports);
void register_turns(napi_env env, napi_value exports);
void register_capacity(napi_env env, napi_value exports);
void register_send(napi_env env, napi_value exports);
void register_receive(napi_env env, napi_value exports);
void register_relay(napi_env env, napi_value exports);
void register_kernel(napi_env env, napi_value exports);
}  // namespace darta
