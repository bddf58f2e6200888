/* SPDX-License-Identifier: MIT
 *
 * What a store is asked and what it answers, as structs (store.h says how). Everything that a
 * request points to is copied by store_submit, but payloads, of which the store takes references of
 * its own. What a completion points to lives until it is freed. Texts are bytes with a size, not
 * NUL-terminated; `settings`, `header` and `totals` are encoded by the caller, who alone looks into
 * them. Numbers of batches, indexes of jobs and times (milliseconds since 1970) count from 1: 0 is none.
 */
#ifndef MUSTER_COORDINATOR_STORE_REQUEST_H
#define MUSTER_COORDINATOR_STORE_REQUEST_H

#include "coordinator/spans.h"
#include "proto/messages.h"

/* X(name, number, text). The numbers are in files and never change. */
#define STORE_STATE_MAP(X)                                                     \
    X(OPENING, 1, "opening")     /* arguments come; not accepted */            \
    X(BLOCKED, 2, "blocked")     /* waits for other batches */                 \
    X(DELAYED, 3, "delayed")     /* waits for its time */                      \
    X(QUEUED, 4, "queued")       /* waits for its turn */                      \
    X(RUNNING, 5, "running")     /* the core has it */                         \
    X(SUCCEEDED, 6, "succeeded") /* every job did */                           \
    X(FAILED, 7, "failed")       /* some job failed */                         \
    X(CANCELLED, 8, "cancelled") /* by a client, or since a condition failed*/ \
    X(LOST, 9, "lost")           /* given up */

enum store_state {
#define X(name, number, text) STORE_##name = (number),
    STORE_STATE_MAP(X)
#undef X
};

static inline const char *store_state_name(enum store_state state)
{
    switch (state) {
#define X(name, number, text) \
    case STORE_##name:        \
        return text;
        STORE_STATE_MAP(X)
#undef X
    }
    return "in no state"; /* of a damaged file */
}

static inline bool store_state_is_end(enum store_state state)
{
    return state >= STORE_SUCCEEDED;
}

/* Whom a batch waits for in the queue: of higher priorities all go first, users of one share. */
struct store_lane {
    int32_t priority;
    struct proto_text user;
};

enum store_condition { STORE_AFTER_OK = 1, STORE_AFTER_ANY = 2 }; /* it succeeded; it ended */

struct store_after {
    uint64_t batch;
    enum store_condition condition;
};

/* Values of neighbouring jobs, one after another. */
struct store_block {
    uint64_t first;
    uint32_t count;
    struct slice payload;
};

struct store_batch {
    uint64_t number;
    enum store_state state; /* ADD: not looked at */
    struct store_lane lane;
    struct proto_text name, function, settings;
    enum proto_arguments kind;
    int64_t first, last; /* RANGE: the arguments, inclusive */
    bool sealed;         /* `total` is known, and all of its arguments are there */
    uint64_t total;      /* jobs */
    struct store_block
        block;       /* LIST: the first arguments. Answers have it when it is small (LOAD otherwise) */
    uint64_t origin; /* whose jobs it tries again */
    uint64_t submitted_ms, begin_ms, ended_ms;
    uint64_t started_ms;                   /* when it ran first; from then on it may have records */
    uint64_t succeeded, failed, cancelled; /* jobs, when it has ended */
    struct proto_text totals;
    const struct store_after *after; /* NEXT does not say it */
    uint32_t after_count;
    bool damaged; /* NEXT: nothing else of it can be read, and no later try mends that; but `total`, or 0 */
};

/* How neighbouring jobs ended: what one RESULTS of the core says. */
struct store_record {
    uint64_t first;
    uint32_t count, failed;
    uint64_t sequence; /* answers: grows with each record of its batch */
    struct proto_text header;
    struct slice payload;
};

/* A batch that waited for one that ended, or for its time, and what is now with it. One that is damaged stays
 * what it is, and its state is 0, as it cannot be read, or not be written; or the state is that of its row,
 * where the index has it as delayed. */
