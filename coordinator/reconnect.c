/* SPDX-License-Identifier: MIT
 *
 * Pauses ahead of tries to connect. See reconnect.h.
 */
#include "coordinator/reconnect.h"

#include "base/clock.h"

/* Of the first, and the longest. */
static const uint64_t PAUSE_NS = 250 * CLOCK_NS_PER_MS, PAUSE_MAX_NS = 8 * CLOCK_NS_PER_S;

/* And while there are workers that go on: a coordinator waits ten seconds for them. */
static const uint64_t PAUSE_HELD_NS = 2 * CLOCK_NS_PER_S;

void reconnect_begin(struct reconnect *reconnect)
{
    *reconnect = (struct reconnect){.pause_ns = PAUSE_NS};
}

void reconnect_plan(struct reconnect *reconnect, uint64_t now_ns, bool held)
{
    uint64_t most_ns = held ? PAUSE_HELD_NS : PAUSE_MAX_NS;
    uint64_t pause_ns = reconnect->pause_ns < most_ns ? reconnect->pause_ns : most_ns;

    reconnect->due_ns = clock_after(now_ns, pause_ns);
    reconnect->pause_ns = 2 * pause_ns;
}
