/* SPDX-License-Identifier: MIT
 *
 * Reference-counted immutable bytes. See blob.h.
 */
#include "base/blob.h"

#include <stdlib.h>
#include <string.h>

static void free_heap(struct blob *blob)
{
    free(blob->heap);
    free(blob);
}

void blob_init(struct blob *blob, const void *bytes, size_t size, void (*free_bytes)(struct blob *))
{
    blob->bytes = bytes;
    blob->heap = NULL;
    blob->size = size;
    blob->free_bytes = free_bytes;
    atomic_init(&blob->references, 1);
}

struct blob *blob_take(void *bytes, size_t size)
{
    struct blob *blob = malloc(sizeof *blob);

    if (!blob)
        return NULL;
    blob_init(blob, bytes, size, free_heap);
    blob->heap = bytes;
    return blob;
}

struct blob *blob_copy(const void *bytes, size_t size)
{
    void *copy = malloc(size ? size : 1);
    struct blob *blob;

    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, bytes, size);
    blob = blob_take(copy, size);
    if (!blob)
        free(copy);
    return blob;
}

struct blob *blob_ref(struct blob *blob)
{
    atomic_fetch_add_explicit(&blob->references, 1, memory_order_relaxed);
    return blob;
}

void blob_unref(struct blob *blob)
{
    if (blob && atomic_fetch_sub_explicit(&blob->references, 1, memory_order_acq_rel) == 1)
        blob->free_bytes(blob);
}
