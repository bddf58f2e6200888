/* SPDX-License-Identifier: MIT
 *
 * muster inside libuv: its descriptor is polled beside all else that the loop watches, and
 * muster_dispatch is called when it is readable. Here the loop has a timer of its own, which
 * goes on while jobs compute.
 *
 *     cc libuv.c -o libuv $(pkg-config --cflags --libs muster libuv)
 *     ./libuv processes
 */
#include <inttypes.h>
#include <muster/muster.h>
#include <stdbool.h>
#include <stdio.h>
#include <uv.h>

enum { JOBS = 8 };

static muster *m;
static uv_poll_t poller;
static uv_timer_t ticker;
static unsigned ticks;
static uint64_t primes;
static bool failed;

static void on_primes(void *context, muster_future *future)
{
    (void)context;
    primes += muster_future_result(future)->value->via.u64;
}

static void fail(const char *why)
{
    fprintf(stderr, "libuv: %s\n", why);
    failed = true;
}

static void on_failure(void *context, muster_future *future)
{
    (void)context;
    fail(muster_future_result(future)->text);
}

/* muster has something to do: callbacks are called from here. When nothing is pending any
 * more the loop has no reason to go on. */
static void on_readable(uv_poll_t *handle, int status, int events)
{
    struct muster_error error;

    (void)events;
    if (status < 0)
        fail(uv_strerror(status));
    else if (muster_dispatch(m, &error) != 0)
        fail(error.text);
    else if (muster_pending(m) > 0)
        return;
    uv_poll_stop(handle);
    uv_timer_stop(&ticker);
}

static void on_tick(uv_timer_t *handle)
{
    (void)handle;
    ticks++;
}

/* How many primes there are from `first` on, in a million numbers. */
static int submit(uint64_t first, struct muster_error *ret_error)
{
    msgpack_object range[] = {{.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = first},
                              {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = first + 999999}};
    const msgpack_object argument = {.type = MSGPACK_OBJECT_ARRAY, .via.array = {2, range}};
    muster_future *future;
    int code = muster_submit(m, &(struct muster_job){.function = "primes", .argument = &argument}, &future,
                             ret_error);

    if (code != 0)
        return code;
    muster_future_on_end(future, on_primes, on_failure, NULL);
    muster_future_drop(future);
    return 0;
}

int main(int argc, char **argv)
{
    struct muster_options options = {.workers = 2};
    uv_loop_t *loop = uv_default_loop();
    struct muster_error error;

    if (argc != 2)
        return fprintf(stderr, "usage: libuv MODEL\n"), 2;
    if (muster_model_parse(argv[1], &options.model, &error) != 0 || muster_open(&options, &m, &error) != 0)
        return fprintf(stderr, "libuv: %s\n", error.text), 1;
    uv_poll_init(loop, &poller, muster_fd(m));
    uv_poll_start(&poller, UV_READABLE, on_readable);
    uv_timer_init(loop, &ticker);
    uv_timer_start(&ticker, on_tick, 0, 1);
    for (uint64_t i = 0; i < JOBS; i++)
        if (submit(i * 1000000, &error) != 0)
            return fprintf(stderr, "libuv: %s\n", error.text), 1;
    uv_run(loop, UV_RUN_DEFAULT);
    printf("%" PRIu64 " primes below %d million\n", primes, JOBS);
    printf("the loop's own timer was called meanwhile: %s\n", ticks > 0 ? "yes" : "no");
    uv_close((uv_handle_t *)&poller, NULL); /* before muster_close, which closes the descriptor */
    uv_close((uv_handle_t *)&ticker, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    muster_close(m);
    return failed;
}
