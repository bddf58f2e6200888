/* SPDX-License-Identifier: MIT
 *
 * The time that jobs take, seen by the link's thread in the flight recorder while the executor
 * runs them: limits, and jobs that results must not wait for. See link.h.
 */
#include "base/clock.h"
#include "base/coverage.h"
#include "worker/command.h"
#include "worker/link_internal.h"

#include <signal.h>
#include <unistd.h>

/* A job that takes longer than this is slow: results behind it are not held back for it. */
static const uint64_t SLOW_NS = 50 * CLOCK_NS_PER_MS;

void link_kill_worker(void)
{
    command_kill_all();
    coverage_save();
    kill(getpgrp() == getpid() ? 0 : getpid(), SIGKILL);
}

void link_watch(struct link *link, const struct link_watcher *watcher, void *context)
{
    pthread_mutex_lock(&link->mutex);
    link->watcher = watcher;
    link->watcher_context = context;
    pthread_mutex_unlock(&link->mutex);
    link_wake(link); /* there may be a chunk by now */
}

void link_run(struct link *link, const struct link_job *job)
{
    pthread_mutex_lock(&link->mutex);
    link->running = *job;
    pthread_mutex_unlock(&link->mutex);
}

/* It cannot be ended alone; the flight recorder says that it was the one, and that it was not a
 * crash. Even if it ends now, its outcome is not sent. */
void link_end_for_time(struct link *link, uint64_t chunk, uint64_t index)
{
    flight_time_out(link->flight, chunk, index);
    link_kill_worker();
    for (;;)
        pause();
}

/* Who watches, or somebody who does not care. */
static const struct link_watcher *watcher_of(struct link *link)
{
    static const struct link_watcher nobody;
    const struct link_watcher *watcher;

    pthread_mutex_lock(&link->mutex);
    watcher = link->watcher ? link->watcher : &nobody;
    pthread_mutex_unlock(&link->mutex);
    return watcher;
}

/* All not with the mutex held: the executor may ask back. */
void watch_tell_arrived(struct link *link)
{
    const struct link_watcher *watcher = watcher_of(link);

    if (watcher->arrived)
        watcher->arrived(link->watcher_context);
}

void watch_tell_idle(struct link *link)
{
    const struct link_watcher *watcher = watcher_of(link);

    if (watcher->idle)
        watcher->idle(link->watcher_context);
}

void watch_tell_cancelled(struct link *link)
{
    const struct link_watcher *watcher = watcher_of(link);

    if (watcher->cancelled)
        watcher->cancelled(link->watcher_context);
}

/* Ends the worker if its job has passed its limit; else returns when to look again. A job
 * that starts later has a later limit. */
static uint64_t watch_time(struct link *link)
{
    uint64_t now_ns = clock_now_ns(), limit_ns = 0, chunk = 0, position, since_ns;

    pthread_mutex_lock(&link->mutex);
    if (link->taken) {
        limit_ns = link->taken->chunk->timeout_ms * CLOCK_NS_PER_MS;
        chunk = link->taken->chunk->chunk;
    }
    /* While it cannot be released: a job that is executing is one of this chunk. */
    position = atomic_load_explicit(&link->flight->position, memory_order_acquire);
    since_ns = atomic_load_explicit(&link->flight->since_ns, memory_order_relaxed);
    pthread_mutex_unlock(&link->mutex);
    if (limit_ns == 0)
        return CLOCK_NEVER;
    if ((position & 1) == 0)
        return clock_after(now_ns, limit_ns);
    if (now_ns >= clock_after(since_ns, limit_ns))
        link_end_for_time(link, chunk, position >> 1);
    return clock_after(since_ns, limit_ns);
}

/* Looks whether the executor is at one job for long, and else lets it know that time passes;
 * returns when to look again. */
static uint64_t watch_progress(struct link *link)
{
    uint64_t position = atomic_load_explicit(&link->flight->position, memory_order_acquire);
    uint64_t now_ns = clock_now_ns();
    const struct link_watcher *watcher = NULL;
    bool some = false;

    pthread_mutex_lock(&link->mutex);
    if (link->taken || link->queue)
        watcher = link->watcher;
    if (link->taken) {
        some = atomic_load(&link->taken->asked) & ASSIGNMENT_SOME;
        if (position != link->seen_position)
            atomic_fetch_or_explicit(&link->taken->asked, ASSIGNMENT_LOOK, memory_order_relaxed);
    }
    pthread_mutex_unlock(&link->mutex);
    if (!watcher)
        return CLOCK_NEVER;
    if (some)
        watcher->cancelled(link->watcher_context); /* the job may have begun since */
    if (position != link->seen_position) {
        link->seen_position = position;
        link->seen_ns = now_ns;
        link->told = false;
    } else if (!link->told && (position & 1) && now_ns >= clock_after(link->seen_ns, SLOW_NS)) {
        link->told = true;
        watcher->slow(link->watcher_context, link->seen_ns);
    }
    return clock_after(now_ns, SLOW_NS);
}

/* Where several jobs run: the one that has the thread is asked to end at its limit, and the
 * worker is ended if it does not. Returns when to look again; other jobs may have the thread by
 * then, with limits of their own. */
static uint64_t watch_running(struct link *link)
{
    uint64_t now_ns = clock_now_ns(), look_ns = CLOCK_NEVER;
    const struct link_job *job = &link->running;
    const struct link_watcher *watcher = NULL;

    pthread_mutex_lock(&link->mutex);
    if (job->assignment && now_ns >= job->kill_ns)
        link_end_for_time(link, job->assignment->chunk->chunk, job->index);
    if (job->assignment && now_ns >= job->deadline_ns)
        call_cancel_raise(job->cancel);
    if (job->assignment)
        watcher = link->watcher;
    if (link->taken || link->queue)
        look_ns = clock_after(now_ns, SLOW_NS);
    pthread_mutex_unlock(&link->mutex);
    if (watcher)
        watcher->slow(link->watcher_context, now_ns);
    return look_ns;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t watch_jobs(struct link *link)
{
    return link->concurrency > 1 ? watch_running(link) : least(watch_time(link), watch_progress(link));
}
