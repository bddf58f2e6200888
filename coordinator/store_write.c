/* SPDX-License-Identifier: MIT
 *
 * Requests that change the database. Each looks first whether it can be done, so that one that is
 * refused has changed nothing; what fails after that is a failure of the database, and the whole
 * transaction is undone.
 */
#include "base/size.h"
#include "coordinator/store_entry.h"
#include "proto/limits.h"

int store_no_memory(struct store_database *database)
{
    return sql_fail(database, SQLITE_NOMEM);
}

int store_brief(struct store_database *database, struct store_entry *entry, uint64_t number,
                struct store_brief *ret_brief)
{
    sqlite3_stmt *brief = database->statements[SQL_BRIEF];
    int result;

    sql_bind_number(brief, 1, number);
    result = sql_row(database, brief);
    if (result == MUSTER_EEND) {
        store_entry_fail(entry, MUSTER_ENOTFOUND, "batch %llu is not known", (unsigned long long)number);
        return MUSTER_ENOTFOUND;
    }
    if (result != 0)
        return result;
    *ret_brief = (struct store_brief){
        .state = store_column_state(brief, 0),
        .sealed = sqlite.column_type(brief, 1) != SQLITE_NULL,
        .total = sql_column(brief, 1),
        .begin_ms = sql_column(brief, 2),
        .lane = sql_column(brief, 3),
        .work = sql_column(brief, 4),
        .inline_count = sql_column(brief, 5),
        .list = sql_column(brief, 6) != 0,
    };
    return sql_run(database, brief);
}

int store_fail_state(struct store_entry *entry, uint64_t number, enum store_state state, const char *what)
{
    return store_entry_fail(entry, MUSTER_ESTATE, "batch %llu is %s%s", (unsigned long long)number,
                            store_state_name(state), what);
}

/* Runs a statement on one number. */
static int run_on(struct store_database *database, enum store_sql statement, uint64_t number)
{
    sql_bind_number(database->statements[statement], 1, number);
    return sql_run(database, database->statements[statement]);
}

static int set_state(struct store_database *database, uint64_t number, enum store_state from,
                     enum store_state state)
{
    sqlite3_stmt *set = database->statements[SQL_SET_STATE];

    store_tally(database, from, state, 1);
    sql_bind_number(set, 1, number);
    sql_bind_number(set, 2, state);
    return sql_run(database, set);
}

/* Batches that it waits for are known and accepted. */
static int check_after(struct store_database *database, struct store_entry *entry)
{
    const struct store_batch *batch = &entry->request.add;

    for (uint32_t i = 0; i < batch->after_count; i++) {
        struct store_brief brief;
        int result = store_brief(database, entry, batch->after[i].batch, &brief);

        if (result != 0)
            return result;
        if (!brief.sealed)
            return store_entry_fail(entry, MUSTER_ENOTFOUND,
                                    "batch %llu is not known: it was not accepted yet",
                                    (unsigned long long)batch->after[i].batch);
    }
    return 0;
}

int store_check_room(const struct store_database *database, struct store_entry *entry)
{
    char limit[SIZE_TEXT_BYTES];

    if (!database->full)
        return 0;
    return store_entry_fail(entry, MUSTER_ELIMIT,
                            "%s: has reached its limit of %s: it takes no more until batches are forgotten",
                            database->path, size_text(database->limit_bytes, limit));
}

