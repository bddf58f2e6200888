/* SPDX-License-Identifier: MIT
 *
 * What a value weighs in memory, and whether it is one: a function that runs in this process
 * may leave garbage in its result, which must not reach the caller and is refused here by
 * the rules that a process boundary would apply (proto/value.h).
 */
#ifndef MUSTER_CLIENT_MEASURE_H
#define MUSTER_CLIENT_MEASURE_H

#include "base/error.h"

#include <msgpack.h>

/* 0 and the bytes that the value's parts take, shared parts counted each time; MUSTER_ELIMIT
 * when it nests deeper than PROTO_DEPTH_MAX, has more than PROTO_ELEMENTS_MAX elements or
 * takes more than PROTO_VALUE_BYTES_MAX bytes; MUSTER_EINVALID when it is no value at all.
 * Does not recurse; a scalar costs a few nanoseconds. */
int measure_value(const msgpack_object *value, size_t *ret_bytes);

#endif
