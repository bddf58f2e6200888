/* SPDX-License-Identifier: MIT
 *
 * Results by the index of their first job. See order.h.
 */
#include "client/order.h"

#include <stdlib.h>

#include <uthash.h>

struct held {
    uint64_t first;
    struct wire_frame *frame; /* owned */
    UT_hash_handle hh;
};

static int by_first(const struct held *a, const struct held *b)
{
    return (a->first > b->first) - (a->first < b->first);
}

int order_put(struct order *order, struct wire_frame **frame)
{
    struct held *held = malloc(sizeof *held);

    if (!held)
        return MUSTER_ENOMEM;
    held->first = (*frame)->message.results.outcome.first;
    held->frame = *frame;
    HASH_ADD(hh, order->held, first, sizeof held->first, held);
    if (!held->hh.tbl) {
        free(held);
        return MUSTER_ENOMEM;
    }
    *frame = NULL;
    order->sorted = false;
    return 0;
}

static struct wire_frame *take(struct order *order, struct held *held)
{
    struct wire_frame *frame = held->frame;

    HASH_DEL(order->held, held);
    free(held);
    return frame;
}

struct wire_frame *order_take(struct order *order, uint64_t index)
{
    struct held *held;

    HASH_FIND(hh, order->held, &index, sizeof index, held);
    return held ? take(order, held) : NULL;
}

struct wire_frame *order_take_lowest(struct order *order)
{
    if (!order->sorted)
        HASH_SORT(order->held, by_first);
    order->sorted = true;
    return order->held ? take(order, order->held) : NULL;
}

void order_fini(struct order *order)
{
    struct held *held, *next;

    HASH_ITER(hh, order->held, held, next)
        wire_frame_destroy(take(order, held));
}
