/* SPDX-License-Identifier: MIT
 *
 * Results that are kept. See kept.h.
 */
#include "worker/kept.h"

#include <stdlib.h>
#include <utlist.h>

static void drop_first(struct kept *kept)
{
    struct kept_result *first = kept->list;

    DL_DELETE(kept->list, first);
    kept->dropped_cost = first->cost;
    wire_parcel_destroy(first->parcel);
    free(first);
}

void kept_fini(struct kept *kept)
{
    while (kept->list)
        drop_first(kept);
}

static uint64_t cost_of(const struct wire_parcel *parcel)
{
    struct wire_bytes header, payload = {.size = 0};

    wire_parcel_bytes(parcel, &header, &payload);
    return PROTO_MESSAGE_COST_BYTES + header.size + payload.size;
}

/* Of all that were ever kept. */
static uint64_t total_cost(const struct kept *kept)
{
    return kept->list ? kept->list->prev->cost : kept->dropped_cost;
}

int kept_add(struct kept *kept, const struct proto_result *result, struct wire_parcel *parcel)
{
    struct kept_result *added = calloc(1, sizeof *added);

    if (!added || wire_parcel_share(parcel, &added->parcel) != 0) {
        free(added);
        return MUSTER_ENOMEM;
    }
    added->number = result->number;
    added->jobs = (struct proto_standing){.batch = result->batch,
                                          .chunk = result->chunk,
                                          .first = result->outcome.first,
                                          .count = result->outcome.count,
                                          .attempt = result->outcome.attempt};
    added->cost = total_cost(kept) + cost_of(parcel);
    DL_APPEND(kept->list, added);
    return 0;
}

void kept_drop(struct kept *kept, uint64_t number)
{
    while (kept->list && kept->list->number <= number)
        drop_first(kept);
}

bool kept_is_full(const struct kept *kept)
{
    return total_cost(kept) - kept->dropped_cost >= PROTO_KEPT_BYTES_MAX;
}
