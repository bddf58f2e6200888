/* SPDX-License-Identifier: MIT
 *
 * Two threads at one account, unprotected and protected, each on a core of its own. See race.h.
 */
#include "lab/race.h"

#include "base/clock.h"
#include "lab/pinned.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

enum {
    PARTIES = 2,
    RECEIPT_BYTES = 128,       /* two lines of a cache */
    SPINS_MAX = 100000,        /* 100 us: the other is on a core of its own, but may not have it now */
    ROUNDS_PER_LOOK = 1 << 12, /* between two looks for an interrupt: a few milliseconds */
    LINE_BYTES = 64,           /* of a cache: what the threads write does not share one */
};

struct account {
    _Atomic int64_t balance;
    pthread_mutex_t mutex; /* where the variant is so: guards balance */
};

/* Where both threads meet and part together. They spin, since a thread that has to be woken is
 * late; one that spins in vain lets others have its core. */
struct meeting {
    atomic_uint here, times;
    unsigned spins_max;
};

struct contest {
    bool (*withdraw)(struct account *account, char *receipt);
    _Alignas(LINE_BYTES) struct account account;
    _Alignas(LINE_BYTES) struct meeting meeting;
    _Alignas(LINE_BYTES) bool over; /* from here on, what one thread writes before a meeting and */
    bool paid[PARTIES];             /* the other reads after it */
    char receipts[PARTIES][RECEIPT_BYTES];
    bool interrupted;     /* here and below: of the counting thread alone */
    struct race_row *row; /* borrowed */
    int interrupt_fd;     /* borrowed */
};

static void meet(struct meeting *meeting)
{
    unsigned times = atomic_load_explicit(&meeting->times, memory_order_relaxed);

    if (atomic_fetch_add_explicit(&meeting->here, 1, memory_order_acq_rel) == PARTIES - 1) {
        atomic_store_explicit(&meeting->here, 0, memory_order_relaxed);
        atomic_store_explicit(&meeting->times, times + 1, memory_order_release);
        return;
    }
    for (unsigned spins = 0; atomic_load_explicit(&meeting->times, memory_order_acquire) == times; spins++)
        if (spins >= meeting->spins_max)
            sched_yield();
}

/* What is done about a withdrawal beside the booking, in every variant. */
static void write_receipt(char *receipt)
{
    snprintf(receipt, RECEIPT_BYTES, "%d paid at %" PRIu64, RACE_AMOUNT, clock_now_ns());
}

/* As one writes it who thinks of one thread: if the balance covers it, write a receipt, then
 * take it from the balance. Right after each meeting one thread is about 100 ns ahead, the time
 * that news of a store take to another core; the receipt takes longer than that. */
static bool withdraw_unprotected(struct account *account, char *receipt)
{
    int64_t balance;

    if (atomic_load_explicit(&account->balance, memory_order_relaxed) < RACE_AMOUNT)
        return false;
    write_receipt(receipt);
    balance = atomic_load_explicit(&account->balance, memory_order_relaxed);
    atomic_store_explicit(&account->balance, balance - RACE_AMOUNT, memory_order_relaxed);
    return true;
}

static bool withdraw_locked(struct account *account, char *receipt)
{
    bool paid;

    pthread_mutex_lock(&account->mutex);
    paid = withdraw_unprotected(account, receipt);
    pthread_mutex_unlock(&account->mutex);
    return paid;
}

/* The act succeeds only on the balance that was checked. */
static bool withdraw_atomically(struct account *account, char *receipt)
{
    int64_t balance = atomic_load_explicit(&account->balance, memory_order_relaxed);

    do {
        if (balance < RACE_AMOUNT)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&account->balance, &balance, balance - RACE_AMOUNT,
                                                    memory_order_relaxed, memory_order_relaxed));
    write_receipt(receipt);
    return true;
}

/* The thread that does nothing else. */
static void *withdraw_beside(void *context)
{
    struct contest *contest = context;

    for (;;) {
        meet(&contest->meeting);
        if (contest->over)
            return NULL;
        contest->paid[1] = contest->withdraw(&contest->account, contest->receipts[1]);
        meet(&contest->meeting);
    }
}

static bool is_interrupted(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};

    return poll(&item, 1, 0) > 0;
}

/* The thread that keeps the count, and ends the other one. */
static void *withdraw_and_count(void *context)
{
    struct contest *contest = context;
    struct race_row *row = contest->row;
    _Atomic int64_t *balance = &contest->account.balance;

    for (uint64_t round = 0; round < row->rounds && !contest->interrupted; round++) {
        atomic_store_explicit(balance, RACE_BALANCE, memory_order_relaxed);
        meet(&contest->meeting);
        contest->paid[0] = contest->withdraw(&contest->account, contest->receipts[0]);
        meet(&contest->meeting);
        race_count(row, atomic_load_explicit(balance, memory_order_relaxed),
                   (unsigned)contest->paid[0] + contest->paid[1]);
        if (round % ROUNDS_PER_LOOK == 0)
            contest->interrupted = is_interrupted(contest->interrupt_fd);
    }
    contest->over = true;
    meet(&contest->meeting);
    return NULL;
}

/* On two cores: threads that share one hardly ever race. */
static int run_both(struct contest *contest, struct muster_error *ret_error)
{
    pthread_t counting, beside;
    int code;

    if ((code = pinned_start(withdraw_beside, contest, 1, &beside, ret_error)) != 0)
        return code;
    code = pinned_start(withdraw_and_count, contest, 0, &counting, ret_error);
    if (code == 0) {
        pthread_join(counting, NULL);
    } else {
        contest->over = true;
        meet(&contest->meeting);
    }
    pthread_join(beside, NULL);
    return code;
}

int race_in_threads(const struct race_spec *spec, struct race_row *row, struct muster_error *ret_error)
{
    static bool (*const ways[])(struct account *, char *) = {
        [RACE_UNPROTECTED] = withdraw_unprotected,
        [RACE_MUTEX] = withdraw_locked,
        [RACE_ATOMIC] = withdraw_atomically,
    };
    struct contest contest = {
        .withdraw = ways[row->variant],
        .meeting.spins_max = muster_cores() > 1 ? SPINS_MAX : 0,
        .row = row,
        .interrupt_fd = spec->interrupt_fd,
    };
    uint64_t began_ns;
    int code, error;

    if ((error = pthread_mutex_init(&contest.account.mutex, NULL)) != 0)
        return muster_error_system(ret_error, error, "cannot make a mutex");
    began_ns = clock_now_ns();
    code = run_both(&contest, ret_error);
    row->wall_s = (double)(clock_now_ns() - began_ns) / (double)CLOCK_NS_PER_S;
    pthread_mutex_destroy(&contest.account.mutex);
    if (code == 0 && contest.interrupted)
        code = muster_error_set(ret_error, MUSTER_ECANCELLED, "interrupted");
    return code;
}