static int check_add(struct store_database *database, struct store_entry *entry)
{
    const struct store_batch *batch = &entry->request.add;
    struct store_brief brief;
    int result = store_check_room(database, entry);

    if (result != 0)
        return result;
    if (batch->number == 0 || batch->number > INT64_MAX || batch->total > (uint64_t)PROTO_BATCH_JOBS_MAX)
        return store_entry_fail(entry, MUSTER_EINVALID, "a batch cannot be numbered %llu, with %llu jobs",
                                (unsigned long long)batch->number, (unsigned long long)batch->total);
    if (batch->block.count != 0 && batch->block.first != 1)
        return store_entry_fail(entry, MUSTER_EINVALID, "the first arguments are not those of job 1");
    if (batch->sealed && batch->kind == PROTO_LIST && batch->total != batch->block.count)
        return store_entry_fail(entry, MUSTER_EINVALID, "a batch of %llu jobs has %lu arguments",
                                (unsigned long long)batch->total, (unsigned long)batch->block.count);
    result = store_brief(database, entry, batch->number, &brief);
    if (result == 0)
        return store_entry_fail(entry, MUSTER_ESTATE, "batch %llu is there already",
                                (unsigned long long)batch->number);
    if (result != MUSTER_ENOTFOUND)
        return result;
    store_entry_clear(entry); /* that it is not known is as it should be */
    return check_after(database, entry);
}

static void bind_lane(sqlite3_stmt *statement, const struct store_batch *batch)
{
    sqlite.bind_int(statement, 1, batch->lane.priority);
    sql_bind_text(statement, 2, batch->lane.user);
}

static void bind_work(sqlite3_stmt *statement, const struct store_batch *batch)
{
    sql_bind_text(statement, 1, batch->function);
    sql_bind_blob(statement, 2, batch->settings.bytes, batch->settings.size);
}

/* A row that many batches share, and that counts them: finds it and counts one more, or adds it. */
struct shared {
    void (*bind)(sqlite3_stmt *statement, const struct store_batch *batch);
    enum store_sql find, use, add;
};

static const struct shared lanes = {bind_lane, SQL_FIND_LANE, SQL_USE_LANE, SQL_ADD_LANE};
static const struct shared works = {bind_work, SQL_FIND_WORK, SQL_USE_WORK, SQL_ADD_WORK};

static int use(struct store_database *database, const struct shared *shared, const struct store_batch *batch,
               uint64_t *ret_row)
{
    uint64_t row;
    int result;

    shared->bind(database->statements[shared->find], batch);
    result = sql_number(database, database->statements[shared->find], &row);
    if (result == 0) {
        result = run_on(database, shared->use, row);
    } else if (result == MUSTER_EEND) {
        shared->bind(database->statements[shared->add], batch);
        result = sql_run(database, database->statements[shared->add]);
        row = (uint64_t)sqlite.last_insert_rowid(database->handle);
    }
    if (result == 0)
        *ret_row = row;
    return result;
}

static int insert_batch(struct store_database *database, const struct store_batch *batch,
                        enum store_state state, bool in_row)
{
    sqlite3_stmt *add = database->statements[SQL_ADD];
    uint64_t lane, work;

    if (use(database, &lanes, batch, &lane) != 0 || use(database, &works, batch, &work) != 0)
        return MUSTER_ESYSTEM;
    store_tally(database, (enum store_state)0, state, 1);
    sql_bind_number(add, 1, batch->number);
    sql_bind_number(add, 2, state);
    sql_bind_number(add, 3, lane);
    sql_bind_number(add, 4, work);
    sql_bind_number(add, 5, batch->submitted_ms);
    if (batch->sealed)
        sql_bind_number(add, 6, batch->total);
    if (in_row) {
        sql_bind_number(add, 7, batch->block.count);
        sql_bind_blob(add, 8, slice_bytes(&batch->block.payload), batch->block.payload.size);
    }
    if (batch->kind == PROTO_RANGE) {
        sqlite.bind_int64(add, 9, batch->first);
        sqlite.bind_int64(add, 10, batch->last);
    }
    sql_bind_any(add, 11, batch->begin_ms);
    if (batch->name.size)
        sql_bind_text(add, 12, batch->name);
    sql_bind_any(add, 13, batch->origin);
    return sql_run(database, add);
}

static int insert_after(struct store_database *database, const struct store_batch *batch)
{
    sqlite3_stmt *add = database->statements[SQL_ADD_AFTER];
    int result = 0;

    for (uint32_t i = 0; i < batch->after_count && result == 0; i++) {
        sql_bind_number(add, 1, batch->number);
        sql_bind_number(add, 2, batch->after[i].batch);
        sql_bind_number(add, 3, batch->after[i].condition);
        result = sql_run(database, add);
    }
    return result;
}

