/* SPDX-License-Identifier: MIT
 *
 * Watched locks among real threads: the deadlock is found where it is made, each time, and the
 * work that cannot deadlock runs through. A plain executable, since there are threads.
 */
#include "lab/deadlock.h"
#include "lab/watched.h"

#include "tests/support/check.h"

#include <stdio.h>
#include <string.h>

enum { THREADS = 4, TURNS = 2000 };

static struct muster_error error;

static void two_threads_in_opposite_order_hang_or_are_not_both_named(void)
{
    for (int i = 0; i < 200; i++) {
        struct deadlock_report report;
        unsigned first, second;

        CHECK(deadlock_run(50, &report, &error) == 0 && report.count == 2);
        first = report.cycle[0].thread;
        second = report.cycle[1].thread;
        CHECK(first < DEADLOCK_PARTIES && second == 1 - first);
        CHECK(report.cycle[0].holds == first && report.cycle[0].wants == second);
        CHECK(report.cycle[1].holds == second && report.cycle[1].wants == first);
        CHECK(strcmp(report.cycle[0].held_at.function, "transfer") == 0);
        CHECK(report.cycle[0].held_at.line < report.cycle[0].wanted_at.line);
        CHECK(report.transfers == 100 && report.wall_s >= 0);
    }
    CHECK(strcmp(deadlock_thread(0), deadlock_thread(1)) != 0);
    CHECK(strcmp(deadlock_lock(0), deadlock_lock(1)) != 0);
}

/* A table of philosophers: thread k takes locks k and k + 1, in that order, with no protection
 * but the watch. Whoever is refused puts his first lock down and asks again. */
static struct watched watched;
static long eaten[THREADS]; /* each its thread's */

static void *dine(void *context)
{
    unsigned self = (unsigned)(uintptr_t)context, left = self, right = (self + 1) % THREADS;
    struct waits_link cycle[WAITS_THREADS_MAX];
    size_t count;

    while (eaten[self] < TURNS) {
        CHECK(watched_take(&watched, self, left, WAITS_HERE, cycle, &count) == 0);
        if (watched_take(&watched, self, right, WAITS_HERE, cycle, &count) == 0) {
            eaten[self]++;
            watched_give(&watched, self, right);
        } else {
            CHECK(count == THREADS && cycle[0].thread == self && cycle[0].holds == left &&
                  cycle[0].wants == right);
        }
        watched_give(&watched, self, left);
    }
    return NULL;
}

static void ring_of_threads_hangs_or_loses_a_lock(void)
{
    pthread_t threads[THREADS];
    long meals = 0;

    CHECK(watched_init(&watched, &error) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, dine, (void *)(uintptr_t)i) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < THREADS; i++) {
        meals += eaten[i];
        CHECK(!watched.waits.locks[i].held && !watched.waits.threads[i].waits);
    }
    CHECK(meals == THREADS * TURNS);
    watched_fini(&watched);
}

int main(void)
{
    two_threads_in_opposite_order_hang_or_are_not_both_named();
    ring_of_threads_hangs_or_loses_a_lock();
    return 0;
}
