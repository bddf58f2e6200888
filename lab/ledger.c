/* SPDX-License-Identifier: MIT
 *
 * An array of digests that grows by doubling. See ledger.h.
 */
#include "lab/ledger.h"

#include "proto/value.h"

#include <stdlib.h>
#include <string.h>

enum { LEDGER_FIRST_CAPACITY = 1024 };

void ledger_init(struct ledger *ledger)
{
    *ledger = (struct ledger){.outcomes = NULL};
}

void ledger_fini(struct ledger *ledger)
{
    free(ledger->outcomes);
    ledger_init(ledger);
}

uint64_t ledger_outcome(const struct muster_result *result)
{
    uint64_t outcome = result->code != 0 ? (uint64_t)(int64_t)result->code : value_hash(result->value);

    return outcome ? outcome : 1;
}

static int grow(struct ledger *ledger, uint64_t index, uint64_t jobs_max)
{
    size_t capacity = ledger->capacity ? ledger->capacity : LEDGER_FIRST_CAPACITY;
    uint64_t *outcomes;

    if (index > jobs_max)
        return MUSTER_ELIMIT;
    while (capacity < index)
        capacity *= 2;
    if (!(outcomes = realloc(ledger->outcomes, capacity * sizeof *outcomes)))
        return MUSTER_ENOMEM;
    memset(outcomes + ledger->capacity, 0, (capacity - ledger->capacity) * sizeof *outcomes);
    ledger->outcomes = outcomes;
    ledger->capacity = capacity;
    return 0;
}

int ledger_enter(struct ledger *ledger, uint64_t index, uint64_t outcome, uint64_t jobs_max)
{
    int code;

    if (index > ledger->capacity && (code = grow(ledger, index, jobs_max)) != 0)
        return code;
    ledger->outcomes[index - 1] = outcome;
    if (index > ledger->count)
        ledger->count = index;
    return 0;
}

uint64_t ledger_find(const struct ledger *ledger, uint64_t index)
{
    return index >= 1 && index <= ledger->count ? ledger->outcomes[index - 1] : 0;
}
