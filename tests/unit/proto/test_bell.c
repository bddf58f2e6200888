/* SPDX-License-Identifier: MIT
 *
 * Many ring the bell of a worker's slots, each waiting to be seen before he rings again: whoever does
 * not wake the worker waits for ever. A plain executable: it has threads.
 */
#include "base/clock.h"
#include "proto/slots.h"
#include "tests/support/check.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

/* More than there are cores, so that ringers are held up between two instructions. */
enum { RINGERS = 4 };

/* Two seconds. A ring was lost within 50,000 in every third run. */
enum { ROUNDS = 150000 };

static const uint64_t LIMIT_NS = 20 * CLOCK_NS_PER_S;

static struct slots *slots;

static struct ringer {
    pthread_t thread;
    _Atomic uint32_t rang, seen;
} ringers[RINGERS];

static void *ring_often(void *context)
{
    struct ringer *self = context;

    for (uint32_t round = 1; round <= ROUNDS; round++) {
        uint64_t began_ns = clock_now_ns();

        atomic_store(&self->rang, round);
        slots_ring(slots);
        while (atomic_load(&self->seen) < round) {
            CHECK(clock_now_ns() - began_ns < LIMIT_NS);
            sched_yield();
        }
    }
    return NULL;
}

/* Returns whether somebody had rung since. */
static bool look(void)
{
    bool any = false;

    for (int i = 0; i < RINGERS; i++) {
        uint32_t rang = atomic_load(&ringers[i].rang);

        any |= rang != atomic_load(&ringers[i].seen);
        atomic_store(&ringers[i].seen, rang);
    }
    return any;
}

static bool all_rang(void)
{
    for (int i = 0; i < RINGERS; i++)
        if (atomic_load(&ringers[i].seen) < ROUNDS)
            return false;
    return true;
}

/* One who rang long ago, and only now finds the worker asleep, must not take it from those who ring
 * later to wake it. */
static void ringer_that_was_held_up_does_not_leave_the_worker_asleep(void)
{
    int fd;

    CHECK(slots_create(&fd, &slots) == 0);
    for (int i = 0; i < RINGERS; i++)
        CHECK(pthread_create(&ringers[i].thread, NULL, ring_often, &ringers[i]) == 0);
    while (!all_rang()) {
        uint32_t seen = atomic_load(&slots->bell);

        if (!look())
            slots_sleep(slots, seen, 0);
    }
    for (int i = 0; i < RINGERS; i++)
        CHECK(pthread_join(ringers[i].thread, NULL) == 0);
    slots_unmap(slots);
    close(fd);
}

int main(void)
{
    static const struct check checks[] = {
        {"ringer_that_was_held_up_does_not_leave_the_worker_asleep",
         ringer_that_was_held_up_does_not_leave_the_worker_asleep},
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
