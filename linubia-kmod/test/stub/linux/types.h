#include "../kernel.h"
#ifndef _LINUBIA_STUB_TYPES_H
#define _LINUBIA_STUB_TYPES_H
typedef uint8_t __u8;
typedef uint16_t __u16;
typedef uint32_t __u32;
typedef uint64_t __u64;
#endif
