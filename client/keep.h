/* SPDX-License-Identifier: MIT
 *
 * Values that are kept: deep copies, and zones that take no memory before something is
 * allocated from them, since most arguments and results are numbers and need none.
 */
#ifndef MUSTER_CLIENT_KEEP_H
#define MUSTER_CLIENT_KEEP_H

#include "base/error.h"

#include <msgpack.h>

/* Allocates nothing. Such a zone can be allocated from and can be given finalizers, and is
 * ended by keep_fini; msgpack_zone_clear and msgpack_zone_destroy are not for it. */
void keep_init(msgpack_zone *zone);
void keep_fini(msgpack_zone *zone);

/* Copies the value with all it points to into the zone; NULL counts as nil. 0; MUSTER_EINVALID
 * and MUSTER_ELIMIT as measure_value; MUSTER_ENOMEM. */
int keep_value(msgpack_zone *zone, const msgpack_object *value, msgpack_object *ret_copy);

/* Copies a text; NULL when out of memory. */
const char *keep_text(msgpack_zone *zone, const char *text);

#endif
