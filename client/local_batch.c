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

int local_batch_init(struct local_batch *run, const muster_function *function,
                     const struct muster_batch *batch, struct muster_summary *summary)
{
    run->function = function;
    run->batch = batch;
    run->cut_late = batch->chunk_jobs == 0;
    run->caller_works = false;
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
    run->account = account_create(summary->workers, run->started_ns);
    return run->account ? 0 : MUSTER_ENOMEM;
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

/* Until the chunk was at its worker. Nothing is encoded or sent; to ask for an argument is all
 * that its encoding takes. */
static struct moments moments_of(const struct local_batch *run, const struct local_chunk *chunk)
{
    const struct feed_block *block = chunk->jobs.block;
    uint64_t asked_ns = block ? block->asked_ns : run->started_ns;
    uint64_t ready_ns = block ? block->ready_ns : run->started_ns;
    uint64_t taken_ns = chunk->taken_ns ? chunk->taken_ns : chunk->began_ns;

    return (struct moments){.asked_ns = asked_ns,
                            .sent_ns = ready_ns,
                            .queued_ns = ready_ns,
                            .assigned_ns = taken_ns,
                            .arrived_ns = taken_ns};
}

static struct work work_of(const struct local_chunk *chunk)
{
    return (struct work){.began_ns = chunk->began_ns, .execute_ns = chunk->execute_ns, .split = true};
}

void local_account(struct local_batch *run, struct local_chunk *chunk)
{
    struct muster_summary *summary = run->summary;
    struct moments moments = moments_of(run, chunk);
    struct work work = work_of(chunk);

    summary->succeeded += chunk->jobs.count - chunk->failed;
    summary->failed += chunk->failed;
    summary->retried += chunk->retried;
    summary->execute_ns += chunk->execute_ns;
    summary->execute_cpu_ns += chunk->cpu_ns;
    chunk->received_ns = clock_now_ns();
    account_work(run->account, chunk->worker, &moments, &work, chunk->received_ns);
    if (chunk->code != 0)
        local_give_up(run, chunk->code, "out of memory for results");
}

static struct muster_receipt receipt_of(const struct moments *moments, const struct local_timing *timing,
                                        uint64_t received_ns)
{
    struct work work = {.began_ns = timing->began_ns, .execute_ns = timing->wall_ns, .split = true};

    return account_job(moments, &work,
                       &(struct delivery){.received_ns = received_ns, .handed_ns = clock_now_ns()});
}

/* All that came of the chunk was handed over. */
static void account_handed(struct local_batch *run, const struct local_chunk *chunk, uint64_t received_ns)
{
    struct delivery delivery = {.received_ns = received_ns, .handed_ns = clock_now_ns()};
    struct work work = work_of(chunk);

    account_delivery(run->account, &work, &delivery);
    if (run->caller_works)
        account_commit(run->account, chunk->worker, received_ns, delivery.handed_ns);
}

void local_deliver(struct local_batch *run, const struct local_chunk *chunk)
{
    const struct muster_batch *batch = run->batch;
    uint64_t received_ns = chunk->received_ns ? chunk->received_ns : clock_now_ns();
    struct moments moments = moments_of(run, chunk);

    for (uint32_t i = 0; i < chunk->result_count && !run->muted; i++) {
        const struct local_result *kept = &chunk->results[i];
        struct muster_receipt receipt;
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
            receipt = receipt_of(&moments, &chunk->timings[i], received_ns);
            result.receipt = &receipt;
        }
        if (kept->code == 0)
            result.value = &kept->value;
        if (kept->code != 0 || batch->want_arguments)
            result.argument = feed_argument(&chunk->jobs, kept->position, &number);
        code = batch->on_result(batch->context, &result);
        if (code == MUSTER_EEND) {
            local_stop(run, false);
        } else if (code != 0) {
            run->muted = true;
            local_give_up(run, code, "the taker of results gave up");
        }
    }
    account_handed(run, chunk, received_ns);
}

static void tick(struct local_batch *run, uint64_t now_ns)
{
    struct muster_progress progress = {
        .total = run->total,
        .succeeded = run->summary->succeeded,
        .failed = run->summary->failed,
        .elapsed_ns = now_ns - run->started_ns,
    };
    int code = run->muted ? 0 : run->batch->on_tick(run->batch->context, &progress);

    run->ticked_ns = now_ns;
    if (code == MUSTER_EEND) {
        local_stop(run, false);
    } else if (code != 0) {
        run->muted = true;
        local_give_up(run, code, "the watcher of progress gave up");
    }
}

/* An interrupt is taken once: its descriptor stays readable. */
static unsigned look(struct local_batch *run, int source_fd, int completion_fd, int timeout_ms)
{
    struct pollfd fds[4] = {
        {.fd = run->code == 0 ? run->batch->interrupt_fd : -1, .events = POLLIN},
        {.fd = source_fd, .events = POLLIN},
        {.fd = completion_fd, .events = POLLIN},
        {.fd = run->muted ? -1 : run->batch->wake_fd, .events = POLLIN},
    };
    int ready;

    stall_end(&run->stall, clock_now_ns());
    ready = poll(fds, 4, timeout_ms);
    stall_begin(&run->stall, clock_now_ns());
    if (ready <= 0)
        return 0;
    if ((fds[0].revents | fds[1].revents | fds[3].revents) & POLLNVAL)
        local_give_up(run, MUSTER_EINVALID, "the source, the interrupt or what wakes is no open descriptor");
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
    summary->receipt = account_close(run->account, clock_now_ns(), 0);
    account_destroy(run->account);
    summary->jobs = total;
    summary->cancelled = total - summary->succeeded - summary->failed;
    if (run->code != 0)
        return muster_error_set(ret_error, run->code, "%s", run->reason);
    if (feed->code != 0)
        return muster_error_set(ret_error, feed->code, "%s", feed->error.text);
    return 0;
}
