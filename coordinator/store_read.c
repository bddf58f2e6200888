/* SPDX-License-Identifier: MIT
 *
 * Requests that only read. Every answer is a page: bounded in entries, in bytes and in what is looked
 * at for it, and it says where the next one begins.
 */
#include "coordinator/store_entry.h"
#include "proto/limits.h"

#include <string.h>

/* What is left of the page. */
struct room {
    uint32_t entries;
    uint64_t bytes;
};

static struct room room_of(const struct store_page *page)
{
    struct room room = {.entries = STORE_PAGE_MAX, .bytes = STORE_PAGE_BYTES_MAX};

    if (page->count_max && page->count_max < room.entries)
        room.entries = page->count_max;
    if (page->bytes_max && page->bytes_max < room.bytes)
        room.bytes = page->bytes_max;
    return room;
}

/* Whether one more entry goes onto the page: the first always does. */
static bool take_room(struct room *room, uint32_t count, uint64_t bytes)
{
    if (room->entries == 0 || (count != 0 && bytes > room->bytes))
        return false;
    room->entries--;
    room->bytes -= bytes < room->bytes ? bytes : room->bytes;
    return true;
}

static int column_text(struct store_database *database, struct store_entry *entry, sqlite3_stmt *row,
                       int column, struct proto_text *ret_text)
{
    const void *bytes;
    size_t size;
    int result = sql_bytes(database, row, column, &bytes, &size);

    if (result == 0 && store_arena_text(&entry->answer, bytes, size, ret_text) != 0)
        return store_no_memory(database);
    return result;
}

/* A blob of its own, which the answer holds. */
static int column_slice(struct store_database *database, struct store_entry *entry, sqlite3_stmt *row,
                        int column, struct slice *ret_slice)
{
    const void *bytes;
    size_t size;
    struct blob *blob;
    int result = sql_bytes(database, row, column, &bytes, &size);

    *ret_slice = (struct slice){.blob = NULL};
    if (result != 0 || size == 0)
        return result;
    blob = blob_copy(bytes, size);
    if (!blob)
        return store_no_memory(database);
    result = store_arena_hold(&entry->answer, blob);
    blob_unref(blob);
    if (result != 0)
        return store_no_memory(database);
    *ret_slice = (struct slice){.blob = blob, .size = size};
    return 0;
}

/* The row of STORE_SQL_BATCH. */
static int read_batch(struct store_database *database, struct store_entry *entry, sqlite3_stmt *row,
                      struct store_batch *ret_batch)
{
    struct store_batch batch = {
        .number = sql_column(row, 0),
        .state = store_column_state(row, 1),
        .sealed = sqlite.column_type(row, 2) != SQLITE_NULL,
        .total = sql_column(row, 2),
        .submitted_ms = sql_column(row, 3),
        .begin_ms = sql_column(row, 4),
        .started_ms = sql_column(row, 5),
        .ended_ms = sql_column(row, 6),
        .kind = sqlite.column_type(row, 7) == SQLITE_NULL ? PROTO_LIST : PROTO_RANGE,
        .first = sqlite.column_int64(row, 7),
        .last = sqlite.column_int64(row, 8),
        .origin = sql_column(row, 9),
        .succeeded = sql_column(row, 10),
        .failed = sql_column(row, 11),
        .cancelled = sql_column(row, 12),
        .block = {.first = 1, .count = (uint32_t)sql_column(row, 14)},
        .lane = {.priority = (int32_t)sqlite.column_int(row, 17)},
    };

    if (column_text(database, entry, row, 13, &batch.totals) != 0 ||
        column_slice(database, entry, row, 15, &batch.block.payload) != 0 ||
        column_text(database, entry, row, 16, &batch.name) != 0 ||
        column_text(database, entry, row, 18, &batch.lane.user) != 0 ||
        column_text(database, entry, row, 19, &batch.function) != 0 ||
        column_text(database, entry, row, 20, &batch.settings) != 0)
        return MUSTER_ESYSTEM;
    *ret_batch = batch;
    return 0;
}

/* What a batch waits for, or waited. */
static int read_after(struct store_database *database, struct store_entry *entry, struct store_batch *batch)
{
    sqlite3_stmt *after = database->statements[SQL_AFTER];
    void *list = NULL;
    int result;

    sql_bind_number(after, 1, batch->number);
    while ((result = sql_row(database, after)) == 0) {
        struct store_after *more =
            store_arena_append(&entry->answer, &list, batch->after_count, sizeof *more);

        if (!more) {
            sqlite.reset(after);
            return store_no_memory(database);
        }
        more->batch = sql_column(after, 0);
        more->condition = (enum store_condition)sql_column(after, 1);
        batch->after_count++;
    }
    batch->after = list;
    return result == MUSTER_EEND ? 0 : result;
}

