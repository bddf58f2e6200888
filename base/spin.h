/* SPDX-License-Identifier: MIT
 *
 * Looking again for a moment before going to sleep. To be woken takes some 50 us where cores are
 * virtual (6 to 55 us were measured), so what comes within that time is better waited for awake.
 * A wait spins for SPIN_NS at most, and only when the wait before it was as short: so a stretch of
 * waits that does not pay costs one SPIN_NS in total, and what is idle sleeps. Each look gives the
 * core to whoever else wants it. Where there is one core, nothing spins. Owned by one thread.
 */
#ifndef MUSTER_BASE_SPIN_H
#define MUSTER_BASE_SPIN_H

#include <stdbool.h>
#include <stdint.h>

struct spin {
    bool cores; /* there is another one, on which somebody may do what is waited for */
    bool pays;  /* the wait before was short */
    uint64_t began_ns;
};

void spin_init(struct spin *spin);

/* A wait begins: a first look found nothing. */
void spin_begin(struct spin *spin);

/* Whether to look once more, rather than to sleep; gives the core away meanwhile. */
bool spin_again(const struct spin *spin);

/* The wait is over: there is what was waited for. */
void spin_end(struct spin *spin);

#endif
