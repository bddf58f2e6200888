/* SPDX-License-Identifier: MIT
 *
 * bench throughput: jobs that do nothing, a second, by the ways in which they can be given: as a
 * range, as a list, and one by one, with futures and with callbacks. See bench.h.
 */
#include "lab/bench.h"

#include "base/clock.h"
#include "lab/bare.h"
#include "lab/peers.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ROUNDS = 5,
    AHEAD = 10000, /* jobs under way at once, where they are given one by one */
    BARE_CHUNK = 1000,
    BARE_AHEAD = 4, /* chunks of a bare loop's worker: with 16 or 64 it was as fast */
    TICK_MS = 100,
};

/* One model, opened, and what jobs need that are given to it one by one. */
struct pool {
    muster *m;
    struct muster_error error;
    muster_future **ring; /* of AHEAD */
    uint64_t under_way, failed;
};

/* --- the ways */

static int map_jobs(struct pool *pool, const struct muster_source *source, uint64_t jobs, uint64_t *ret_ns,
                    struct muster_error *ret_error)
{
    struct muster_batch batch = {.function = "noop", .source = *source, .interrupt_fd = -1};
    struct muster_summary summary;
    uint64_t began_ns = clock_now_ns();
    int code = muster_map(pool->m, &batch, &summary, ret_error);

    if (code)
        return code;
    *ret_ns = clock_now_ns() - began_ns;
    if (summary.succeeded != jobs)
        return muster_error_set(ret_error, MUSTER_ESTATE, "jobs that do nothing failed");
    return 0;
}

static int run_range(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct muster_source range = muster_source_range(1, (int64_t)jobs);

    return map_jobs(context, &range, jobs, ret_ns, ret_error);
}

struct list {
    uint64_t next, last;
};

static int next_of_list(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                        struct muster_error *ret_error)
{
    struct list *list = context;

    (void)zone, (void)ret_error;
    if (list->next > list->last)
        return MUSTER_EEND;
    ret_argument->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_argument->via.u64 = list->next++;
    return 0;
}

static int run_list(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct list list = {.next = 1, .last = jobs};
    struct muster_source source = {
        .kind = MUSTER_SOURCE_STREAM, .next = next_of_list, .context = &list, .fd = -1};

    return map_jobs(context, &source, jobs, ret_ns, ret_error);
}

static int submit(struct pool *pool, uint64_t number, muster_future **ret_future,
                  struct muster_error *ret_error)
{
    msgpack_object argument = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = number};
    struct muster_job job = {.function = "noop", .argument = &argument};

    return muster_submit(pool->m, &job, ret_future, ret_error);
}

/* Waits for the oldest, whose place is free then. */
static int take_oldest(muster_future **place, struct muster_error *ret_error)
{
    int code = *place ? muster_await(*place, NULL, ret_error) : 0;

    muster_future_drop(*place);
    *place = NULL;
    return code;
}

static int run_futures(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct pool *pool = context;
    uint64_t began_ns = clock_now_ns();
    int code = 0, result;

    for (uint64_t i = 0; i < jobs && !code; i++) {
        muster_future **place = &pool->ring[i % AHEAD];

        if ((code = take_oldest(place, ret_error)) == 0)
            code = submit(pool, i, place, ret_error);
    }
    for (uint64_t i = jobs; i < jobs + AHEAD; i++) {
        result = take_oldest(&pool->ring[i % AHEAD], code ? NULL : ret_error);
        code = code ? code : result;
    }
    if (!code)
        *ret_ns = clock_now_ns() - began_ns;
    return code;
}

static void on_success(void *context, muster_future *future)
{
    struct pool *pool = context;

    (void)future;
    pool->under_way--;
}

static void on_failure(void *context, muster_future *future)
{
    struct pool *pool = context;

    (void)future;
    pool->under_way--;
    pool->failed++;
}

static int submit_with_callback(struct pool *pool, uint64_t number, struct muster_error *ret_error)
{
    muster_future *future;
    int code = submit(pool, number, &future, ret_error);

    if (code)
        return code;
    code = muster_future_on_end(future, on_success, on_failure, pool);
    if (code)
        muster_error_set(ret_error, code, "a callback: %s", muster_error_name(code));
    else
        pool->under_way++;
    muster_future_drop(future);
    return code;
}