static int append_batch(struct store_database *database, struct store_entry *entry, sqlite3_stmt *row,
                        bool with_after)
{
    void *list = entry->list;
    struct store_batch *batch = store_arena_append(&entry->answer, &list, entry->done.count, sizeof *batch);

    if (!batch)
        return store_no_memory(database);
    if (read_batch(database, entry, row, batch) != 0 ||
        (with_after && read_after(database, entry, batch) != 0))
        return MUSTER_ESYSTEM;
    entry->list = list;
    entry->done.batches = list;
    entry->done.count++;
    return 0;
}

/* Ends a query, of which rows may be left. */
static int finish(sqlite3_stmt *statement, int result)
{
    sqlite.reset(statement);
    sqlite.clear_bindings(statement);
    return result == MUSTER_EEND ? 0 : result;
}

/* What has no bound but that of a message: arguments, and settings with what commands have in common. */
static uint64_t size_of(sqlite3_stmt *row)
{
    return (uint64_t)sqlite.column_bytes(row, 15) + (uint64_t)sqlite.column_bytes(row, 20);
}

/* As many of the rows, which come by number, as the page has room for. */
static int take_batches(struct store_database *database, struct store_entry *entry, sqlite3_stmt *rows)
{
    struct room room = room_of(&entry->request.page);
    int result;

    while ((result = sql_row(database, rows)) == 0) {
        entry->done.more = !take_room(&room, entry->done.count, size_of(rows));
        if (entry->done.more)
            break;
        entry->done.next = sql_column(rows, 0);
        result = append_batch(database, entry, rows, false);
        if (result != 0)
            break;
    }
    return finish(rows, result);
}

static int append_damaged(struct store_database *database, struct store_entry *entry, uint64_t number,
                          uint64_t total)
{
    void *list = entry->list;
    struct store_batch *batch = store_arena_append(&entry->answer, &list, entry->done.count, sizeof *batch);

    if (!batch)
        return store_no_memory(database);
    *batch = (struct store_batch){.number = number, .total = total, .damaged = true};
    entry->list = list;
    entry->done.batches = list;
    entry->done.count++;
    return 0;
}

/* One of those that wait. A row that is damaged, or missing, is answered, too: who asks goes on behind it. */
static int take_queued(struct store_database *database, struct store_entry *entry, uint64_t number,
                       struct room *room)
{
    const struct store_damage *damage = store_damage_find(entry, number);
    sqlite3_stmt *row = database->statements[SQL_FIND];
    int result = MUSTER_EEND;

    if (!damage) {
        sql_bind_number(row, 1, number);
        result = sql_row(database, row);
    }
    if (result == MUSTER_ESYSTEM) {
        store_damage_note(database, entry, number);
        return result;
    }
    entry->done.more = !take_room(room, entry->done.count, result == 0 ? size_of(row) : 0);
    if (entry->done.more)
        return finish(row, 0);
    entry->done.next = number;
    return result == 0 ? finish(row, append_batch(database, entry, row, false))
                       : append_damaged(database, entry, number, damage ? damage->total : 0);
}

static int next(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *numbers = database->statements[SQL_NEXT];
    const struct store_page *page = &entry->request.page;
    struct room room = room_of(page);
    int result;

    sqlite.bind_int(numbers, 1, page->lane.priority);
    sql_bind_text(numbers, 2, page->lane.user);
    sql_bind_number(numbers, 3, page->from);
    while ((result = sql_row(database, numbers)) == 0) {
        result = take_queued(database, entry, sql_column(numbers, 0), &room);
        if (result != 0 || entry->done.more)
            break;
    }
    return finish(numbers, result);
}

static int resume(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *rows = database->statements[SQL_RESUME];

    sql_bind_number(rows, 1, entry->request.page.from);
    return take_batches(database, entry, rows);
}

/* Names are short: they are in the row itself, and SQLite takes no memory for them. */
static bool is_text(sqlite3_stmt *row, int column, struct proto_text text)
{
    const void *bytes = text.size ? sqlite.column_blob(row, column) : NULL;

    return text.size == 0 || (bytes && (uint32_t)sqlite.column_bytes(row, column) == text.size &&
                              memcmp(bytes, text.bytes, text.size) == 0);
}

static bool is_wanted(sqlite3_stmt *row, const struct store_page *page)
{
    uint64_t state = sql_column(row, 1);

    return (page->states == 0 || (state < 32 && (page->states >> state & 1))) &&
           is_text(row, 18, page->user) && is_text(row, 16, page->name);
}

