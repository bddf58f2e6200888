/* SPDX-License-Identifier: MIT
 *
 * Values (arguments and results) to bytes, within the limits that the reader's scan will
 * apply, so that a value that is refused is refused where it was made, with its reason.
 */
#ifndef MUSTER_PROTO_VALUE_H
#define MUSTER_PROTO_VALUE_H

#include "base/error.h"
#include "proto/shared.h"

#include <msgpack.h>

/* Appends one value. 0; MUSTER_ELIMIT when it nests deeper than PROTO_DEPTH_MAX, has more
 * than PROTO_ELEMENTS_MAX elements or more than PROTO_VALUE_BYTES_MAX bytes;
 * MUSTER_EINVALID when it is no value at all (a type out of range, a NULL pointer with a
 * size: a function may have left garbage; an ext of type PROTO_SHARED_EXT, which is not for users);
 * MUSTER_ENOMEM. After a failure the buffer's size is what it was. Small integers, the common case,
 * take a few nanoseconds. */
int value_pack(const msgpack_object *value, msgpack_sbuffer *buffer, struct muster_error *ret_error);

/* The short way for the commonest values (nil, bools, positive integers, doubles). False where the value
 * is another, or the buffer has no room for it: then nothing was done. */
bool value_pack_short(const msgpack_object *value, msgpack_sbuffer *buffer);

/* As value_pack, with large bytes in shared memory, which count in PROTO_VALUE_BYTES_MAX too. `packing`
 * may be NULL. After a failure its list of uses has as many as before. */
int value_pack_shared(const msgpack_object *value, const struct shared_packing *packing,
                      msgpack_sbuffer *buffer, struct muster_error *ret_error);

/* Unpacks the one value at bytes + *offset, which the scan has passed, and moves *offset
 * behind it. Strings and binaries point into `bytes`. 0, MUSTER_EPROTOCOL or MUSTER_ENOMEM. */
int value_unpack(const void *bytes, size_t size, size_t *offset, msgpack_zone *zone,
                 msgpack_object *ret_value);

/* As value_unpack, but nothing of the value points into `bytes`: what is no number is copied into
 * the zone first. *offset moves also when this returns MUSTER_ENOMEM. */
int value_unpack_copy(const void *bytes, size_t size, size_t *offset, msgpack_zone *zone,
                      msgpack_object *ret_value);

/* As msgpack_zone_clear; where nothing was allocated, as by most small jobs, it writes nothing. */
static inline void value_zone_clear(msgpack_zone *zone)
{
    if (!msgpack_zone_is_empty(zone))
        msgpack_zone_clear(zone);
}

/* A digest of a value that is equal for equal values, whatever made them: by structure, not
 * by encoding. For comparing results, not for security (FNV-1a over a canonical walk). */
uint64_t value_hash(const msgpack_object *value);

#endif
