/* SPDX-License-Identifier: MIT
 *
 * Results, in the zone of their call. See result.h.
 */
#include "jobs/result.h"

#include <sodium.h>

_Static_assert((int)RESULT_DIGEST_BYTES == (int)crypto_hash_sha256_BYTES, "a digest is one of SHA-256");

int result_map(muster_call *call, const msgpack_object_kv *members, uint32_t count,
               msgpack_object *ret_result)
{
    msgpack_object_kv *copy = muster_call_alloc(call, count * sizeof *copy);

    if (!copy)
        return muster_call_fail(call, "out of memory for a result");
    memcpy(copy, members, count * sizeof *copy);
    ret_result->type = MSGPACK_OBJECT_MAP;
    ret_result->via.map.ptr = copy;
    ret_result->via.map.size = count;
    return 0;
}

int result_digest(muster_call *call, const uint8_t digest[RESULT_DIGEST_BYTES], msgpack_object *ret_result)
{
    enum { HEX_BYTES = 2 * RESULT_DIGEST_BYTES };
    char *hex = muster_call_alloc(call, HEX_BYTES + 1);

    if (!hex)
        return muster_call_fail(call, "out of memory for a digest");
    sodium_bin2hex(hex, HEX_BYTES + 1, digest, RESULT_DIGEST_BYTES);
    *ret_result = result_text(hex);
    return 0;
}
