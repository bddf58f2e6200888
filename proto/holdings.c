/* SPDX-License-Identifier: MIT
 *
 * Chunks in order of their first jobs. See holdings.h. The oldest are the first to go most often,
 * so that costs nothing; any other is taken out of the shorter half.
 */
#include "proto/holdings.h"

#include "base/error.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CAPACITY_FIRST = 16 };

void holdings_fini(struct holdings *holdings)
{
    free(holdings->list);
    *holdings = (struct holdings){.list = NULL};
}

/* The place of the first at or behind this job. */
static size_t find(const struct holdings *holdings, uint64_t batch, uint64_t first)
{
    const struct holding *list = holdings->list + holdings->start;
    size_t low = 0, high = holdings->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (list[middle].batch < batch || (list[middle].batch == batch && list[middle].first < first))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Makes room for one more at the end. */
static int reserve(struct holdings *holdings)
{
    size_t capacity = holdings->capacity ? 2 * holdings->capacity : CAPACITY_FIRST;
    struct holding *list;

    if (holdings->start + holdings->count < holdings->capacity)
        return 0;
    if (holdings->start > 0 && holdings->start >= holdings->capacity / 2) {
        memmove(holdings->list, holdings->list + holdings->start, holdings->count * sizeof *list);
        holdings->start = 0;
        return 0;
    }
    list = reallocarray(holdings->list, capacity, sizeof *list);
    if (!list)
        return MUSTER_ENOMEM;
    holdings->list = list;
    holdings->capacity = capacity;
    return 0;
}

int holdings_add(struct holdings *holdings, const struct holding *holding)
{
    struct holding *list;
    size_t place;

    if (reserve(holdings) != 0)
        return MUSTER_ENOMEM;
    list = holdings->list + holdings->start;
    place = find(holdings, holding->batch, holding->first);
    memmove(list + place + 1, list + place, (holdings->count - place) * sizeof *list);
    list[place] = *holding;
    holdings->count++;
    if (holdings->longest < holding->count)
        holdings->longest = holding->count;
    return 0;
}

void holdings_remove(struct holdings *holdings, const struct holding *holding)
{
    struct holding *list = holdings->list + holdings->start;
    size_t place = find(holdings, holding->batch, holding->first);

    while (place < holdings->count && list[place].chunk != holding->chunk)
        place++;
    assert(place < holdings->count);
    if (place < holdings->count / 2) {
        memmove(list + 1, list, place * sizeof *list);
        holdings->start++;
    } else {
        memmove(list + place, list + place + 1, (holdings->count - place - 1) * sizeof *list);
    }
    holdings->count--;
    if (holdings->count == 0) {
        holdings->start = 0;
        holdings->longest = 0;
    }
}

size_t holdings_find(const struct holdings *holdings, uint64_t batch, uint64_t first)
{
    return find(holdings, batch, first > holdings->longest ? first - holdings->longest : 0);
}

void *holdings_next(const struct holdings *holdings, uint64_t batch, uint64_t first, uint64_t end,
                    size_t *place)
{
    const struct holding *list = holdings->list + holdings->start;

    for (; *place < holdings->count && list[*place].batch == batch && list[*place].first < end; ++*place)
        if (list[*place].first + list[*place].count > first)
            return list[(*place)++].chunk;
    return NULL;
}
