/* SPDX-License-Identifier: MIT
 *
 * References into and out of values. See shared.h.
 */
#include "proto/shared.h"

#include "base/error.h"
#include "proto/scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- packing */

static bool add(struct shared_uses *uses, uint32_t block)
{
    if (uses->count == uses->capacity) {
        size_t capacity = uses->capacity ? 2 * uses->capacity : 16;
        uint32_t *blocks = reallocarray(uses->blocks, capacity, sizeof *blocks);

        if (!blocks)
            return false;
        uses->blocks = blocks;
        uses->capacity = capacity;
    }
    uses->blocks[uses->count++] = block;
    return true;
}

/* The block that has the bytes already, with one user more; 0: none that may be used. */
static uint32_t keep_own(const struct shared_packing *packing, const void *bytes, size_t size)
{
    uint32_t block = heap_find(packing->heap, bytes, size);

    if (block == 0 || (packing->reader && !heap_may_send(packing->heap, block, packing->reader)))
        return 0;
    heap_keep(packing->heap, block);
    return block;
}

static uint32_t copy(const struct shared_packing *packing, const void **bytes, size_t size)
{
    void *memory;
    uint32_t block;

    if (!packing->copies || size < heap_threshold(packing->heap))
        return 0;
    block = heap_alloc(packing->heap, size, &memory);
    if (block == 0)
        return 0;
    *bytes = memcpy(memory, *bytes, size);
    packing->uses->copied += size;
    return block;
}

bool shared_put(const struct shared_packing *packing, uint8_t kind, const void *bytes, size_t size,
                uint8_t ret_reference[PROTO_SHARED_REFERENCE_BYTES])
{
    struct reference reference;
    uint32_t block;

    if (size < HEAP_UNIT_BYTES)
        return false;
    block = keep_own(packing, bytes, size);
    if (block == 0)
        block = copy(packing, &bytes, size);
    if (block == 0)
        return false;
    if (!add(packing->uses, block)) {
        heap_drop(packing->heap, block);
        return false;
    }
    packing->uses->bytes += size;
    reference = heap_refer(packing->heap, block, kind, bytes, size);
    reference_store(&reference, ret_reference);
    return true;
}

void shared_drop(struct heap *heap, struct shared_uses *uses, size_t count)
{
    assert(count <= uses->count);
    while (uses->count > count)
        heap_drop(heap, uses->blocks[--uses->count]);
}

void shared_send(struct heap *heap, struct shared_uses *uses, uint32_t reader)
{
    for (size_t i = 0; i < uses->count; i++) {
        heap_send(heap, uses->blocks[i], reader);
        heap_drop(heap, uses->blocks[i]);
    }
    uses->count = 0;
}

void shared_uses_fini(struct shared_uses *uses)
{
    free(uses->blocks);
}

/* --- unpacking */

struct resolving {
    struct mappings *mappings;
    msgpack_zone *zone; /* that is to have the references; NULL: they stay whose they are */
    bool takes;         /* nobody has taken them yet */
    int taken;          /* or why nobody has */
    uint64_t left;      /* bytes that may still be referred to */
};

/* Does something about a reference in a value. */
typedef int reference_visit(struct resolving *r, msgpack_object *value);

static int load(const msgpack_object *value, struct reference *ret_reference)
{
    return reference_load(value->via.ext.ptr, value->via.ext.size, ret_reference);
}

static int find(const struct resolving *r, const struct reference *reference, const void **ret_bytes)
{
    int code = r->takes ? mappings_take(r->mappings, reference) : r->taken;

    if (code != 0)
        return code;
    if (!r->zone)
        return mappings_find(r->mappings, reference, ret_bytes);
    code = mappings_hold(r->mappings, reference, r->zone, ret_bytes);
    if (code != 0 && r->takes)
        mappings_release(r->mappings, reference);
    return code;
}

