/* SPDX-License-Identifier: MIT
 *
 * Arguments of a batch that has ended, for another one that tries its jobs again: of all of them, or of
 * those that no record calls a success. The one place where the store looks into headers: which jobs of
 * a record failed stands nowhere else. A page at a time, so that nobody waits for a long list.
 */
#include "coordinator/store_entry.h"
#include "proto/codec.h"
#include "proto/limits.h"
#include "proto/scan.h"

enum {
    COPY_BYTES = 1 << 20, /* of arguments in one page: one more block of them may pass that */
    COPY_RECORDS = 1000,  /* that one page looks at: about 5 ms */
};

/* A block of arguments that is read from its first one on. */
struct block {
    sqlite3_stmt *rows; /* that it is the present row of; NULL: none yet */
    uint64_t first, end;
    const uint8_t *bytes; /* from the argument of job `first` on */
    size_t size;
};

struct copier {
    struct store_database *database;
    struct store_entry *entry;
    struct store_brief source;
    int64_t first_argument; /* of a range */
    struct block block;     /* of a list */
    msgpack_sbuffer values;
    uint32_t count;
    uint64_t next; /* job that is looked at next */
};

static int damaged(const struct copier *copier, const char *what)
{
    return store_entry_fail(copier->entry, MUSTER_EPROTOCOL, "%s of batch %llu are damaged", what,
                            (unsigned long long)copier->entry->request.copy.source);
}

static bool is_full(const struct copier *copier)
{
    return copier->count == PROTO_BLOCK_JOBS_MAX || copier->values.size >= COPY_BYTES;
}

/* --- arguments */

static void leave_block(struct block *block)
{
    if (block->rows) {
        sqlite.reset(block->rows);
        sqlite.clear_bindings(block->rows);
    }
    *block = (struct block){.rows = NULL};
}

/* Makes the row the present block; its columns from `column` on are count and payload. */
static int enter_block(struct store_database *database, struct block *block, sqlite3_stmt *rows,
                       uint64_t first, int column)
{
    const void *bytes;
    size_t size;
    int result = sql_bytes(database, rows, column + 1, &bytes, &size);

    if (result != 0) {
        sqlite.reset(rows);
        sqlite.clear_bindings(rows);
        return result;
    }
    *block = (struct block){.rows = rows, .first = first, .end = first + sql_column(rows, column)};
    block->bytes = size > 0 ? bytes : (const uint8_t *)""; /* SQLite has NULL for none */
    block->size = size;
    return 0;
}

/* The block that holds the job: in the row of its batch, or one of its own. */
static int find_block(struct copier *copier, uint64_t job)
{
    struct store_database *database = copier->database;
    bool in_row = job <= copier->source.inline_count;
    sqlite3_stmt *rows = database->statements[in_row ? SQL_INLINE : SQL_LOAD];
    struct block *block = &copier->block;
    int result = 0;

    if (block->rows != rows) {
        leave_block(block);
        sql_bind_number(rows, 1, copier->entry->request.copy.source);
        if (!in_row)
            sql_bind_number(rows, 2, job);
    }
    while (result == 0 && block->end <= job) {
        result = sql_row(database, rows);
        if (result == 0)
            result = enter_block(database, block, rows, in_row ? 1 : sql_column(rows, 0), in_row ? 0 : 1);
    }
    if (result != 0)
        *block = (struct block){.rows = NULL};
    return result == MUSTER_EEND || (result == 0 && block->first > job) ? damaged(copier, "arguments")
                                                                        : result;
}

/* Passes the arguments of the block up to that of the job, and then as many as `count`. */
static int take_values(struct copier *copier, uint64_t job, uint64_t count)
{
    struct block *block = &copier->block;
    size_t before, size;

    if (scan_values(&scan_value_limits, block->bytes, block->size, job - block->first, &before) != 0 ||
        scan_values(&scan_value_limits, block->bytes + before, block->size - before, count, &size) != 0)
        return damaged(copier, "arguments");
    if (size > 0 && msgpack_sbuffer_write(&copier->values, (const char *)block->bytes + before, size) != 0)
        return store_no_memory(copier->database);
    block->bytes += before + size;
    block->size -= before + size;
    block->first = job + count;
    return 0;
}

/* The next job, or some of those up to `end`. */
static int take_some(struct copier *copier, uint64_t end)
{
    uint64_t job = copier->next, count = end - job, most = PROTO_BLOCK_JOBS_MAX - copier->count;
    msgpack_packer packer;
    int result = 0;

    count = count < most ? count : most;
    if (copier->source.list) {
        result = find_block(copier, job);
        if (result == 0) {
            count = count < copier->block.end - job ? count : copier->block.end - job;
            result = take_values(copier, job, count);
        }
    } else {
        msgpack_packer_init(&packer, &copier->values, msgpack_sbuffer_write);
        for (uint64_t i = 0; i < count && result == 0; i++)
            result = msgpack_pack_int64(&packer, copier->first_argument + (int64_t)(job + i - 1));
        if (result != 0)
            result = store_no_memory(copier->database);
    }
    copier->count += (uint32_t)count;
    copier->next += count;
    return result;
}

