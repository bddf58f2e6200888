/* SPDX-License-Identifier: MIT
 *
 * First fit by address: what was used and freed is used again before what never was. See extents.h.
 */
#include "proto/extents.h"

#include "base/error.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int extents_init(struct extents *extents, uint32_t capacity, uint32_t units)
{
    *extents = (struct extents){.list = calloc(capacity, sizeof *extents->list), .capacity = capacity};
    if (!extents->list)
        return MUSTER_ENOMEM;
    extents->list[extents->count++] = (struct extent){.first = 0, .count = units};
    return 0;
}

void extents_fini(struct extents *extents)
{
    free(extents->list);
}

static void remove_at(struct extents *extents, uint32_t place)
{
    extents->count--;
    memmove(&extents->list[place], &extents->list[place + 1],
            (extents->count - place) * sizeof *extents->list);
}

uint32_t extents_take(struct extents *extents, uint32_t count)
{
    for (uint32_t i = 0; i < extents->count; i++) {
        struct extent *extent = &extents->list[i];
        uint32_t first = extent->first;

        if (extent->count < count)
            continue;
        extent->first += count;
        extent->count -= count;
        if (extent->count == 0)
            remove_at(extents, i);
        return first;
    }
    return UINT32_MAX;
}

/* The first extent behind `first`, or the number of extents. */
static uint32_t find(const struct extents *extents, uint32_t first)
{
    uint32_t low = 0, high = extents->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (extents->list[middle].first < first)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void extents_give(struct extents *extents, uint32_t first, uint32_t count)
{
    uint32_t place = find(extents, first);
    struct extent *behind = place < extents->count ? &extents->list[place] : NULL;
    struct extent *before = place > 0 ? &extents->list[place - 1] : NULL;
    bool joins_before, joins_behind;

    assert(!before || before->first + before->count <= first);
    assert(!behind || first + count <= behind->first);
    joins_before = before && before->first + before->count == first;
    joins_behind = behind && first + count == behind->first;
    if (joins_before) {
        before->count += count + (joins_behind ? behind->count : 0);
        if (joins_behind)
            remove_at(extents, place);
    } else if (joins_behind) {
        behind->first = first;
        behind->count += count;
    } else {
        assert(extents->count < extents->capacity);
        memmove(&extents->list[place + 1], &extents->list[place],
                (extents->count - place) * sizeof *extents->list);
        extents->list[place] = (struct extent){.first = first, .count = count};
        extents->count++;
    }
}
