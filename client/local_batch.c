/* SPDX-License-Identifier: MIT
 *
 * The books of a batch that runs in this process: what ended, what the caller was given, why
 * it stopped; and the caller's waiting. See local.h.
 */
#include "client/local.h"

#include "base/clock.h"

#include <poll.h>

/* on_tick is called every 100 ms at least; between jobs it is looked at twice as often. */
enum { TICK_MS = 100 };

static const uint64_t BREATHE_NS = 50 * CLOCK_NS_PER_MS;

void local_batch_init(struct local_batch *run, const muster_function *function,
                      const struct muster_batch *batch, struct muster_summary *summary)
{
    run->function = function;
    run->batch = batch;
    run->cut_late = batch->chunk_jobs == 0;
    atomic_init(&run->cancel.raised, 0);
    atomic_init(&run->stopped, false);
    atomic_init(&run->failures, 0);
    run->summary = summary;
    run->total = 0;
    run->code = 0;
    run->reason = NULL;
    run->muted = false;
    run->started_ns = run->ticked_ns = clock_now_ns();
    run->stall = (struct stall){.since_ns = run->started_ns};
}

void local_stop(struct local_batch *run, bool now)
{
    atomic_store_explicit(&run->stopped, true, memory_order_relaxed);
    if (now)
        call_cancel_raise(&run->cancel);
}

void local_give_up(struct local_batch *run, int code, const char *reason)
{
    if (run->code == 0) {
        run->code = code;
        run->reason = reason;
    }
    local_stop(run, true);
}

void local_account(struct local_batch *run, const struct local_chunk *chunk)
{
    struct muster_summary *summary = run->summary;

    summary->succeeded += chunk->jobs.count - chunk->failed;
    summary->failed += chunk->failed;
    summary->retried += chunk->retried;
    summary->execute_ns += chunk->execute_ns;
    summary->execute_cpu_ns += chunk->cpu_ns;
    if (chunk->code != 0)
        local_give_up(run, chunk->code, "out of memory for results");
}

void local_deliver(struct local_batch *run, const struct local_chunk *chunk)
{
    const struct muster_batch *batch = run->batch;

    for (uint32_t i = 0; i < chunk->result_count && !run->muted; i++) {
        const struct local_result *kept = &chunk->results[i];
        msgpack_object number;
        struct muster_result result = {
            .index = chunk->jobs.first + kept->position,
            .code = kept->code,
            .text = kept->text,
            .attempts = kept->attempts,
            .worker = chunk->worker,
        };
        int code;

        if (batch->want_timings) {
            result.began_ns = chunk->timings[i].began_ns;
            result.wall_ns = chunk->timings[i].wall_ns;
            result.cpu_ns = chunk->timings[i].cpu_ns;
        }
        if (kept->code == 0)
            result.value = &kept->value;
        if (kept->code != 0 || batch->want_arguments)
            result.argument = feed_argument(&chunk->jobs, kept->position, &number);
        if ((code = batch->on_result(batch->context, &result)) != 0) {
            run->muted = true;
            local_give_up(run, code, "the taker of results gave up");
        }
    }
}

static void tick(struct local_batch *run, uint64_t now_ns)
{
    struct muster_progress progress = {
        .total = run->total,
        .succeeded = run->summary->succeeded,
        .failed = run->summary->failed,
        .elapsed_ns = now_ns - run->started_ns,
    };
    int code;

    run->ticked_ns = now_ns;
    if (!run->muted && (code = run->batch->on_tick(run->batch->context, &progress)) != 0) {
        run->muted = true;
        local_give_up(run, code, "the watcher of progress gave up");
    }
}

/* An interrupt is taken once: its descriptor stays readable. */
static unsigned look(struct local_batch *run, int source_fd, int completion_fd, int timeout_ms)
{
    struct pollfd fds[3] = {
        {.fd = run->code == 0 ? run->batch->interrupt_fd : -1, .events = POLLIN},
        {.fd = source_fd, .events = POLLIN},
        {.fd = completion_fd, .events = POLLIN},
    };
    int ready;

    stall_end(&run->stall, clock_now_ns());
    ready = poll(fds, 3, timeout_ms);
    stall_begin(&run->stall, clock_now_ns());
    if (ready <= 0)
        return 0;
    if ((fds[0].revents | fds[1].revents) & POLLNVAL)
        local_give_up(run, MUSTER_EINVALID, "the source or the interrupt is no open descriptor");
    else if (fds[0].revents)
        local_give_up(run, MUSTER_ECANCELLED, "interrupted");
    return (fds[1].revents ? LOCAL_SOURCE : 0) | (fds[2].revents ? LOCAL_COMPLETION : 0);
}

unsigned local_wait(struct local_batch *run, int source_fd, int completion_fd)
{
    tick(run, clock_now_ns());
    if (completion_fd < 0 && local_is_stopped(run))
        return 0;
    return look(run, source_fd, completion_fd, TICK_MS);
}

void local_breathe(struct local_batch *run)
{
    uint64_t now_ns = clock_now_ns();

    if (now_ns - run->ticked_ns < BREATHE_NS)
        return;
    tick(run, now_ns);
    look(run, -1, -1, 0);
}

int local_finish(struct local_batch *run, const struct feed *feed, uint64_t total,
                 struct muster_error *ret_error)
{
    struct muster_summary *summary = run->summary;

    stall_end(&run->stall, clock_now_ns());
    summary->stall_ns = run->stall.longest_ns;
    summary->jobs = total;
    summary->cancelled = total - summary->succeeded - summary->failed;
    if (run->code != 0)
        return muster_error_set(ret_error, run->code, "%s", run->reason);
    if (feed->code != 0)
        return muster_error_set(ret_error, feed->code, "%s", feed->error.text);
    return 0;
}
