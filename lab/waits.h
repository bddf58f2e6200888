/* SPDX-License-Identifier: MIT
 *
 * The wait-for graph of threads and locks: who holds which lock, who waits for which, and
 * whether a wait closes a cycle, which is what a deadlock is. A thread waits for one lock at
 * most and a lock has one holder at most, so there is one way on from each node, and a cycle
 * is found by following it. Pure: no thread, lock or clock is touched here.
 */
#ifndef MUSTER_LAB_WAITS_H
#define MUSTER_LAB_WAITS_H

#include <stdbool.h>
#include <stddef.h>

enum { WAITS_THREADS_MAX = 16, WAITS_LOCKS_MAX = 16 };

/* A line of the program. */
struct waits_place {
    const char *function; /* static */
    int line;
};

#define WAITS_HERE ((struct waits_place){__func__, __LINE__})

/* Zeroed: nobody holds or waits for anything. */
struct waits {
    struct {
        bool waits;
        unsigned lock; /* that it waits for */
        struct waits_place place;
    } threads[WAITS_THREADS_MAX];
    struct {
        bool held;
        unsigned thread; /* that holds it */
        struct waits_place place;
    } locks[WAITS_LOCKS_MAX];
};

/* One thread of a cycle: it waits for what the next one holds, the last for what the first does. */
struct waits_link {
    unsigned thread, holds, wants; /* itself, and two locks */
    struct waits_place held_at, wanted_at;
};

/* The thread, which waits for nothing, takes a lock that is free. */
void waits_hold(struct waits *waits, unsigned thread, unsigned lock, struct waits_place place);

/* The thread gives a lock back that it holds. */
void waits_release(struct waits *waits, unsigned thread, unsigned lock);

/* The thread waits for the lock from now on. Returns how many threads the cycle has that this
 * closes, and those in *ret_cycle, this one first; 0, and nothing there, when it closes none. */
size_t waits_begin(struct waits *waits, unsigned thread, unsigned lock, struct waits_place place,
                   struct waits_link ret_cycle[WAITS_THREADS_MAX]);

/* It waits no longer. */
void waits_end(struct waits *waits, unsigned thread);

#endif