static int list(struct store_database *database, struct store_entry *entry)
{
    const struct store_page *page = &entry->request.page;
    sqlite3_stmt *rows = database->statements[page->downwards ? SQL_LIST_DOWN : SQL_LIST_UP];
    struct room room = room_of(page);
    unsigned looked_at = 0;
    int result;

    sql_bind_number(rows, 1, page->downwards && page->from == 0 ? INT64_MAX : page->from);
    while ((result = sql_row(database, rows)) == 0) {
        bool wanted = is_wanted(rows, page);

        entry->done.more =
            looked_at == STORE_SCAN_MAX || (wanted && !take_room(&room, entry->done.count, size_of(rows)));
        if (entry->done.more)
            break;
        entry->done.next = sql_column(rows, 0);
        looked_at++;
        if (wanted && (result = append_batch(database, entry, rows, true)) != 0)
            break;
    }
    return finish(rows, result);
}

static int find(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *rows = database->statements[SQL_FIND];
    int result;

    sql_bind_number(rows, 1, entry->request.batch);
    result = sql_row(database, rows);
    if (result == MUSTER_EEND)
        return store_entry_fail(entry, MUSTER_ENOTFOUND, "batch %llu is not known",
                                (unsigned long long)entry->request.batch);
    if (result == 0)
        result = append_batch(database, entry, rows, true);
    return finish(rows, result);
}

/* Appends a block from three columns: first, count, payload. */
static int append_block(struct store_database *database, struct store_entry *entry, uint64_t first,
                        sqlite3_stmt *row, int column)
{
    void *list = entry->list;
    struct store_block *block = store_arena_append(&entry->answer, &list, entry->done.count, sizeof *block);

    if (!block)
        return store_no_memory(database);
    block->first = first;
    block->count = (uint32_t)sql_column(row, column);
    if (column_slice(database, entry, row, column + 1, &block->payload) != 0)
        return MUSTER_ESYSTEM;
    entry->list = list;
    entry->done.blocks = list;
    entry->done.count++;
    entry->done.next = block->first + block->count;
    return 0;
}

static int load_inline(struct store_database *database, struct store_entry *entry, struct room *room)
{
    sqlite3_stmt *row = database->statements[SQL_INLINE];
    int result;

    sql_bind_number(row, 1, entry->request.batch);
    result = sql_row(database, row);
    if (result == 0 && take_room(room, 0, (uint64_t)sqlite.column_bytes(row, 1)))
        result = append_block(database, entry, 1, row, 0);
    return finish(row, result);
}

static int load(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *rows = database->statements[SQL_LOAD];
    const struct store_page *page = &entry->request.page;
    struct room room = room_of(page);
    struct store_brief brief;
    int result = store_brief(database, entry, entry->request.batch, &brief);

    if (result == 0 && page->from <= brief.inline_count && brief.inline_count)
        result = load_inline(database, entry, &room);
    if (result != 0)
        return result;
    sql_bind_number(rows, 1, entry->request.batch);
    sql_bind_number(rows, 2, page->from);
    while ((result = sql_row(database, rows)) == 0) {
        if (sql_column(rows, 0) + sql_column(rows, 1) <= page->from)
            continue; /* there is no such job yet */
        entry->done.more = !take_room(&room, entry->done.count, (uint64_t)sqlite.column_bytes(rows, 2));
        if (entry->done.more)
            break;
        result = append_block(database, entry, sql_column(rows, 0), rows, 1);
        if (result != 0)
            break;
    }
    return finish(rows, result);
}

/* Appends the row of STORE_SQL_RECORD. */
static int append_record(struct store_database *database, struct store_entry *entry, sqlite3_stmt *row)
{
    void *list = entry->list;
    struct store_record *record =
        store_arena_append(&entry->answer, &list, entry->done.count, sizeof *record);

    if (!record)
        return store_no_memory(database);
    record->sequence = sql_column(row, 0);
    record->first = sql_column(row, 1);
    record->count = (uint32_t)sql_column(row, 2);
    record->failed = (uint32_t)sql_column(row, 3);
    if (column_text(database, entry, row, 4, &record->header) != 0 ||
        column_slice(database, entry, row, 5, &record->payload) != 0)
        return MUSTER_ESYSTEM;
    entry->list = list;
    entry->done.records = list;
    entry->done.count++;
    entry->done.next = entry->request.page.by_sequence ? record->sequence + 1 : record->first + record->count;
    return 0;
}

