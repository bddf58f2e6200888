/* SPDX-License-Identifier: MIT
 *
 * Sets of jobs as an array of spans, searched by bisection. See spans.h. Pure.
 */
#include "coordinator/spans.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

/* The first that is allocated: 1 KiB. */
enum { CAPACITY_FIRST = 64 };

void spans_fini(struct spans *spans)
{
    free(spans->list);
    *spans = (struct spans){.list = NULL};
}

static struct span *list_of(struct spans *spans)
{
    return spans->list ? spans->list : &spans->single;
}

uint32_t spans_find(const struct spans *spans, uint64_t index)
{
    const struct span *list = spans_list(spans);
    uint32_t low = 0, high = spans->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (list[middle].first + (list[middle].count - 1) < index)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool spans_hold(const struct spans *spans, uint64_t index)
{
    uint32_t place = spans_find(spans, index);

    return place < spans->count && spans_list(spans)[place].first <= index;
}

uint64_t spans_jobs(const struct spans *spans)
{
    const struct span *list = spans_list(spans);
    uint64_t jobs = 0;

    for (uint32_t i = 0; i < spans->count; i++)
        jobs += list[i].count;
    return jobs;
}

/* Makes room for one more span. */
static int reserve(struct spans *spans)
{
    uint32_t capacity = spans->list ? 2 * spans->capacity : CAPACITY_FIRST;
    struct span *list;

    if (spans->count < (spans->list ? spans->capacity : 1))
        return 0;
    list = reallocarray(spans->list, capacity, sizeof *list);
    if (!list)
        return MUSTER_ENOMEM;
    if (!spans->list)
        list[0] = spans->single;
    spans->list = list;
    spans->capacity = capacity;
    return 0;
}

/* Replaces the `gone` spans from `place` on by `count` new ones, for which there is room. */
static void replace(struct spans *spans, uint32_t place, uint32_t gone, const struct span *with,
                    uint32_t count)
{
    struct span *list = list_of(spans);

    memmove(list + place + count, list + place + gone, (spans->count - place - gone) * sizeof *list);
    for (uint32_t i = 0; i < count; i++)
        list[place + i] = with[i];
    spans->count = spans->count - gone + count;
}

int spans_add(struct spans *spans, uint64_t first, uint64_t count)
{
    const struct span *list;
    uint64_t end = first + count;
    uint32_t place, behind;
    struct span joined;

    if (count == 0)
        return 0;
    if (reserve(spans) != 0)
        return MUSTER_ENOMEM;
    list = spans_list(spans);
    place = spans_find(spans, first ? first - 1 : 0); /* one that ends just before it joins it */
    for (behind = place; behind < spans->count && list[behind].first <= end; behind++) {
        if (list[behind].first < first)
            first = list[behind].first;
        if (list[behind].first + list[behind].count > end)
            end = list[behind].first + list[behind].count;
    }
    joined = (struct span){.first = first, .count = end - first};
    replace(spans, place, behind - place, &joined, 1);
    return 0;
}

int spans_drop(struct spans *spans, uint64_t first, uint64_t count)
{
    uint64_t end = first + count;
    uint32_t place, behind, left = 0;
    const struct span *list;
    struct span rest[2];

    if (count == 0 || spans->count == 0)
        return 0;
    if (reserve(spans) != 0) /* what is cut in the middle becomes two */
        return MUSTER_ENOMEM;
    list = spans_list(spans);
    place = spans_find(spans, first);
    for (behind = place; behind < spans->count && list[behind].first < end; behind++) {
        uint64_t span_end = list[behind].first + list[behind].count;

        if (list[behind].first < first)
            rest[left++] = (struct span){.first = list[behind].first, .count = first - list[behind].first};
        if (span_end > end)
            rest[left++] = (struct span){.first = end, .count = span_end - end};
    }
    replace(spans, place, behind - place, rest, left);
    return 0;
}

int spans_take(struct spans *spans, uint64_t first, uint64_t count)
{
    uint32_t place = spans_find(spans, first);
    struct span *span = list_of(spans) + place;

    if (count == 0)
        return 0;
    if (place == spans->count || first < span->first || count > span->count ||
        first - span->first > span->count - count)
        return MUSTER_ESTATE;
    if (count == span->count) {
        replace(spans, place, 1, NULL, 0);
    } else if (first == span->first) { /* the common case */
        span->first += count;
        span->count -= count;
    } else if (first + count == span->first + span->count) {
        span->count -= count;
    } else {
        return spans_drop(spans, first, count);
    }
    return 0;
}
