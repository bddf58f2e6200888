/* SPDX-License-Identifier: MIT
 *
 * The wait-for graph. See waits.h.
 */
#include "lab/waits.h"

#include <assert.h>

void waits_hold(struct waits *waits, unsigned thread, unsigned lock, struct waits_place place)
{
    assert(thread < WAITS_THREADS_MAX && lock < WAITS_LOCKS_MAX);
    assert(!waits->locks[lock].held && !waits->threads[thread].waits);
    waits->locks[lock].held = true;
    waits->locks[lock].thread = thread;
    waits->locks[lock].place = place;
}

void waits_release(struct waits *waits, unsigned thread, unsigned lock)
{
    assert(lock < WAITS_LOCKS_MAX && waits->locks[lock].held && waits->locks[lock].thread == thread);
    waits->locks[lock].held = false;
}

/* Follows the one way there is from `thread`, which waits: 0 when it ends at a thread that
 * waits for nothing or at a lock that is free, or runs into a cycle that `thread` is not in. */
static size_t follow(const struct waits *waits, unsigned thread, struct waits_link links[WAITS_THREADS_MAX])
{
    unsigned at = thread, lock;

    for (size_t count = 0; count < WAITS_THREADS_MAX; count++) {
        if (!waits->threads[at].waits)
            return 0;
        lock = waits->threads[at].lock;
        links[count].thread = at;
        links[count].wants = lock;
        links[count].wanted_at = waits->threads[at].place;
        if (!waits->locks[lock].held)
            return 0;
        at = waits->locks[lock].thread;
        if (at == thread)
            return count + 1;
    }
    return 0;
}

size_t waits_begin(struct waits *waits, unsigned thread, unsigned lock, struct waits_place place,
                   struct waits_link ret_cycle[WAITS_THREADS_MAX])
{
    struct waits_link links[WAITS_THREADS_MAX];
    size_t count;

    assert(thread < WAITS_THREADS_MAX && lock < WAITS_LOCKS_MAX && !waits->threads[thread].waits);
    waits->threads[thread].waits = true;
    waits->threads[thread].lock = lock;
    waits->threads[thread].place = place;
    count = follow(waits, thread, links);
    for (size_t i = 0; i < count; i++) {
        links[i].holds = links[(i + count - 1) % count].wants;
        links[i].held_at = waits->locks[links[i].holds].place;
        ret_cycle[i] = links[i];
    }
    return count;
}

void waits_end(struct waits *waits, unsigned thread)
{
    assert(thread < WAITS_THREADS_MAX && waits->threads[thread].waits);
    waits->threads[thread].waits = false;
}
