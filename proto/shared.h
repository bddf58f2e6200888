/* SPDX-License-Identifier: MIT
 *
 * Values whose large bytes are in shared memory: while one is packed, strings and binaries go into
 * blocks of one's own heap, with a reference in their place; once unpacked, references are replaced
 * by strings and binaries that lie in others' heaps. Structure never leaves the message.
 */
#ifndef MUSTER_PROTO_SHARED_H
#define MUSTER_PROTO_SHARED_H

#include "proto/mappings.h"

/* Blocks that packed values refer to: a user of each, once for each reference. */
struct shared_uses {
    uint32_t *blocks; /* owned */
    size_t count, capacity;
    uint64_t bytes;  /* that were referred to */
    uint64_t copied; /* of these, into blocks of their own */
};

/* What to do with large bytes. */
struct shared_packing {
    struct heap *heap; /* borrowed */
    /* Bytes that lie elsewhere are copied into the heap from heap_threshold on; else only those that
     * are in it are referred to. */
    bool copies;
    uint32_t reader;          /* who will be sent the references; 0: they are not sent (heap_send) */
    struct shared_uses *uses; /* grows */
};

/* Makes a reference to the bytes, if they are better off with one. Returns whether it did. */
bool shared_put(const struct shared_packing *packing, uint8_t kind, const void *bytes, size_t size,
                uint8_t ret_reference[PROTO_SHARED_REFERENCE_BYTES]);

/* Drops the users of all but the first `count` references. */
void shared_drop(struct heap *heap, struct shared_uses *uses, size_t count);

/* Sends all references to a reader: then it is the reader who releases them, and the list is empty. */
void shared_send(struct heap *heap, struct shared_uses *uses, uint32_t reader);

void shared_uses_fini(struct shared_uses *uses);

/* Takes all references in encoded values. Codes of mappings_take: then none of them is taken. */
int shared_take(struct mappings *mappings, const void *bytes, size_t size);

/* Releases all references in encoded values, which shared_take has taken. */
void shared_release(struct mappings *mappings, const void *bytes, size_t size);

/* Lets their owners use again what encoded values refer to that nobody will read, as far as they are there.
 */
void shared_discard(struct mappings *mappings, const void *bytes, size_t size);

/* Replaces the references in an unpacked value. `taken` is what shared_take has returned for them, 0 for
 * those that lead to one's own heap: where it is not 0, it is what any reference leads to. 0; MUSTER_ELIMIT
 * when the bytes together are larger than a value may be; codes of mappings_find. */
int shared_resolve(struct mappings *mappings, int taken, msgpack_object *value);

/* The same; from then on it is the zone that has taken them (mappings_hold). If it fails, those which the
 * zone has not are released. */
int shared_pass(struct mappings *mappings, int taken, msgpack_object *value, msgpack_zone *zone);

/* The same of references that nobody has taken: the zone does. Codes of mappings_take, too. */
int shared_hold(struct mappings *mappings, msgpack_object *value, msgpack_zone *zone);

/* What is said of a result whose references fail with this code. */
const char *shared_failure(int code);

#endif
