/* SPDX-License-Identifier: MIT
 *
 * Two threads, two locks, opposite order. See deadlock.h. The calling thread is one of the two.
 */
#include "lab/deadlock.h"

#include "base/clock.h"
#include "lab/watched.h"

#include <assert.h>
#include <pthread.h>

enum { BALANCE = 1000, AMOUNT = 1 };

/* Thread `self` moves money from account `self` to the other one. */
struct party {
    struct experiment *experiment;
    unsigned self;
    uint64_t done;
};

struct experiment {
    struct watched watched;
    pthread_barrier_t meeting; /* of both, when each holds one lock */
    bool in_order;
    uint64_t transfers;                /* of each */
    int64_t accounts[WAITS_LOCKS_MAX]; /* each guarded by the lock of its number */
    struct party parties[DEADLOCK_PARTIES];
    /* Written by the one thread that was refused first, read when both have ended. */
    struct waits_link cycle[WAITS_THREADS_MAX];
    size_t count;
};

const char *deadlock_thread(unsigned thread)
{
    return thread == 0 ? "A to B" : "B to A";
}

const char *deadlock_lock(unsigned lock)
{
    return lock == 0 ? "account A" : "account B";
}

/* One transfer; false when it was refused, with nothing moved and no lock held. */
static bool transfer(struct experiment *e, unsigned self)
{
    unsigned other = 1 - self;
    unsigned first = e->in_order ? 0 : self, second = 1 - first;
    struct waits_link cycle[WAITS_THREADS_MAX];
    size_t count = 0;
    bool granted;

    granted = watched_take(&e->watched, self, first, WAITS_HERE, cycle, &count) == 0;
    assert(granted); /* who holds nothing is in no cycle */
    if (!e->in_order)
        pthread_barrier_wait(&e->meeting);
    granted = watched_take(&e->watched, self, second, WAITS_HERE, cycle, &count) == 0;
    if (granted) {
        e->accounts[self] -= AMOUNT;
        e->accounts[other] += AMOUNT;
        watched_give(&e->watched, self, second);
    } else {
        for (size_t i = 0; i < count; i++)
            e->cycle[i] = cycle[i];
        e->count = count;
    }
    watched_give(&e->watched, self, first);
    return granted;
}

static void *run_party(void *context)
{
    struct party *party = context;

    for (uint64_t i = 0; i < party->experiment->transfers; i++)
        party->done += transfer(party->experiment, party->self);
    return NULL;
}

/* Lets both threads make their transfers. */
static int run_both(struct experiment *e, bool in_order, uint64_t transfers, struct muster_error *ret_error)
{
    pthread_t thread;
    int error;

    e->in_order = in_order;
    e->transfers = transfers;
    e->count = 0;
    for (unsigned i = 0; i < DEADLOCK_PARTIES; i++) {
        e->parties[i] = (struct party){.experiment = e, .self = i};
        e->accounts[i] = BALANCE;
    }
    if ((error = pthread_create(&thread, NULL, run_party, &e->parties[1])) != 0)
        return muster_error_system(ret_error, error, "cannot start a second thread");
    run_party(&e->parties[0]);
    pthread_join(thread, NULL);
    assert(e->accounts[0] + e->accounts[1] == DEADLOCK_PARTIES * BALANCE);
    return 0;
}

/* Both parts; fills in the report as far as it comes. */
static int run_parts(struct experiment *e, uint64_t transfers, struct deadlock_report *ret_report,
                     struct muster_error *ret_error)
{
    uint64_t began_ns;
    int code = run_both(e, false, 1, ret_error);

    if (code)
        return code;
    if (e->count == 0)
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "deadlock: two threads that must wait for each other did not");
    for (size_t i = 0; i < e->count; i++)
        ret_report->cycle[i] = e->cycle[i];
    ret_report->count = e->count;
    began_ns = clock_now_ns();
    if ((code = run_both(e, true, transfers, ret_error)) != 0)
        return code;
    ret_report->wall_s = (double)(clock_now_ns() - began_ns) / (double)CLOCK_NS_PER_S;
    ret_report->transfers = e->parties[0].done + e->parties[1].done;
    if (e->count > 0)
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "deadlock: threads that lock in one order waited for each other");
    return 0;
}

int deadlock_run(uint64_t transfers, struct deadlock_report *ret_report, struct muster_error *ret_error)
{
    struct deadlock_report report = {.count = 0};
    struct experiment experiment = {.count = 0};
    int error, code = watched_init(&experiment.watched, ret_error);

    if (code)
        return code;
    if ((error = pthread_barrier_init(&experiment.meeting, NULL, DEADLOCK_PARTIES)) != 0) {
        watched_fini(&experiment.watched);
        return muster_error_system(ret_error, error, "cannot make a barrier");
    }
    code = run_parts(&experiment, transfers, &report, ret_error);
    pthread_barrier_destroy(&experiment.meeting);
    watched_fini(&experiment.watched);
    if (code == 0)
        *ret_report = report;
    return code;
}
