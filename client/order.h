/* SPDX-License-Identifier: MIT
 *
 * Results that arrived before it was their turn. Each is a received RESULTS message, which
 * covers neighbouring jobs; no two cover the same job. One thread.
 */
#ifndef MUSTER_CLIENT_ORDER_H
#define MUSTER_CLIENT_ORDER_H

#include "proto/wire.h"

struct held;

struct order {
    struct held *held; /* by the index of their first job; owned */
    bool sorted;       /* iterates in order of index */
};

/* Takes *frame. 0 or MUSTER_ENOMEM: the frame is then still the caller's. */
int order_put(struct order *order, struct wire_frame **frame);

/* Takes out the message whose first job is `index`, or returns NULL. The caller destroys it. */
struct wire_frame *order_take(struct order *order, uint64_t index);

/* Takes out the message with the lowest index, or returns NULL when there is none. For the
 * end of a batch that has holes: sorts what is held, once. */
struct wire_frame *order_take_lowest(struct order *order);

/* Destroys what is held. */
void order_fini(struct order *order);

#endif