static int replace(struct resolving *r, msgpack_object *value)
{
    struct reference reference;
    const void *bytes;
    int code = load(value, &reference);

    if (code == 0)
        code = reference.size > r->left ? MUSTER_ELIMIT : find(r, &reference, &bytes);
    if (code != 0)
        return code;
    r->left -= reference.size;
    if (reference.kind == REFERENCE_STR) {
        value->type = MSGPACK_OBJECT_STR;
        value->via.str = (msgpack_object_str){.ptr = bytes, .size = (uint32_t)reference.size};
    } else {
        value->type = MSGPACK_OBJECT_BIN;
        value->via.bin = (msgpack_object_bin){.ptr = bytes, .size = (uint32_t)reference.size};
    }
    return 0;
}

static int let_go(struct resolving *r, msgpack_object *value)
{
    struct reference reference;

    if (load(value, &reference) == 0)
        mappings_release(r->mappings, &reference);
    return 0;
}

/* Visits the references in a value until that fails. It passed the scan, so this recurses PROTO_DEPTH_MAX
 * deep at most; a map is an array of pairs. */
static int walk(struct resolving *r, reference_visit *visit, msgpack_object *value)
{
    msgpack_object *children = NULL;
    size_t count = 0;
    int code = 0;

    if (value->type == MSGPACK_OBJECT_EXT && value->via.ext.type == PROTO_SHARED_EXT)
        return visit(r, value);
    if (value->type == MSGPACK_OBJECT_ARRAY) {
        children = value->via.array.ptr;
        count = value->via.array.size;
    } else if (value->type == MSGPACK_OBJECT_MAP) {
        children = (msgpack_object *)value->via.map.ptr;
        count = 2 * (size_t)value->via.map.size;
    }
    for (size_t i = 0; i < count && code == 0; i++)
        code = walk(r, visit, &children[i]);
    return code;
}

int shared_resolve(struct mappings *mappings, int taken, msgpack_object *value)
{
    struct resolving r = {.mappings = mappings, .taken = taken, .left = PROTO_VALUE_BYTES_MAX};

    return walk(&r, replace, value);
}

int shared_pass(struct mappings *mappings, int taken, msgpack_object *value, msgpack_zone *zone)
{
    struct resolving r = {.mappings = mappings, .zone = zone, .taken = taken, .left = PROTO_VALUE_BYTES_MAX};
    int code = walk(&r, replace, value);

    if (code != 0 && taken == 0)
        walk(&r, let_go, value); /* those that are references still */
    return code;
}

const char *shared_failure(int code)
{
    return code == MUSTER_ELOST    ? "its result in shared memory cannot be read: its worker died"
           : code == MUSTER_ENOMEM ? "no memory for its result"
                                   : "its result in shared memory cannot be read";
}

int shared_hold(struct mappings *mappings, msgpack_object *value, msgpack_zone *zone)
{
    struct resolving r = {.mappings = mappings, .zone = zone, .takes = true, .left = PROTO_VALUE_BYTES_MAX};

    return walk(&r, replace, value);
}

/* Loads the next reference in encoded values; false at the end. */
static bool next(const void *bytes, size_t size, size_t *offset, struct reference *ret_reference)
{
    const uint8_t *body;
    size_t length;

    while ((body = scan_ext(bytes, size, PROTO_SHARED_EXT, offset, &length)) != NULL)
        if (reference_load(body, length, ret_reference) == 0)
            return true;
    return false;
}

/* Releases those that begin ahead of `end`. */
static void release(struct mappings *mappings, const void *bytes, size_t size, size_t end)
{
    struct reference reference;
    size_t offset = 0;

    while (next(bytes, size, &offset, &reference) && offset <= end)
        mappings_release(mappings, &reference);
}

int shared_take(struct mappings *mappings, const void *bytes, size_t size)
{
    struct reference reference;
    size_t offset = 0, end = 0; /* of those that are taken */
    int code = 0;

    while (code == 0 && next(bytes, size, &offset, &reference)) {
        code = mappings_take(mappings, &reference);
        if (code == 0)
            end = offset;
    }
    if (code != 0)
        release(mappings, bytes, size, end);
    return code;
}

void shared_release(struct mappings *mappings, const void *bytes, size_t size)
{
    release(mappings, bytes, size, size);
}

void shared_discard(struct mappings *mappings, const void *bytes, size_t size)
{
    struct reference reference;
    size_t offset = 0;

    while (next(bytes, size, &offset, &reference))
        if (mappings_take(mappings, &reference) == 0)
            mappings_release(mappings, &reference);
}