struct store_moved {
    uint64_t batch;
    enum store_state state;
    struct store_lane lane; /* of one that has not ended */
    uint64_t begin_ms;      /* DUE */
    uint64_t total;         /* of one that is damaged, or 0 */
    bool damaged;
};

/* Among delayed batches: behind those that begin earlier, or then and have lower numbers. */
struct store_turn {
    uint64_t begin_ms, number;
};

struct store_waiting {
    struct store_lane lane;
    uint64_t batches;
};

/* Arguments of a batch that has ended. */
struct store_copy {
    uint64_t source;
    uint64_t from;          /* the first job that is looked at, */
    bool all;               /* and all behind it are taken, or those that did not succeed */
    int64_t first_argument; /* of the source, if that is a range */
};

/* X(name, what it does on a disk that cannot be written). READS go on; REFUSED fail at once; what is
 * KEPT is tried again until it is written. */
#define STORE_OPERATION_MAP(X) \
    X(ADD, REFUSED)            \
    X(ARGUMENTS, REFUSED)      \
    X(COPY, REFUSED)           \
    X(SEAL, REFUSED)           \
    X(STATE, KEPT)             \
    X(RESULT, KEPT)            \
    X(END, KEPT)               \
    X(DUE, KEPT)               \
    X(ABANDON, KEPT)           \
    X(DROP, REFUSED)           \
    X(RESET, REFUSED)          \
    X(SWEEP, REFUSED)          \
    X(BARRIER, KEPT)           \
    X(RESUME, READS)           \
    X(COUNTS, READS)           \
    X(NEXT, READS)             \
    X(LOAD, READS)             \
    X(READ, READS)             \
    X(GAPS, READS)             \
    X(LIST, READS)             \
    X(TALLY, READS)            \
    X(FIND, READS)

enum store_operation {
#define X(name, trouble) STORE_##name,
    STORE_OPERATION_MAP(X)
#undef X
};

/* Which part of many. Every answer is bounded by limits of the store's own, too, and has one at least. */
struct store_page {
    uint64_t from;                /* LOAD, READ, GAPS: the first job (READ by_sequence: the first sequence);
                                     NEXT, RESUME, LIST: behind this number (LIST downwards: below it, 0: from the top) */
    uint32_t count_max;           /* entries; 0: as many as the store's limit */
    uint64_t bytes_max;           /* LOAD, READ, NEXT, RESUME: of payloads; 0: the store's limit */
    bool by_sequence;             /* READ: in order of commit, not of jobs */
    bool downwards;               /* LIST */
    uint32_t states;              /* LIST: bits 1 << state; 0: all */
    struct proto_text user, name; /* LIST: only of this; empty: of all */
    struct store_lane lane;       /* NEXT */
    struct store_turn turn;       /* DUE: behind this one */
};

/* What each operation looks at stands behind it; `tag` comes back with every completion. */
struct store_request {
    enum store_operation operation;
    uint64_t tag;
    uint64_t batch;         /* all but ADD, DUE, RESET, SWEEP, BARRIER, RESUME, COUNTS, NEXT and LIST */
    uint64_t now_ms;        /* ADD, SEAL, STATE, END, DUE */
    enum store_state state; /* STATE: RUNNING or QUEUED; END: how it ended */
    uint64_t total;         /* SEAL */
    union {
        struct store_batch add;   /* ADD; END: succeeded, failed, cancelled, totals */
        struct store_block block; /* ARGUMENTS */
        struct {
            struct store_record record;           /* RESULT */
            const struct proto_failure *failures; /* of it; a batch keeps its first STORE_FAILURES_MAX */
            uint32_t failure_count;
        };
        struct store_copy copy; /* COPY */
        struct store_page page; /* NEXT, RESUME, LOAD, READ, GAPS, LIST, DUE */
    };
};

#endif
