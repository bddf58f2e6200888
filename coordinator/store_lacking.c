/* SPDX-License-Identifier: MIT
 *
 * Batches of which a result could not be recorded, while all else of them can: a page is damaged. Whoever
 * submits hears of it when the batch may have ended behind it, so the store itself makes that end LOST, in
 * the transaction of the end: what waits for a success of the batch never sees one.
 */
#include "coordinator/store_entry.h"

#include <stdlib.h>

struct store_lacking {
    uint64_t batch, succeeded; /* jobs, among those that have no record */
    struct store_lacking *next;
};

static struct store_lacking **find(struct store_lacking **list, uint64_t batch)
{
    while (*list && (*list)->batch != batch)
        list = &(*list)->next;
    return list;
}

int store_lacking_note(struct store_database *database, const struct store_request *result)
{
    struct store_lacking **place = find(&database->lacking, result->batch);

    if (!*place) {
        if (!(*place = calloc(1, sizeof **place)))
            return store_no_memory(database);
        (*place)->batch = result->batch;
    }
    (*place)->succeeded += result->record.count - result->record.failed;
    return 0;
}

bool store_lacking_find(struct store_database *database, uint64_t batch, uint64_t *ret_succeeded)
{
    const struct store_lacking *lacking = *find(&database->lacking, batch);

    if (lacking)
        *ret_succeeded = lacking->succeeded;
    return lacking;
}

void store_lacking_forget(struct store_database *database, uint64_t batch)
{
    struct store_lacking **place = find(&database->lacking, batch), *lacking = *place;

    if (lacking)
        *place = lacking->next;
    free(lacking);
}

void store_lacking_free(struct store_database *database)
{
    while (database->lacking)
        store_lacking_forget(database, database->lacking->batch);
}
