/* SPDX-License-Identifier: MIT
 *
 * Writing the results of the functions that ship.
 */
#ifndef MUSTER_JOBS_RESULT_H
#define MUSTER_JOBS_RESULT_H

#include "jobs/muster_job.h"

#include <string.h>

enum { RESULT_DIGEST_BYTES = 32 };

static inline msgpack_object result_integer(uint64_t integer)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER};

    object.via.u64 = integer;
    return object;
}

/* `text` is borrowed. */
static inline msgpack_object result_text(const char *text)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_STR};

    object.via.str.ptr = text;
    object.via.str.size = (uint32_t)strlen(text);
    return object;
}

/* A map of copies of the members. 0, or fails the call. */
int result_map(muster_call *call, const msgpack_object_kv *members, uint32_t count,
               msgpack_object *ret_result);

/* A SHA-256 digest in hexadecimal. 0, or fails the call. */
int result_digest(muster_call *call, const uint8_t digest[RESULT_DIGEST_BYTES], msgpack_object *ret_result);

#endif