int store_insert_block(struct store_database *database, uint64_t number, const struct store_block *block)
{
    sqlite3_stmt *add = database->statements[SQL_ADD_ARGUMENTS];

    sql_bind_number(add, 1, number);
    sql_bind_number(add, 2, block->first);
    sql_bind_number(add, 3, block->count);
    sql_bind_blob(add, 4, slice_bytes(&block->payload), block->payload.size);
    return sql_run(database, add);
}

static int add(struct store_database *database, struct store_entry *entry)
{
    const struct store_batch *batch = &entry->request.add;
    bool in_row = batch->block.count && batch->block.payload.size <= STORE_INLINE_BYTES_MAX;
    enum store_state state = STORE_OPENING;
    int result = check_add(database, entry);

    if (result != 0)
        return result;
    if (insert_after(database, batch) != 0 ||
        (batch->sealed && store_judge(database, entry, batch->number, batch->begin_ms, &state) != 0) ||
        insert_batch(database, batch, state, in_row) != 0)
        return MUSTER_ESYSTEM;
    entry->done.state = state;
    if (batch->block.count && !in_row)
        result = store_insert_block(database, batch->number, &batch->block);
    if (result == 0 && state == STORE_CANCELLED)
        result =
            store_cancel(database, batch->number, STORE_CANCELLED, entry->request.now_ms, &entry->done.state);
    return result;
}

int store_arguments_end(struct store_database *database, uint64_t number, const struct store_brief *brief,
                        uint64_t *ret_end)
{
    sqlite3_stmt *end = database->statements[SQL_ARGUMENTS_END];
    int result;

    sql_bind_number(end, 1, number);
    result = sql_number(database, end, ret_end);
    if (result != MUSTER_EEND)
        return result;
    *ret_end = brief->inline_count + 1;
    return 0;
}

static int add_arguments(struct store_database *database, struct store_entry *entry)
{
    const struct store_block *block = &entry->request.block;
    uint64_t number = entry->request.batch, end;
    struct store_brief brief;
    int result = store_check_room(database, entry);

    if (result == 0)
        result = store_brief(database, entry, number, &brief);
    if (result != 0)
        return result;
    if (brief.sealed || !brief.list)
        return store_fail_state(entry, number, brief.state, ", and takes no arguments");
    if (store_arguments_end(database, number, &brief, &end) != 0)
        return MUSTER_ESYSTEM;
    if (block->first != end || block->count == 0)
        return store_entry_fail(entry, MUSTER_ESTATE, "arguments from job %llu on, where %llu comes next",
                                (unsigned long long)block->first, (unsigned long long)end);
    return store_insert_block(database, number, block);
}

static int seal(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *set = database->statements[SQL_SET_TOTAL];
    uint64_t number = entry->request.batch, end;
    struct store_brief brief;
    int result = store_brief(database, entry, number, &brief);

    if (result != 0)
        return result;
    if (brief.sealed)
        return store_fail_state(entry, number, brief.state, ", and was sealed");
    if (store_arguments_end(database, number, &brief, &end) != 0)
        return MUSTER_ESYSTEM;
    if (brief.list && entry->request.total != end - 1)
        return store_entry_fail(entry, MUSTER_EINVALID, "batch %llu has %llu arguments for %llu jobs",
                                (unsigned long long)number, (unsigned long long)(end - 1),
                                (unsigned long long)entry->request.total);
    sql_bind_number(set, 1, number);
    sql_bind_number(set, 2, entry->request.total);
    entry->done.state = brief.state;
    result = sql_run(database, set);
    if (result != 0 || brief.state != STORE_OPENING)
        return result;
    if (store_judge(database, entry, number, brief.begin_ms, &entry->done.state) != 0)
        return MUSTER_ESYSTEM;
    if (entry->done.state == STORE_CANCELLED)
        return store_cancel(database, number, STORE_OPENING, entry->request.now_ms, &entry->done.state);
    return set_state(database, number, STORE_OPENING, entry->done.state);
}

