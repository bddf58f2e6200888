/* SPDX-License-Identifier: MIT
 *
 * Timers: a callback after a delay, a callback every so often, a job that starts after a delay,
 * and one of each that is cancelled in time.
 *
 *     cc timer.c -o timer $(pkg-config --cflags --libs muster)
 *     ./timer processes
 */
#include <inttypes.h>
#include <muster/muster.h>
#include <stdio.h>

static muster *m;

static void say(void *context)
{
    printf("%s\n", (const char *)context);
}

/* A timer calls once; this one sets itself again. */
static void tick(void *context)
{
    unsigned *ticks = context;

    printf("tick %u\n", ++*ticks);
    if (*ticks < 3)
        muster_call_after(m, 0.02, tick, ticks, NULL, NULL);
}

static void on_value(void *context, muster_future *future)
{
    printf("%s: %" PRIu64 "\n", (const char *)context, muster_future_result(future)->value->via.u64);
}

static void on_failure(void *context, muster_future *future)
{
    printf("%s: %s\n", (const char *)context, muster_future_result(future)->text);
}

/* fib(20) after some seconds. Returns its future. */
static muster_future *compute_later(double seconds, char *name, struct muster_error *ret_error)
{
    const msgpack_object twenty = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 20};
    const struct muster_job job = {.function = "fib", .argument = &twenty, .delay_s = seconds};
    muster_future *future;

    if (muster_submit(m, &job, &future, ret_error) != 0)
        return NULL;
    muster_future_on_end(future, on_value, on_failure, name);
    return future;
}

int main(int argc, char **argv)
{
    struct muster_options options = {.workers = 1};
    muster_future *later, *never;
    unsigned ticks = 0;
    uint64_t timer;
    struct muster_error error;

    if (argc != 2)
        return fprintf(stderr, "usage: timer MODEL\n"), 2;
    if (muster_model_parse(argv[1], &options.model, &error) != 0 || muster_open(&options, &m, &error) != 0 ||
        !(later = compute_later(0.3, "the job after 300 ms", &error)) ||
        !(never = compute_later(3600, "the job after an hour", &error)) ||
        muster_call_after(m, 0.15, say, "150 ms are over", NULL, &error) != 0 ||
        muster_call_after(m, 3600, say, "an hour is over", &timer, &error) != 0 ||
        muster_call_after(m, 0, tick, &ticks, NULL, &error) != 0)
        return fprintf(stderr, "timer: %s\n", error.text), 1;
    printf("the timer of an hour was cancelled: %s\n", muster_timer_cancel(m, timer) ? "yes" : "no");
    muster_future_cancel(never);
    muster_future_drop(never);
    if (muster_await(later, NULL, &error) != 0) /* timers are called meanwhile */
        fprintf(stderr, "timer: %s\n", error.text);
    muster_future_drop(later);
    printf("%" PRIu64 " are pending\n", muster_pending(m));
    muster_close(m);
    return 0;
}