/* The jobs from the next one to `end`, as far as there is room. */
static int take(struct copier *copier, uint64_t end)
{
    int result = 0;

    while (result == 0 && copier->next < end && !is_full(copier))
        result = take_some(copier, end);
    return result;
}

/* --- which jobs */

/* Those of a record that failed. */
static int take_failures(struct copier *copier, sqlite3_stmt *row, msgpack_zone *zone)
{
    struct proto_message message;
    struct muster_error error;
    const void *header;
    size_t size;
    int result = sql_bytes(copier->database, row, 4, &header, &size);

    if (result != 0)
        return result;
    msgpack_zone_clear(zone);
    if (proto_decode(header, size, zone, &message, &error) != 0 || message.type != PROTO_RESULTS)
        return damaged(copier, "records");
    for (uint32_t i = 0; i < message.results.outcome.failure_count && !is_full(copier) && result == 0; i++) {
        uint64_t job = message.results.outcome.failures[i].index;

        if (job < copier->next)
            continue;
        copier->next = job;
        result = take(copier, job + 1);
    }
    return result;
}

/* What lies ahead of the record, and what failed in it. */
static int take_record(struct copier *copier, sqlite3_stmt *row, msgpack_zone *zone)
{
    uint64_t first = sql_column(row, 1), end = first + sql_column(row, 2);
    int result = take(copier, first);

    if (result == 0 && !is_full(copier) && sql_column(row, 3) > 0 && end > copier->next)
        result = take_failures(copier, row, zone);
    if (result == 0 && !is_full(copier) && copier->next < end)
        copier->next = end;
    return result;
}

/* Those that did not succeed. */
static int take_unfinished(struct copier *copier)
{
    struct store_database *database = copier->database;
    sqlite3_stmt *rows = database->statements[SQL_READ_JOBS];
    unsigned looked_at = 0;
    msgpack_zone zone;
    int result = 0;

    if (!msgpack_zone_init(&zone, 4096))
        return store_no_memory(database);
    sql_bind_number(rows, 1, copier->entry->request.copy.source);
    sql_bind_number(rows, 2, copier->next);
    while (result == 0 && !is_full(copier) && looked_at++ < COPY_RECORDS) {
        result = sql_row(database, rows);
        if (result == 0)
            result = take_record(copier, rows, &zone);
    }
    sqlite.reset(rows);
    sqlite.clear_bindings(rows);
    msgpack_zone_destroy(&zone);
    return result == MUSTER_EEND ? take(copier, copier->source.total + 1) : result;
}

/* --- the page */

static int add_block(const struct copier *copier, const struct store_brief *batch)
{
    uint64_t number = copier->entry->request.batch;
    struct store_block block = {.count = copier->count};
    int result;

    if (copier->count == 0)
        return 0;
    if (store_arguments_end(copier->database, number, batch, &block.first) != 0)
        return MUSTER_ESYSTEM;
    block.payload = (struct slice){.blob = blob_copy(copier->values.data, copier->values.size),
                                   .size = copier->values.size};
    if (!block.payload.blob)
        return store_no_memory(copier->database);
    result = store_insert_block(copier->database, number, &block);
    blob_unref(block.payload.blob);
    return result;
}

static int check(struct store_database *database, struct store_entry *entry, struct store_brief *ret_batch,
                 struct store_brief *ret_source)
{
    uint64_t source = entry->request.copy.source;
    int result = store_check_room(database, entry);

    if (result == 0)
        result = store_brief(database, entry, entry->request.batch, ret_batch);
    if (result == 0)
        result = store_brief(database, entry, source, ret_source);
    if (result != 0)
        return result;
    if (ret_batch->sealed || !ret_batch->list)
        return store_entry_fail(entry, MUSTER_ESTATE, "batch %llu takes no arguments",
                                (unsigned long long)entry->request.batch);
    if (!store_state_is_end(ret_source->state))
        return store_entry_fail(entry, MUSTER_ESTATE, "batch %llu is %s", (unsigned long long)source,
                                store_state_name(ret_source->state));
    return 0;
}

int store_copy(struct store_database *database, struct store_entry *entry)
{
    const struct store_copy *copy = &entry->request.copy;
    struct copier copier = {
        .database = database, .entry = entry, .first_argument = copy->first_argument, .next = copy->from};
    struct store_brief batch;
    int result = check(database, entry, &batch, &copier.source);

    if (result != 0)
        return result;
    msgpack_sbuffer_init(&copier.values);
    result = copy->all ? take(&copier, copier.source.total + 1) : take_unfinished(&copier);
    leave_block(&copier.block);
    if (result == 0)
        result = add_block(&copier, &batch);
    msgpack_sbuffer_destroy(&copier.values);
    entry->done.count = copier.count;
    entry->done.next = copier.next;
    entry->done.more = result == 0 && copier.next <= copier.source.total;
    return result;
}
