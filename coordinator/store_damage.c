/* SPDX-License-Identifier: MIT
 *
 * What a request passes: batches of which it cannot read, or write, what it needs, since a page is damaged.
 * SQLite writes nothing more in a transaction that met damage: it is known when that is done again.
 */
#include "coordinator/store_entry.h"

/* The rows of a damaged page are some ninety; a try finds all of these, but those beside it one by one. */
enum { DAMAGED_MAX = 1000 };

const struct store_damage *store_damage_find(const struct store_entry *entry, uint64_t number)
{
    for (uint32_t i = 0; i < entry->damaged_count; i++)
        if (entry->damaged[i].batch == number)
            return &entry->damaged[i];
    return NULL;
}

/* What the row shares with others may be damaged, and the row whole. */
static uint64_t read_total(struct store_database *database, uint64_t number)
{
    sqlite3_stmt *brief = database->statements[SQL_BRIEF];
    uint64_t total;

    sql_bind_number(brief, 1, number);
    if (sql_row(database, brief) != 0)
        return 0;
    total = sql_column(brief, 1);
    sqlite.reset(brief);
    return total;
}

void store_damage_note(struct store_database *database, struct store_entry *entry, uint64_t number)
{
    void *list = entry->damaged;
    struct store_damage *damage;

    if ((sqlite.errcode(database->handle) & 0xff) != SQLITE_CORRUPT || entry->damaged_count == DAMAGED_MAX ||
        store_damage_find(entry, number))
        return;
    damage = store_arena_append(&entry->asked, &list, entry->damaged_count, sizeof *damage);
    if (!damage)
        return; /* the request fails as if nobody knew */
    *damage = (struct store_damage){.batch = number, .total = read_total(database, number)};
    entry->damaged = list;
    entry->damaged_count++;
}

bool store_damage_passes(struct store_entry *entry)
{
    bool more = entry->damaged_count > entry->passed;

    entry->passed = entry->damaged_count;
    return more;
}
