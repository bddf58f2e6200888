/* SPDX-License-Identifier: MIT
 *
 * Immutable bytes with a reference count: payloads that several owners share without a copy
 * (a block of arguments, a chunk's results). The count is atomic, since ZeroMQ drops its
 * reference on its own I/O thread; the bytes never change once the blob is made.
 */
#ifndef MUSTER_BASE_BLOB_H
#define MUSTER_BASE_BLOB_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct blob {
    const uint8_t *bytes; /* what readers see */
    void *heap;           /* the same, as free() takes it; NULL when the bytes live elsewhere */
    size_t size;
    atomic_uint references;
    void (*free_bytes)(struct blob *blob); /* frees what the bytes live in, and the blob itself */
};

/* Takes ownership of `bytes` (from malloc; may be NULL when size is 0) and frees it with
 * the last reference. NULL when out of memory: the bytes then still belong to the caller. */
struct blob *blob_take(void *bytes, size_t size);

/* A blob with a copy of the bytes, or NULL. */
struct blob *blob_copy(const void *bytes, size_t size);

/* For blobs embedded in a larger object: sets the count to 1. */
void blob_init(struct blob *blob, const void *bytes, size_t size, void (*free_bytes)(struct blob *));

struct blob *blob_ref(struct blob *blob);

/* Takes NULL. */
void blob_unref(struct blob *blob);

/* A part of a blob. The slice does not hold a reference of its own unless its owner says so. */
struct slice {
    struct blob *blob; /* NULL: empty */
    size_t offset, size;
};

static inline const uint8_t *slice_bytes(const struct slice *slice)
{
    return slice->blob ? slice->blob->bytes + slice->offset : NULL;
}

#endif
