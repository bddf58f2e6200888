/* SPDX-License-Identifier: MIT
 *
 * A binary heap, places counted from 1 so that the parent of `i` is `i / 2`. See timers.h.
 */
#include "base/timers.h"

#include "base/error.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 16 };

void timers_fini(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){.heap = NULL};
}

static bool is_before(const struct timer *a, const struct timer *b)
{
    return a->deadline_ns != b->deadline_ns ? a->deadline_ns < b->deadline_ns : a->sequence < b->sequence;
}

static void put(struct timers *timers, struct timer *timer, size_t place)
{
    timers->heap[place - 1] = timer;
    timer->place = place;
}

static void sift_up(struct timers *timers, struct timer *timer, size_t place)
{
    for (; place > 1 && is_before(timer, timers->heap[place / 2 - 1]); place /= 2)
        put(timers, timers->heap[place / 2 - 1], place);
    put(timers, timer, place);
}

static void sift_down(struct timers *timers, struct timer *timer, size_t place)
{
    size_t child;

    while ((child = 2 * place) <= timers->count) {
        if (child < timers->count && is_before(timers->heap[child], timers->heap[child - 1]))
            child++;
        if (!is_before(timers->heap[child - 1], timer))
            break;
        put(timers, timers->heap[child - 1], place);
        place = child;
    }
    put(timers, timer, place);
}

int timers_add(struct timers *timers, struct timer *timer, uint64_t deadline_ns)
{
    if (timers->count == timers->capacity) {
        size_t capacity = timers->capacity ? 2 * timers->capacity : FIRST_CAPACITY;
        struct timer **heap = reallocarray(timers->heap, capacity, sizeof(struct timer *));

        if (!heap)
            return MUSTER_ENOMEM;
        timers->heap = heap;
        timers->capacity = capacity;
    }
    timer->deadline_ns = deadline_ns;
    timer->sequence = timers->sequence++;
    sift_up(timers, timer, ++timers->count);
    return 0;
}

void timers_remove(struct timers *timers, struct timer *timer)
{
    size_t place = timer->place;
    struct timer *last;

    if (place == 0)
        return;
    timer->place = 0;
    last = timers->heap[--timers->count];
    if (last == timer)
        return;
    if (place > 1 && is_before(last, timers->heap[place / 2 - 1]))
        sift_up(timers, last, place);
    else
        sift_down(timers, last, place);
}

struct timer *timers_take_due(struct timers *timers, uint64_t now_ns)
{
    struct timer *earliest;

    if (timers_deadline(timers) > now_ns || timers->count == 0)
        return NULL;
    earliest = timers->heap[0];
    timers_remove(timers, earliest);
    return earliest;
}
