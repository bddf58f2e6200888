/* SPDX-License-Identifier: MIT
 *
 * RESULT messages that a worker keeps until its coordinator has them on disk: if that dies before,
 * they are sent again to the next one. Bounded by PROTO_KEPT_BYTES_MAX: who has more to report waits.
 */
#ifndef MUSTER_WORKER_KEPT_H
#define MUSTER_WORKER_KEPT_H

#include "proto/wire.h"

struct kept_result {
    struct proto_standing jobs; /* it is about; count 0: none */
    uint64_t number;
    uint64_t cost;              /* of it and all before it that were ever kept */
    struct wire_parcel *parcel; /* owned */
    struct kept_result *prev, *next;
};

/* Zeroed it is empty. */
struct kept {
    struct kept_result *list; /* owned; in order of number */
    uint64_t dropped_cost;    /* of those that are kept no longer */
};

void kept_fini(struct kept *kept);

/* Keeps a RESULT, whose number is higher than those before, and shares its parcel. 0 or MUSTER_ENOMEM. */
int kept_add(struct kept *kept, const struct proto_result *result, struct wire_parcel *parcel);

/* Those up to this number are on disk. */
void kept_drop(struct kept *kept, uint64_t number);

/* Whether no further job is to be begun. */
bool kept_is_full(const struct kept *kept);

#endif
