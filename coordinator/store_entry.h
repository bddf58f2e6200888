/* SPDX-License-Identifier: MIT
 *
 * A request on its way through the store, with its answer. The submitter's thread makes it, the
 * store's thread does it, and the submitter frees it as a completion.
 */
#ifndef MUSTER_COORDINATOR_STORE_ENTRY_H
#define MUSTER_COORDINATOR_STORE_ENTRY_H

#include "coordinator/store.h"
#include "coordinator/store_arena.h"
#include "coordinator/store_sql.h"

/* A batch that the request has to pass, since it met damage there, and its jobs; or 0. */
struct store_damage {
    uint64_t batch, total;
};

struct store_entry {
    struct store_done done; /* first: what the submitter gets of it */
    struct store_request request;
    struct store_arena asked, answer; /* what the two point to */
    void *list;                       /* the list in `done`, while it grows */
    bool unreadable;                  /* answered: what it asks for is on a damaged page */
    unsigned tries;                   /* more that it had, as a read that failed */
    struct store_damage *damaged;     /* in `asked`; SQLite writes nothing more in a transaction that met */
    uint32_t damaged_count;           /* damage, so they are passed when it is done again, */
    uint32_t passed;                  /* and so many were then */
    struct store_entry *next;
};

/* What becomes of it on a disk that cannot be written. */
enum store_trouble { STORE_TROUBLE_REFUSED, STORE_TROUBLE_KEPT, STORE_TROUBLE_READS };

enum store_trouble store_entry_trouble(const struct store_entry *entry);

/* Of its payload. */
size_t store_entry_bytes(const struct store_entry *entry);

/* A copy of the request. 0 or MUSTER_ENOMEM. */
int store_entry_create(const struct store_request *request, struct store_entry **ret_entry);
void store_entry_destroy(struct store_entry *entry);

/* Forgets the answer, so that the request can be done again. */
void store_entry_clear(struct store_entry *entry);

/* The request cannot be done. Returns `code`. */
int store_entry_fail(struct store_entry *entry, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Does it (store_write.c, store_read.c), inside a transaction. 0; or what it was answered; or, when
 * the database has a failure, that the transaction must be undone. A request that fails has
 * changed nothing. */
int store_write(struct store_database *database, struct store_entry *entry);
int store_read(struct store_database *database, struct store_entry *entry);

/* The state that a row says; 0, in which no batch is, when it says something else: the file is damaged. */
static inline enum store_state store_column_state(sqlite3_stmt *row, int column)
{
    uint64_t state = sql_column(row, column);

    return state <= STORE_LOST ? (enum store_state)state : (enum store_state)0;
}

/* Of a batch, what most requests look at first. NOTFOUND is answered. */
struct store_brief {
    enum store_state state;
    bool sealed, list;
    uint64_t total, begin_ms, inline_count;
    uint64_t lane, work; /* rows */
};

int store_brief(struct store_database *database, struct store_entry *entry, uint64_t number,
                struct store_brief *ret_brief);

/* It is in a state that does not allow it, which is answered, with `what` behind it. MUSTER_ESTATE. */
int store_fail_state(struct store_entry *entry, uint64_t number, enum store_state state, const char *what);

/* Whether more may be kept; that there is no room is answered. */
int store_check_room(const struct store_database *database, struct store_entry *entry);

/* Memory for an answer is out: a failure of the database, so that nothing of the group is done. */
int store_no_memory(struct store_database *database);

/* Adds arguments to a batch; the job behind the last that has one. 0 or MUSTER_ESYSTEM. */
int store_insert_block(struct store_database *database, uint64_t number, const struct store_block *block);
int store_arguments_end(struct store_database *database, uint64_t number, const struct store_brief *brief,
                        uint64_t *ret_end);

/* store_forget.c: does DROP, ABANDON, RESET and SWEEP. */
int store_drop(struct store_database *database, struct store_entry *entry);
int store_abandon(struct store_database *database, struct store_entry *entry);
int store_reset(struct store_database *database, struct store_entry *entry);
int store_sweep(struct store_database *database, struct store_entry *entry);

/* store_tally.c: so many batches are in another state; 0: not there. TALLY; and what is written ahead of a
 * commit, or forgotten without one. */
void store_tally(struct store_database *database, enum store_state from, enum store_state to,
                 int64_t batches);
int store_tally_read(struct store_database *database, struct store_entry *entry);
int store_tally_write(struct store_database *database);

/* store_lacking.c: a result was not recorded, alone: 0 or MUSTER_ESYSTEM. Whether a batch lacks one, and how
 * many jobs succeeded of which there is none; and that it has ended, or that all have. */
int store_lacking_note(struct store_database *database, const struct store_request *result);
bool store_lacking_find(struct store_database *database, uint64_t batch, uint64_t *ret_succeeded);
void store_lacking_forget(struct store_database *database, uint64_t batch);
void store_lacking_free(struct store_database *database);

/* store_copy.c: does COPY. */
int store_copy(struct store_database *database, struct store_entry *entry);

/* store_damage.c: what has just failed was to read, or write, this batch. Nothing when it is no damage. */
void store_damage_note(struct store_database *database, struct store_entry *entry, uint64_t number);

/* NULL: the request has met none there. */
const struct store_damage *store_damage_find(const struct store_entry *entry, uint64_t number);

/* Whether the request passes more, when it is done again, than the last time. */
bool store_damage_passes(struct store_entry *entry);

/* store_after.c: what a sealed batch is, by those it waits for and its time. One that cannot be read has not
 * ended. */
int store_judge(struct store_database *database, struct store_entry *entry, uint64_t number,
                uint64_t begin_ms, enum store_state *ret_state);

/* A batch has ended, or is forgotten and was never accepted: those that waited for it end, too, or are
 * queued; the answer lists them behind those that it has. */
int store_settle(struct store_database *database, struct store_entry *entry, uint64_t number);

/* Does DUE; and the earliest of what is delayed behind this one, or 0. */
int store_due(struct store_database *database, struct store_entry *entry);
int store_earliest(struct store_database *database, const struct store_turn *turn, uint64_t *ret_ms);

/* How many jobs of a batch have a record, by how they ended; those that have none are `cancelled`.
 * MUSTER_EPROTOCOL: no batch is so, its counts are damaged. */
int store_recorded(struct store_database *database, uint64_t number, struct store_batch *ret_counts);

/* The same of one that does not run and is cancelled, and what it is then: STORE_LOST where counts are
 * damaged, which are 0 then. */
int store_cancelled(struct store_database *database, uint64_t number, struct store_batch *ret_counts,
                    enum store_state *ret_state);

/* Cancels it: all of its jobs that have no record. *ret_state: what it is then. */
int store_cancel(struct store_database *database, uint64_t number, enum store_state from, uint64_t now_ms,
                 enum store_state *ret_state);

#endif
