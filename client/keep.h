/* SPDX-License-Identifier: MIT
 *
 * Values that are kept: deep copies, and zones that take no memory before something is
 * allocated from them, since most arguments and results are numbers and need none.
 */
#ifndef MUSTER_CLIENT_KEEP_H
#define MUSTER_CLIENT_KEEP_H

#include "base/error.h"
#include "proto/heap.h"

#include <msgpack.h>

/* Allocates nothing. Such a zone can be allocated from and can be given finalizers, and is
 * ended by keep_fini; msgpack_zone_clear and msgpack_zone_destroy are not for it. */
void keep_init(msgpack_zone *zone);
void keep_fini(msgpack_zone *zone);

/* Copies the value with all it points to into the zone; NULL counts as nil. Large bytes that are in
 * the heap already stay there, and others are put there if it is shared and has room: the zone is a
 * user of their blocks. `heap` may be NULL. 0; MUSTER_EINVALID and MUSTER_ELIMIT as measure_value;
 * MUSTER_ENOMEM. */
int keep_value(msgpack_zone *zone, struct heap *heap, const msgpack_object *value, msgpack_object *ret_copy);

/* As keep_value, with all large bytes in the heap that there is room for. */
int keep_shared(msgpack_zone *zone, struct heap *heap, const msgpack_object *value, msgpack_object *ret_copy);

/* Copies a text; NULL when out of memory. */
const char *keep_text(msgpack_zone *zone, const char *text);

#endif