static int change_state(struct store_database *database, struct store_entry *entry)
{
    sqlite3_stmt *started = database->statements[SQL_SET_STARTED];
    enum store_state state = entry->request.state;
    uint64_t number = entry->request.batch;
    struct store_brief brief;
    int result = store_brief(database, entry, number, &brief);

    if (result != 0)
        return result;
    if (state == STORE_CANCELLED && brief.state == STORE_RUNNING && brief.sealed)
        return run_on(database, SQL_SET_CANCELLED, number);
    if (!(state == STORE_RUNNING && (brief.state == STORE_QUEUED || brief.state == STORE_OPENING)) &&
        !(state == STORE_QUEUED && brief.state == STORE_RUNNING && brief.sealed))
        return store_fail_state(entry, number, brief.state, "");
    store_tally(database, brief.state, state, 1);
    sql_bind_number(started, 1, number);
    sql_bind_number(started, 2, state);
    if (state == STORE_RUNNING)
        sql_bind_number(started, 3, entry->request.now_ms);
    return sql_run(database, started);
}

static int add_failures(struct store_database *database, const struct store_entry *entry)
{
    sqlite3_stmt *count = database->statements[SQL_FAILURES], *add = database->statements[SQL_ADD_FAILURE];
    const struct store_request *request = &entry->request;
    uint64_t rows;
    int result;

    if (request->failure_count == 0)
        return 0;
    sql_bind_number(count, 1, request->batch);
    result = sql_number(database, count, &rows);
    for (uint32_t i = 0; result == 0 && i < request->failure_count && rows < STORE_FAILURES_MAX;
         i++, rows++) {
        sql_bind_number(add, 1, request->batch);
        sql_bind_number(add, 2, request->failures[i].index);
        sqlite.bind_int(add, 3, request->failures[i].code);
        sql_bind_text(add, 4, request->failures[i].text);
        result = sql_run(database, add);
    }
    return result;
}

/* The record is of jobs that the batch has, and no other record has them. */
static int check_record(struct store_database *database, struct store_entry *entry)
{
    const struct store_record *record = &entry->request.record;
    sqlite3_stmt *before = database->statements[SQL_RECORD_END];
    uint64_t number = entry->request.batch, end = 0, jobs;
    struct store_brief brief;
    int result = store_brief(database, entry, number, &brief);

    if (result != 0)
        return result;
    if (store_state_is_end(brief.state))
        return store_fail_state(entry, number, brief.state, ", and takes no results");
    jobs = brief.sealed ? brief.total : (uint64_t)PROTO_BATCH_JOBS_MAX;
    if (record->first == 0 || record->count == 0 || record->first > jobs ||
        record->count > jobs - record->first + 1)
        return store_entry_fail(entry, MUSTER_EINVALID, "batch %llu has no %lu jobs from %llu on",
                                (unsigned long long)number, (unsigned long)record->count,
                                (unsigned long long)record->first);
    sql_bind_number(before, 1, number);
    sql_bind_number(before, 2, record->first + record->count);
    result = sql_number(database, before, &end);
    if (result == 0 && end > record->first)
        return store_entry_fail(entry, MUSTER_ESTATE, "jobs of batch %llu from %llu on have results",
                                (unsigned long long)number, (unsigned long long)record->first);
    return result == MUSTER_EEND ? 0 : result;
}

static int add_record(struct store_database *database, struct store_entry *entry)
{
    const struct store_record *record = &entry->request.record;
    sqlite3_stmt *add = database->statements[SQL_ADD_RECORD];
    int result = check_record(database, entry);

    if (result != 0)
        return result;
    sql_bind_number(add, 1, entry->request.batch);
    sql_bind_number(add, 2, record->first);
    sql_bind_number(add, 3, record->count);
    sql_bind_number(add, 4, record->failed);
    sql_bind_blob(add, 5, record->header.bytes, record->header.size);
    sql_bind_blob(add, 6, slice_bytes(&record->payload), record->payload.size);
    result = sql_run(database, add);
    if (result != 0)
        return result;
    entry->done.next = (uint64_t)sqlite.last_insert_rowid(database->handle) + 1;
    return add_failures(database, entry);
}

