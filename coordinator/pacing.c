/* SPDX-License-Identifier: MIT
 *
 * Chunk sizes from measured job times. See pacing.h.
 */
#include "coordinator/pacing.h"

#include "proto/limits.h"

#include <math.h>

/* What a chunk aims at: 100 times the roughly 200 us of CPU that its messages cost, all hops
 * together. */
static const double CHUNK_NS = 20e6;

/* What a chunk is not cut below for the sake of the end of a batch: to even out less than half of
 * what its messages cost does not pay. */
static const double LEAST_NS = 100e3;

/* A job longer than this is not queued behind another one: the round trip that a worker then
 * waits, some 150 us, is under 1% of it. */
static const double LONG_JOB_NS = 20e6;

/* How much work a worker should hold behind the chunk that it runs: seven round trips. */
static const double HOLD_NS = 1e6;

/* How much time the measurements cover: six chunks. One job of another length does not upset
 * them, and what changes for good is known after as long. */
static const double MEMORY_NS = 128e6;

/* Below this a job computes: what it did not compute, it was kept from by others. */
static const double WAITING_JOB = 1.25; /* of its time to its CPU time */

static const double DIVISOR_MAX = 8;

/* A first, cold measurement may be far off: chunks grow by no more than this at a time. */
enum { GROWTH = 32 };

/* Chunks of jobs that compute, of a worker with room for more. */
enum { CHUNKS_HELD = 16 };

void pacing_init(struct pacing *pacing, uint32_t fixed)
{
    *pacing = (struct pacing){.fixed = fixed};
}

/* What is left of earlier measurements behind one that took so long. */
static double keep(double took_ns)
{
    return took_ns < MEMORY_NS / 2 ? 1 - took_ns / MEMORY_NS : 0.5;
}

void pacing_report(struct pacing *pacing, uint32_t jobs, uint64_t execute_ns)
{
    pacing_report_waits(pacing, jobs, execute_ns, execute_ns);
}

/* n jobs together scatter by n times the variance of one: what a report took beyond or below n
 * means, squared, over n is an estimate of it. */
void pacing_report_waits(struct pacing *pacing, uint32_t jobs, uint64_t execute_ns, uint64_t cpu_ns)
{
    double took_ns = (double)execute_ns, kept = keep(took_ns), apart_ns;

    if (jobs == 0)
        return;
    if (took_ns < 0.1 * jobs)
        took_ns = 0.1 * jobs; /* the clock saw nothing */
    apart_ns = pacing->largest ? took_ns - jobs * pacing->mean_ns : 0;
    pacing->jobs = kept * pacing->jobs + jobs;
    pacing->took_ns = kept * pacing->took_ns + took_ns;
    pacing->computed_ns = kept * pacing->computed_ns + (double)cpu_ns;
    pacing->scattered = kept * pacing->scattered + apart_ns * apart_ns;
    pacing->mean_ns = pacing->took_ns / pacing->jobs;
    if (jobs > pacing->largest)
        pacing->largest = jobs;
}

/* The factor x of factoring: the workers together get the x-th part of what is left, in chunks of
 * one size. 2 where all jobs take the same time; where they differ so much that it would be more than
 * DIVISOR_MAX, fewer chunks and taking jobs back from the slow ones cost less. */
static double divisor(const struct pacing *pacing, uint64_t queued, unsigned workers)
{
    double spread = sqrt(pacing->scattered / pacing->jobs) / pacing->mean_ns;
    double b = workers * spread / (2 * sqrt((double)queued));

    return fmin(2 + b * b + b * sqrt(b * b + 4), DIVISOR_MAX);
}

static uint32_t least(uint64_t a, uint64_t b)
{
    uint64_t smaller = a < b ? a : b;

    return smaller > PROTO_CHUNK_JOBS_MAX ? PROTO_CHUNK_JOBS_MAX : (uint32_t)smaller;
}

/* How many jobs take so long, between 1 and `most`. */
static double jobs_in(const struct pacing *pacing, double ns, double most)
{
    double jobs = floor(ns / pacing->mean_ns);

    return jobs < 1 ? 1 : jobs < most ? jobs : most;
}

uint32_t pacing_chunk(const struct pacing *pacing, uint64_t queued, unsigned workers)
{
    double part, wanted;

    if (pacing->fixed)
        return least(pacing->fixed, queued);
    if (pacing->largest == 0)
        return 1;
    part = floor((double)queued / (divisor(pacing, queued, workers) * workers));
    wanted = jobs_in(pacing, CHUNK_NS, fmax(part, jobs_in(pacing, LEAST_NS, (double)queued)));
    return least((uint64_t)wanted, least((uint64_t)pacing->largest * GROWTH, queued));
}

unsigned pacing_depth(const struct pacing *pacing, uint32_t jobs, unsigned credit)
{
    double depth;

    if (pacing->largest == 0 || pacing->mean_ns >= LONG_JOB_NS)
        return 1;
    depth = 1 + ceil(HOLD_NS / (pacing->mean_ns * jobs));
    return depth < credit ? (unsigned)depth : credit;
}

/* Jobs that keep a thread busy together: twice as many as would if they waited in turns, since
 * they do not. */
uint64_t pacing_overlap(const struct pacing *pacing, unsigned concurrency)
{
    double jobs;

    if (pacing->largest == 0)
        return concurrency;
    if (pacing->took_ns < WAITING_JOB * pacing->computed_ns)
        return 1;
    jobs = pacing->computed_ns > 0 ? 2 * pacing->took_ns / pacing->computed_ns : concurrency;
    return jobs < concurrency ? (uint64_t)jobs : concurrency;
}

struct pacing_fill pacing_fill(const struct pacing *pacing, unsigned concurrency, uint64_t queued,
                               uint64_t assigned, unsigned workers)
{
    uint64_t share = (queued + assigned + workers - 1) / workers;
    uint32_t chunk;
    struct pacing_fill fill = {.running = pacing_overlap(pacing, concurrency)};

    if (fill.running == 1) {
        chunk = pacing_chunk(pacing, queued, workers);
        return (struct pacing_fill){.running = chunk,
                                    .jobs = (uint64_t)chunk * pacing_depth(pacing, chunk, CHUNKS_HELD)};
    }
    fill.jobs = fill.running;
    if (pacing->largest > 0 && pacing->mean_ns < LONG_JOB_NS)
        fill.jobs +=
            least((uint64_t)((double)fill.running * HOLD_NS / pacing->mean_ns), PROTO_CHUNK_JOBS_MAX);
    if (fill.jobs > share)
        fill.jobs = share;
    return fill;
}
