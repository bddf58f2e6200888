/* SPDX-License-Identifier: MIT
 *
 * Chunk sizes from measured job times. See pacing.h.
 */
#include "coordinator/pacing.h"

#include "proto/limits.h"

/* What a chunk aims at: 80 times the roughly 200 us of CPU that its messages cost, all hops together. */
static const double CHUNK_NS = 16e6;

/* A job longer than this is not queued behind another one: the round trip that a worker then
 * waits, some 150 us, is under 1% of it. */
static const double LONG_JOB_NS = 20e6;

/* How much work a worker should hold: ten round trips. */
static const double HOLD_NS = 1.5e6;

/* Below this a job computes: what it did not compute, it was kept from by others. */
static const double WAITING_JOB = 1.25; /* of its time to its CPU time */

/* A first, cold measurement may be far off: chunks grow by no more than this at a time. */
enum { GROWTH = 32 };

void pacing_init(struct pacing *pacing, uint32_t fixed)
{
    *pacing = (struct pacing){.fixed = fixed};
}

/* Chunks of jobs that compute, of a worker with room for more. */
enum { CHUNKS_HELD = 16 };

/* Recent measurements count most. */
static double mean_of(const struct pacing *pacing, double before, double now)
{
    return pacing->largest == 0 ? now : (before + now) / 2;
}

void pacing_report(struct pacing *pacing, uint32_t jobs, uint64_t execute_ns)
{
    double mean_ns;

    if (jobs == 0)
        return;
    mean_ns = (double)execute_ns / jobs;
    if (mean_ns < 0.1)
        mean_ns = 0.1;
    pacing->mean_ns = mean_of(pacing, pacing->mean_ns, mean_ns);
    if (jobs > pacing->largest)
        pacing->largest = jobs;
}

void pacing_report_waits(struct pacing *pacing, uint32_t jobs, uint64_t execute_ns, uint64_t cpu_ns)
{
    if (jobs > 0)
        pacing->busy_ns = mean_of(pacing, pacing->busy_ns, (double)cpu_ns / jobs);
    pacing_report(pacing, jobs, execute_ns);
}

static uint32_t least(uint64_t a, uint64_t b)
{
    uint64_t smaller = a < b ? a : b;

    return smaller > PROTO_CHUNK_JOBS_MAX ? PROTO_CHUNK_JOBS_MAX : (uint32_t)smaller;
}

uint32_t pacing_chunk(const struct pacing *pacing, uint64_t queued, unsigned workers)
{
    uint64_t share = queued / (2 * (uint64_t)workers), wanted;

    if (pacing->fixed)
        return least(pacing->fixed, queued);
    if (pacing->largest == 0)
        return 1;
    wanted = pacing->mean_ns >= CHUNK_NS ? 1 : (uint64_t)(CHUNK_NS / pacing->mean_ns);
    if (wanted > (uint64_t)pacing->largest * GROWTH)
        wanted = (uint64_t)pacing->largest * GROWTH;
    if (wanted > share)
        wanted = share;
    return least(wanted ? wanted : 1, queued);
}

unsigned pacing_depth(const struct pacing *pacing, unsigned credit)
{
    double chunk_ns = pacing->mean_ns * (pacing->fixed ? pacing->fixed : pacing->largest);
    unsigned depth;

    if (pacing->largest == 0 || pacing->mean_ns >= LONG_JOB_NS)
        return 1;
    depth = chunk_ns * credit <= HOLD_NS ? credit : 1 + (unsigned)(HOLD_NS / chunk_ns) + 1;
    return depth < credit ? depth : credit;
}

/* Jobs that keep a thread busy together: twice as many as would if they waited in turns, since
 * they do not. */
static uint64_t overlap(const struct pacing *pacing, unsigned concurrency)
{
    double jobs;

    if (pacing->largest == 0)
        return concurrency;
    if (pacing->mean_ns < WAITING_JOB * pacing->busy_ns)
        return 1;
    jobs = pacing->busy_ns > 0 ? 2 * pacing->mean_ns / pacing->busy_ns : concurrency;
    return jobs < concurrency ? (uint64_t)jobs : concurrency;
}

struct pacing_fill pacing_fill(const struct pacing *pacing, unsigned concurrency, uint64_t queued,
                               uint64_t assigned, unsigned workers)
{
    uint64_t share = (queued + assigned + workers - 1) / workers, chunk;
    struct pacing_fill fill = {.running = overlap(pacing, concurrency)};

    if (fill.running == 1) {
        chunk = pacing_chunk(pacing, queued, workers);
        return (struct pacing_fill){.running = chunk, .jobs = chunk * pacing_depth(pacing, CHUNKS_HELD)};
    }
    fill.jobs = fill.running;
    if (pacing->largest > 0 && pacing->mean_ns < LONG_JOB_NS)
        fill.jobs +=
            least((uint64_t)((double)fill.running * HOLD_NS / pacing->mean_ns), PROTO_CHUNK_JOBS_MAX);
    if (fill.jobs > share)
        fill.jobs = share;
    return fill;
}
