// Values of meters that more than one binding file hands over.
#pragma once
#include "binding/binding.h"
#include "meter/meter.h"

namespace darta {

/// Reads NativeMeterOptions of src/io/native.ts; throws and returns false if the fields have not
/// their shape.
bool read_meter_options(napi_env env, napi_value given, MeterOptions& options);
/// Appends octets, template, count and exportTime of each output from index `at` on; false if one
/// could not be made.
bool append_outputs(napi_env env, napi_value array, uint32_t at,
                    const std::vector<Output>& outputs);
/// NativeMeterCounters of src/io/native.ts.
napi_value counters_value(napi_env env, const MeterCounters& counters);
/// A property that is a number or boolean, as a number; not a number if it is neither.
double number_property(napi_env env, napi_value object, const char* name);
/// A property that is a string; empty if it is none.
std::string text_property(napi_env env, napi_value object, const char* name);
/// Whole number between 0 and `most`; what is no number is 0.
uint64_t whole(double value, uint64_t most);

}  // namespace darta
