/* SPDX-License-Identifier: MIT
 *
 * Arithmetic on deadlines. See clock.h.
 */
#include "base/clock.h"

#include <limits.h>

int clock_poll_ms(uint64_t now_ns, uint64_t deadline_ns)
{
    uint64_t ms;

    if (deadline_ns == CLOCK_NEVER)
        return -1;
    if (deadline_ns <= now_ns)
        return 0;
    ms = (deadline_ns - now_ns) / CLOCK_NS_PER_MS + ((deadline_ns - now_ns) % CLOCK_NS_PER_MS != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

uint64_t clock_after(uint64_t now_ns, uint64_t duration_ns)
{
    return duration_ns > CLOCK_NEVER - now_ns ? CLOCK_NEVER : now_ns + duration_ns;
}
