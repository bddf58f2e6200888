/* SPDX-License-Identifier: MIT
 *
 * A growing list of byte strings.
 */
#include "cli/texts.h"

#include "base/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 256, FIRST_COUNT = 16 }; /* a row of short arguments */

/* Room for `size` more bytes. */
static int grow_bytes(struct texts *texts, size_t size)
{
    size_t needed, room = texts->bytes_room > 0 ? texts->bytes_room : FIRST_BYTES;
    char *bytes;

    if (__builtin_add_overflow(texts->size, size, &needed) || needed > SIZE_MAX / 2)
        return MUSTER_ENOMEM;
    if (texts->bytes && needed <= texts->bytes_room)
        return 0;
    while (room < needed)
        room *= 2;
    bytes = realloc(texts->bytes, room);
    if (!bytes)
        return MUSTER_ENOMEM;
    texts->bytes = bytes;
    texts->bytes_room = room;
    return 0;
}

static int grow_ends(struct texts *texts)
{
    size_t room = texts->ends_room > 0 ? texts->ends_room * 2 : FIRST_COUNT;
    size_t *ends;

    if (texts->count < texts->ends_room)
        return 0;
    ends = reallocarray(texts->ends, room, sizeof *ends);
    if (!ends)
        return MUSTER_ENOMEM;
    texts->ends = ends;
    texts->ends_room = room;
    return 0;
}

int texts_append(struct texts *texts, const char *bytes, size_t size)
{
    if (grow_bytes(texts, size))
        return MUSTER_ENOMEM;
    if (size > 0)
        memcpy(texts->bytes + texts->size, bytes, size);
    texts->size += size;
    texts->ends[texts->count - 1] = texts->size;
    return 0;
}

int texts_add(struct texts *texts, const char *bytes, size_t size)
{
    if (grow_ends(texts) || grow_bytes(texts, size))
        return MUSTER_ENOMEM;
    texts->count++;
    return texts_append(texts, bytes, size);
}

struct word texts_get(const struct texts *texts, size_t index)
{
    size_t start = index > 0 ? texts->ends[index - 1] : 0;

    return (struct word){.bytes = texts->bytes + start, .size = texts->ends[index] - start};
}

int texts_list(const struct texts *texts, struct word **words, size_t *room)
{
    struct word *larger;

    if (texts->count > *room || !*words) {
        larger = reallocarray(*words, texts->ends_room > 0 ? texts->ends_room : 1, sizeof *larger);
        if (!larger)
            return MUSTER_ENOMEM;
        *words = larger;
        *room = texts->ends_room;
    }
    for (size_t i = 0; i < texts->count; i++)
        (*words)[i] = texts_get(texts, i);
    return 0;
}

void texts_clear(struct texts *texts)
{
    texts->size = texts->count = 0;
}

void texts_fini(struct texts *texts)
{
    free(texts->bytes);
    free(texts->ends);
    *texts = (struct texts){0};
}