/* As an application's event loop: polls and dispatches until fewer than `most` are under way. */
static int dispatch_until(struct pool *pool, uint64_t most, struct muster_error *ret_error)
{
    struct pollfd item = {.fd = muster_fd(pool->m), .events = POLLIN};
    int code = 0;

    while (pool->under_way >= most && !code) {
        poll(&item, 1, TICK_MS);
        code = muster_dispatch(pool->m, ret_error);
    }
    return code;
}

static int run_callbacks(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct pool *pool = context;
    uint64_t began_ns = clock_now_ns();
    int code = 0;

    pool->failed = 0;
    for (uint64_t i = 0; i < jobs && !code; i++)
        if ((code = dispatch_until(pool, AHEAD, ret_error)) == 0)
            code = submit_with_callback(pool, i, ret_error);
    if (!code)
        code = dispatch_until(pool, 1, ret_error);
    if (!code && pool->failed > 0)
        code = muster_error_set(ret_error, MUSTER_ESTATE, "jobs that do nothing failed");
    if (!code)
        *ret_ns = clock_now_ns() - began_ns;
    return code;
}

/* --- the figures */

static void open_pool(const struct bench_spec *spec, enum muster_model model, enum muster_transport transport,
                      struct pool *pool)
{
    *pool = (struct pool){.ring = calloc(AHEAD, sizeof(muster_future *))};
    if (!pool->ring) {
        muster_error_set(&pool->error, MUSTER_ENOMEM, "out of memory");
        return;
    }
    pool->m = bench_open(spec, model, transport, spec->workers, &pool->error);
}

static void close_pool(struct pool *pool)
{
    muster_close(pool->m);
    free(pool->ring);
}

enum { IPC, TCP, THREADS, POOLS };
enum {
    BARE_IPC,
    BARE_IPC_SINGLE,
    BARE_IPC_FEW,
    BARE_TCP,
    BARE_TCP_SINGLE,
    BARE_POOL,
    BARE_POOL_SINGLE,
    BARES
};

static const struct {
    const char *name;
    bench_block *block;
    unsigned pool, bare;
} figures[] = {
    {"a range, processes", run_range, IPC, BARE_IPC},
    {"a range, processes, tcp", run_range, TCP, BARE_TCP},
    {"a range, threads", run_range, THREADS, BARE_POOL},
    {"a list, processes", run_list, IPC, BARE_IPC},
    {"a list, threads", run_list, THREADS, BARE_POOL},
    {"one by one, futures, processes", run_futures, IPC, BARE_IPC_SINGLE},
    {"one by one, callbacks, processes", run_callbacks, IPC, BARE_IPC_SINGLE},
    {"one by one, futures, processes, tcp", run_futures, TCP, BARE_TCP_SINGLE},
    {"one by one, futures, threads", run_futures, THREADS, BARE_POOL_SINGLE},
    {"one by one, callbacks, threads", run_callbacks, THREADS, BARE_POOL_SINGLE},
};
enum { FIGURES = sizeof figures / sizeof *figures, AS_RANGE = 0, AS_SINGLE = 5 };

static const char *const bare_names[BARES] = {
    [BARE_IPC] = "ZeroMQ loop, chunks of 1000",          [BARE_IPC_SINGLE] = "ZeroMQ loop, one by one",
    [BARE_IPC_FEW] = "ZeroMQ loop, one by one, 4 ahead", [BARE_TCP] = "ZeroMQ loop, 1000, tcp",
    [BARE_TCP_SINGLE] = "ZeroMQ loop, one by one, tcp",  [BARE_POOL] = "thread pool, runs of 1000",
    [BARE_POOL_SINGLE] = "thread pool, one by one",
};

