/* SPDX-License-Identifier: MIT
 *
 * Clocks, all in nanoseconds. CLOCK_MONOTONIC is one clock for every process of a host, so
 * times taken on both sides of a process boundary can be subtracted.
 */
#ifndef MUSTER_BASE_CLOCK_H
#define MUSTER_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLOCK_NS_PER_S  UINT64_C(1000000000)
#define CLOCK_NS_PER_MS UINT64_C(1000000)
#define CLOCK_NS_PER_US UINT64_C(1000)
#define CLOCK_NEVER     UINT64_MAX /* a deadline that does not come */

static inline uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * CLOCK_NS_PER_S + (uint64_t)t.tv_nsec;
}

/* Monotonic time. Costs about 25 ns (vDSO). */
static inline uint64_t clock_now_ns(void)
{
    return clock_read_ns(CLOCK_MONOTONIC);
}

/* CPU time of the calling thread; a system call. */
static inline uint64_t clock_thread_cpu_ns(void)
{
    return clock_read_ns(CLOCK_THREAD_CPUTIME_ID);
}

/* CPU time of the calling process; a system call. */
static inline uint64_t clock_process_cpu_ns(void)
{
    return clock_read_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* Milliseconds from now_ns until deadline_ns, rounded up, for poll: 0 when it has passed,
 * -1 for CLOCK_NEVER. */
int clock_poll_ms(uint64_t now_ns, uint64_t deadline_ns);

/* now_ns + duration_ns, CLOCK_NEVER where that overflows. */
uint64_t clock_after(uint64_t now_ns, uint64_t duration_ns);

#endif
