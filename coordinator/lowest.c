/* SPDX-License-Identifier: MIT
 *
 * A tree of winners. See lowest.h. Pure.
 */
#include "coordinator/lowest.h"

#include "base/error.h"

#include <stdlib.h>

int lowest_init(struct lowest *lowest, unsigned places)
{
    unsigned leaves = 1;
    uint64_t *nodes;

    while (leaves < places)
        leaves *= 2;
    nodes = malloc(2 * leaves * sizeof *nodes);
    if (!nodes)
        return MUSTER_ENOMEM;
    for (unsigned i = 0; i < 2 * leaves; i++)
        nodes[i] = UINT64_MAX;
    *lowest = (struct lowest){.nodes = nodes, .leaves = leaves};
    return 0;
}

void lowest_fini(struct lowest *lowest)
{
    free(lowest->nodes);
    *lowest = (struct lowest){.nodes = NULL};
}

void lowest_set(struct lowest *lowest, unsigned place, uint64_t number)
{
    uint64_t *nodes = lowest->nodes;
    unsigned node = lowest->leaves + place;

    nodes[node] = number;
    for (; node > 1; node /= 2) {
        uint64_t winner = nodes[node] < nodes[node ^ 1] ? nodes[node] : nodes[node ^ 1];

        if (nodes[node / 2] == winner)
            return;
        nodes[node / 2] = winner;
    }
}