static int set_end(struct store_database *database, const struct store_request *request,
                   enum store_state state, const struct store_batch *counts)
{
    sqlite3_stmt *set = database->statements[SQL_SET_END];

    sql_bind_number(set, 1, request->batch);
    sql_bind_number(set, 2, state);
    sql_bind_number(set, 3, request->now_ms);
    sql_bind_number(set, 4, counts->succeeded);
    sql_bind_number(set, 5, counts->failed);
    sql_bind_number(set, 6, counts->cancelled);
    if (counts->totals.size)
        sql_bind_blob(set, 7, counts->totals.bytes, counts->totals.size);
    return sql_run(database, set);
}

/* A batch that lacks results is lost, however it ended for the rest. */
static enum store_state judge_end(struct store_database *database, const struct store_request *request,
                                  struct store_batch *counts)
{
    uint64_t lacking;

    if (!store_lacking_find(database, request->batch, &lacking))
        return request->state;
    lacking = lacking < counts->succeeded ? lacking : counts->succeeded;
    counts->succeeded -= lacking;
    counts->cancelled += lacking;
    counts->totals.size = 0;
    return STORE_LOST;
}

/* What has ended may turn out to be lost; but what was cancelled was given up already. */
static bool may_end(const struct store_brief *brief, enum store_state state)
{
    return brief->sealed &&
           (!store_state_is_end(brief->state) || (state == STORE_LOST && brief->state != STORE_CANCELLED));
}

static int end(struct store_database *database, struct store_entry *entry)
{
    const struct store_request *request = &entry->request;
    enum store_state state = request->state;
    struct store_batch counts;
    struct store_brief brief;
    int result;

    if (!store_state_is_end(request->state))
        return store_entry_fail(entry, MUSTER_EINVALID, "%s is no end", store_state_name(request->state));
    result = store_brief(database, entry, request->batch, &brief);
    if (result != 0)
        return result;
    if (!may_end(&brief, request->state))
        return store_fail_state(entry, request->batch, brief.state, brief.sealed ? "" : ", and not sealed");
    counts = request->add;
    if (request->state == STORE_CANCELLED && brief.state != STORE_RUNNING) {
        if (store_cancelled(database, request->batch, &counts, &state) != 0)
            return MUSTER_ESYSTEM;
    } else {
        state = judge_end(database, request, &counts);
    }
    if (state != brief.state)
        entry->done.state = state;
    store_tally(database, brief.state, state, 1);
    result = set_end(database, request, state, &counts);
    return result != 0 ? result : store_settle(database, entry, request->batch);
}

int store_write(struct store_database *database, struct store_entry *entry)
{
    switch (entry->request.operation) {
    case STORE_ADD:
        return add(database, entry);
    case STORE_ARGUMENTS:
        return add_arguments(database, entry);
    case STORE_COPY:
        return store_copy(database, entry);
    case STORE_SEAL:
        return seal(database, entry);
    case STORE_STATE:
        return change_state(database, entry);
    case STORE_RESULT:
        return add_record(database, entry);
    case STORE_END:
        return end(database, entry);
    case STORE_DUE:
        return store_due(database, entry);
    case STORE_ABANDON:
        return store_abandon(database, entry);
    case STORE_DROP:
        return store_drop(database, entry);
    case STORE_RESET:
        return store_reset(database, entry);
    case STORE_SWEEP:
        return store_sweep(database, entry);
    case STORE_BARRIER:
        return 0;
    case STORE_RESUME:
    case STORE_COUNTS:
    case STORE_NEXT:
    case STORE_LOAD:
    case STORE_READ:
    case STORE_GAPS:
    case STORE_LIST:
    case STORE_TALLY:
    case STORE_FIND:
        break;
    }
    return store_read(database, entry);
}
