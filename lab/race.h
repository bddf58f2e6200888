/* SPDX-License-Identifier: MIT
 *
 * A race, made on purpose: an account of 100, and two withdrawals of 80 at the same time, over
 * and over. One of the two has to be refused. Each round two threads are released together;
 * an account that paid both was overdrawn.
 *
 * The race is one of logic, between the check and the act. In C two plain accesses of which one
 * writes would be a data race, and the program's meaning undefined; the unprotected variant
 * therefore loads and stores relaxed atomics, each of which is whole, and which a compiler turns
 * into the same instructions. Between them anything may happen, as it would with plain ones.
 *
 * In processes there is nothing to share: a worker decides on the copy of the balance it was
 * sent. What can still happen is that a decision is stale when it arrives. The account has one
 * owner, the caller, who carries a decision out only if it was made on the balance that still
 * is, and asks again else. The workers are copies of the caller, since what they run is the
 * race's own function; so they are made before there is any thread.
 */
#ifndef MUSTER_LAB_RACE_H
#define MUSTER_LAB_RACE_H

#include "client/muster.h"

#include <stddef.h>
#include <stdint.h>

/* X(name, word) */
#define RACE_VARIANT_MAP(X)       \
    X(UNPROTECTED, "unprotected") \
    X(MUTEX, "mutex")             \
    X(ATOMIC, "atomic")           \
    X(PROCESSES, "processes")

enum race_variant {
#define X(name, word) RACE_##name,
    RACE_VARIANT_MAP(X)
#undef X
};

enum {
    RACE_VARIANTS = RACE_PROCESSES + 1,
    RACE_BALANCE = 100,
    RACE_AMOUNT = 80,
    RACE_ROUNDS_DEFAULT = 300000, /* of threads: a second or two for all */
    RACE_ROUNDS_MAX = 1000000000,
    RACE_ROUNDS_PER_MESSAGES = 1000, /* a round of processes takes as long as about so many of threads */
    RACE_SENTENCE_BYTES = 640,
};

struct race_row {
    enum race_variant variant;
    uint64_t rounds;        /* 0: the variant was left out */
    uint64_t overdrawn;     /* rounds in which both withdrawals were paid */
    uint64_t miscounted;    /* rounds after which the balance was not what had been paid out less */
    int64_t lowest_balance; /* RACE_BALANCE less what was paid, in the worst round */
    double wall_s;
    uint64_t stale; /* processes: decisions on a balance that was no longer true, asked for again */
    uint64_t apart; /* processes: rounds in which two of them decided, not one after the other */
};

struct race_report {
    struct race_row rows[RACE_VARIANTS];
    char sentence[RACE_SENTENCE_BYTES]; /* what was found */
};

struct race_spec {
    uint64_t rounds;     /* of threads; processes get 1 for each RACE_ROUNDS_PER_MESSAGES */
    muster *workers;     /* of race_open, borrowed; NULL: processes are left out, */
    const char *without; /* for this reason */
    int interrupt_fd;    /* readable: end early, with MUSTER_ECANCELLED; -1: none */
    /* Before each variant, for progress. May be NULL. */
    void (*on_variant)(void *context, enum race_variant variant);
    void *context;
};

/* The word for a variant. */
const char *race_variant_name(enum race_variant variant);

/* Makes the workers of the variant `processes`, which muster_close ends. MUSTER_ESTATE once the
 * process has threads; other errors of muster_open. */
int race_open(muster **ret_workers, struct muster_error *ret_error);

/* All variants. 0; MUSTER_ECANCELLED; MUSTER_ESTATE when an account that is protected was
 * overdrawn, which would be a bug here; what the model `processes` says if it cannot run. */
int race_run(const struct race_spec *spec, struct race_report *ret_report, struct muster_error *ret_error);

/* Writes report->sentence from its rows; `without` is as in struct race_spec. Pure. */
void race_judge(struct race_report *report, const char *without, unsigned cores);

/* Enters the end of a round: the balance, and how many withdrawals were paid. Pure. */
void race_count(struct race_row *row, int64_t balance, unsigned paid);

/* How a variant is run: row->variant and row->rounds say what, the rest is filled in; the lowest
 * balance is still RACE_BALANCE. 0; MUSTER_ECANCELLED; other errors. */
int race_in_threads(const struct race_spec *spec, struct race_row *row, struct muster_error *ret_error);
int race_in_processes(const struct race_spec *spec, struct race_row *row, struct muster_error *ret_error);

#endif