static int read_records(struct store_database *database, struct store_entry *entry)
{
    const struct store_page *page = &entry->request.page;
    sqlite3_stmt *rows = database->statements[page->by_sequence ? SQL_READ_SEQUENCE : SQL_READ_JOBS];
    struct room room = room_of(page);
    struct store_brief brief;
    int result = store_brief(database, entry, entry->request.batch, &brief);

    if (result != 0)
        return result;
    entry->done.state = brief.state;
    sql_bind_number(rows, 1, entry->request.batch);
    sql_bind_number(rows, 2, page->from);
    while ((result = sql_row(database, rows)) == 0) {
        uint64_t bytes = (uint64_t)sqlite.column_bytes(rows, 4) + (uint64_t)sqlite.column_bytes(rows, 5);

        if (!page->by_sequence && sql_column(rows, 1) + sql_column(rows, 2) <= page->from)
            continue; /* the last before the job; that has no record yet */
        entry->done.more = !take_room(&room, entry->done.count, bytes);
        if (entry->done.more)
            break;
        result = append_record(database, entry, rows);
        if (result != 0)
            break;
    }
    return finish(rows, result);
}

static int append_gap(struct store_database *database, struct store_entry *entry, uint64_t first,
                      uint64_t end)
{
    void *list = entry->list;
    struct span *gap;

    if (first >= end)
        return 0;
    gap = store_arena_append(&entry->answer, &list, entry->done.count, sizeof *gap);
    if (!gap)
        return store_no_memory(database);
    *gap = (struct span){.first = first, .count = end - first};
    entry->list = list;
    entry->done.gaps = list;
    entry->done.count++;
    return 0;
}

static int gaps(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *rows = database->statements[SQL_SPANS];
    uint64_t from = entry->request.page.from ? entry->request.page.from : 1;
    struct room room = room_of(&entry->request.page);
    struct store_batch counts;
    struct store_brief brief;
    int result = store_brief(database, entry, entry->request.batch, &brief);

    if (result != 0)
        return result;
    if (!brief.sealed)
        return store_entry_fail(entry, MUSTER_ESTATE, "batch %llu is not sealed",
                                (unsigned long long)entry->request.batch);
    result = store_recorded(database, entry->request.batch, &counts);
    if (result == MUSTER_EPROTOCOL)
        return store_entry_fail(entry, result, "records of batch %llu are damaged",
                                (unsigned long long)entry->request.batch);
    if (result != 0)
        return result;
    entry->done.succeeded = counts.succeeded;
    entry->done.failed = counts.failed;
    sql_bind_number(rows, 1, entry->request.batch);
    sql_bind_number(rows, 2, from);
    while ((result = sql_row(database, rows)) == 0 && entry->done.count < room.entries) {
        uint64_t first = sql_column(rows, 0), end = first + sql_column(rows, 1);

        result = append_gap(database, entry, from, first);
        if (result != 0)
            break;
        from = end > from ? end : from;
    }
    entry->done.more = result == 0;
    entry->done.next = from;
    if (result == MUSTER_EEND)
        result = append_gap(database, entry, from, brief.total + 1);
    return finish(rows, result);
}

static int counts(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *rows = database->statements[SQL_COUNTS];
    int result;

    while ((result = sql_row(database, rows)) == 0) {
        void *list = entry->list;
        struct store_waiting *waiting;

        if (sql_column(rows, 2) == 0)
            continue;
        waiting = store_arena_append(&entry->answer, &list, entry->done.count, sizeof *waiting);
        if (!waiting || column_text(database, entry, rows, 1, &waiting->lane.user) != 0) {
            sqlite.reset(rows);
            return store_no_memory(database);
        }
        waiting->lane.priority = (int32_t)sqlite.column_int(rows, 0);
        waiting->batches = sql_column(rows, 2);
        entry->list = list;
        entry->done.waiting = list;
        entry->done.count++;
    }
    if (result == MUSTER_EEND)
        result = sql_number(database, database->statements[SQL_HIGHEST], &entry->done.highest);
    return result != 0 ? result : store_earliest(database, &(struct store_turn){0}, &entry->done.begin_ms);
}

int store_read(struct store_database *database, struct store_entry *entry)
{
    switch (entry->request.operation) {
    case STORE_COUNTS:
        return counts(database, entry);
    case STORE_NEXT:
        return next(database, entry);
    case STORE_RESUME:
        return resume(database, entry);
    case STORE_LOAD:
        return load(database, entry);
    case STORE_READ:
        return read_records(database, entry);
    case STORE_GAPS:
        return gaps(database, entry);
    case STORE_LIST:
        return list(database, entry);
    case STORE_TALLY:
        return store_tally_read(database, entry);
    case STORE_FIND:
        return find(database, entry);
    case STORE_ADD:
    case STORE_ARGUMENTS:
    case STORE_COPY:
    case STORE_SEAL:
    case STORE_STATE:
    case STORE_RESULT:
    case STORE_END:
    case STORE_DUE:
    case STORE_ABANDON:
    case STORE_DROP:
    case STORE_RESET:
    case STORE_SWEEP:
    case STORE_BARRIER:
        break;
    }
    return store_entry_fail(entry, MUSTER_EINVALID, "not a request to read");
}
