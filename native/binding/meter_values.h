// Values of meters that more than one binding file hands over.
#pragma once
#include "binding/values.h"
#include "meter/meter.h"

namespace darta {

/// Reads NativeMeterOptions of src/io/native.ts; throws and returns false if the fields have not
/// their shape.
bool read_meter_options(napi_env env, napi_value given, MeterOptions& options);
/// Appends octets, template, count and exportTime of each output; false if one could not be made.
bool append_outputs(napi_env env, List& list, const std::vector<Output>& outputs);
/// NativeMeterCounters of src/io/native.ts.
napi_value counters_value(napi_env env, const MeterCounters& counters);

}  // namespace darta
