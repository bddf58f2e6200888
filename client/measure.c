/* SPDX-License-Identifier: MIT
 *
 * The walk over a value's parts. See measure.h.
 */
#include "client/measure.h"

#include "proto/limits.h"

#include <stdbool.h>

/* Elements of one container that are still to be looked at; a map's keys and values lie one
 * after another, as those of an array of twice the length. */
struct level {
    const msgpack_object *next;
    uint64_t left;
};

_Static_assert(sizeof(msgpack_object_kv) == 2 * sizeof(msgpack_object), "a map is an array of pairs");

/* The bytes that a value takes beside its own object, and its elements where it has any.
 * False when it is no value. */
static bool look(const msgpack_object *value, uint64_t *ret_bytes, struct level *ret_elements)
{
    const void *bytes;

    *ret_elements = (struct level){.left = 0};
    *ret_bytes = 0;
    switch (value->type) {
    case MSGPACK_OBJECT_NIL:
    case MSGPACK_OBJECT_BOOLEAN:
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return true;
    case MSGPACK_OBJECT_STR:
        *ret_bytes = value->via.str.size;
        bytes = value->via.str.ptr;
        break;
    case MSGPACK_OBJECT_BIN:
        *ret_bytes = value->via.bin.size;
        bytes = value->via.bin.ptr;
        break;
    case MSGPACK_OBJECT_EXT:
        *ret_bytes = value->via.ext.size;
        bytes = value->via.ext.ptr;
        break;
    case MSGPACK_OBJECT_ARRAY:
        ret_elements->left = value->via.array.size;
        bytes = ret_elements->next = value->via.array.ptr;
        break;
    case MSGPACK_OBJECT_MAP:
        ret_elements->left = 2 * (uint64_t)value->via.map.size;
        bytes = ret_elements->next = (const msgpack_object *)value->via.map.ptr;
        break;
    default: /* a function may have written any number */
        return false;
    }
    return bytes || (*ret_bytes == 0 && ret_elements->left == 0);
}

int measure_value(const msgpack_object *value, size_t *ret_bytes)
{
    struct level levels[PROTO_DEPTH_MAX];
    uint64_t elements = 1, payload = 0;
    unsigned depth = 0;

    for (;;) {
        struct level inside;
        uint64_t bytes;

        if (!look(value, &bytes, &inside))
            return MUSTER_EINVALID;
        payload += bytes;
        elements += inside.left;
        if (payload > PROTO_VALUE_BYTES_MAX || elements > PROTO_ELEMENTS_MAX)
            return MUSTER_ELIMIT;
        if (value->type == MSGPACK_OBJECT_ARRAY || value->type == MSGPACK_OBJECT_MAP) {
            if (depth == PROTO_DEPTH_MAX)
                return MUSTER_ELIMIT;
            levels[depth++] = inside;
        }
        while (depth > 0 && levels[depth - 1].left == 0)
            depth--;
        if (depth == 0)
            break;
        levels[depth - 1].left--;
        value = levels[depth - 1].next++;
    }
    *ret_bytes = (size_t)(payload + elements * sizeof(msgpack_object));
    return 0;
}