static void judge(struct bench_report *report)
{
    const struct bench_figure *range = &report->figures[AS_RANGE], *single = &report->figures[AS_SINGLE];

    if (!range->measured || !single->measured) {
        snprintf(report->sentence, sizeof report->sentence, "It could not be measured: %.*s.",
                 BENCH_NOTE_BYTES, range->measured ? single->note : range->note);
        return;
    }
    snprintf(report->sentence, sizeof report->sentence,
             "As a range, %.3g million jobs a second pass the process boundary, each accounted for (%.0f ns "
             "a job); one by one, %.3g million.",
             range->value * 1e-6, 1e9 / range->value, single->value * 1e-6);
    if (range->ratio > 0 && single->ratio > 0)
        snprintf(report->sentence, sizeof report->sentence,
                 "As a range, %.3g million jobs a second pass the process boundary, each accounted for (%.0f "
                 "ns a job), %.3g times as many as in a bare loop that sends each number; one by one, %.2g "
                 "million, %.3g times as many as in one that sends a message each.",
                 range->value * 1e-6, 1e9 / range->value, range->ratio, single->value * 1e-6, single->ratio);
}

int bench_throughput(const struct bench_spec *spec, struct bench_report *report,
                     struct muster_error *ret_error)
{
    static const struct bench_scale jobs_a_second = {"jobs/s", true, 1};
    /* One by one, as many are under way as of muster's. */
    unsigned singles = AHEAD / spec->workers > 0 ? AHEAD / spec->workers : 1;
    struct bare_loop loops[] = {
        {spec->crew, spec->workers, MUSTER_IPC, BARE_CHUNK, BARE_AHEAD},
        {spec->crew, spec->workers, MUSTER_IPC, 1, singles},
        {spec->crew, spec->workers, MUSTER_IPC, 1, BARE_AHEAD},
        {spec->crew, spec->workers, MUSTER_TCP, BARE_CHUNK, BARE_AHEAD},
        {spec->crew, spec->workers, MUSTER_TCP, 1, singles},
    };
    struct bare_pool bare_pools[] = {{spec->workers, BARE_CHUNK}, {spec->workers, 1}};
    struct bench_turn turns[FIGURES + BARES] = {{.block = NULL}};
    struct pool pools[POOLS];
    int code;

    open_pool(spec, MUSTER_PROCESSES, MUSTER_IPC, &pools[IPC]);
    open_pool(spec, MUSTER_PROCESSES, MUSTER_TCP, &pools[TCP]);
    open_pool(spec, MUSTER_THREADS, MUSTER_IPC, &pools[THREADS]);
    for (size_t i = 0; i < FIGURES; i++)
        turns[i] = (struct bench_turn){.block = figures[i].block,
                                       .context = &pools[figures[i].pool],
                                       .error = pools[figures[i].pool].error};
    for (size_t i = 0; i < BARES; i++) {
        struct bench_turn *turn = &turns[FIGURES + i];

        if (i < BARE_POOL)
            *turn = (struct bench_turn){.block = bare_loop_run, .context = &loops[i]};
        else
            *turn = (struct bench_turn){.block = bare_pool_run, .context = &bare_pools[i - BARE_POOL]};
        if (i < BARE_POOL && !spec->crew)
            muster_error_set(&turn->error, MUSTER_ESTATE, "%s", spec->without);
    }
    code = bench_take_turns(spec, ROUNDS, turns, FIGURES + BARES, ret_error);
    for (size_t i = 0; i < FIGURES && !code; i++)
        if (bench_add_turn(report, figures[i].name, &turns[i], bare_names[figures[i].bare],
                           &turns[FIGURES + figures[i].bare], &jobs_a_second))
            code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    /* What it gives a bare loop to have many messages under way, as muster has jobs. */
    if (!code &&
        bench_add_turn(report, bare_names[BARE_IPC_FEW], &turns[FIGURES + BARE_IPC_FEW],
                       bare_names[BARE_IPC_SINGLE], &turns[FIGURES + BARE_IPC_SINGLE], &jobs_a_second))
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (!code)
        code = peers_compare(spec, PEER_BATCH, figures[AS_RANGE].name, &turns[AS_RANGE], &jobs_a_second,
                             report, ret_error);
    if (!code)
        code = peers_compare(spec, PEER_SINGLE, figures[AS_SINGLE].name, &turns[AS_SINGLE], &jobs_a_second,
                             report, ret_error);
    for (size_t i = 0; i < POOLS; i++)
        close_pool(&pools[i]);
    if (!code)
        judge(report);
    return code;
}
