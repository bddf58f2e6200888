/* SPDX-License-Identifier: MIT
 *
 * One slow call after another, each with the answer of the one before, twice: with muster_await,
 * which reads like a program that calls functions, and as a chain, which waits nowhere and has
 * one place for all errors.
 *
 *     cc awaits.c -o awaits $(pkg-config --cflags --libs muster)
 *     ./awaits processes 3
 *
 * The slow service is `request`: it waits, then answers with the square of a number.
 */
#include <inttypes.h>
#include <muster/muster.h>
#include <stdio.h>
#include <stdlib.h>

static muster *m;

/* Asks the service for the square of a number. */
static int ask(int64_t number, muster_future **ret_future, struct muster_error *ret_error)
{
    msgpack_object_kv members[] = {
        {{.type = MSGPACK_OBJECT_STR, .via.str = {6, "number"}},
         {.type = number < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER,
          .via.i64 = number}},
        {{.type = MSGPACK_OBJECT_STR, .via.str = {7, "seconds"}},
         {.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = 0.05}},
    };
    const msgpack_object argument = {.type = MSGPACK_OBJECT_MAP, .via.map = {2, members}};

    return muster_submit(m, &(struct muster_job){.function = "request", .argument = &argument}, ret_future,
                         ret_error);
}

/* The first way. Each muster_await returns when there is an answer; callbacks and timers of
 * the program are called meanwhile. */
static int square_three_times(int64_t number, struct muster_error *ret_error)
{
    for (int i = 0; i < 3; i++) {
        const msgpack_object *answer;
        muster_future *future;
        int code = ask(number, &future, ret_error);

        if (code != 0)
            return code;
        if ((code = muster_await(future, &answer, ret_error)) == 0) {
            number = (int64_t)answer->via.u64;
            printf("awaited: %" PRId64 "\n", number);
        }
        muster_future_drop(future);
        if (code != 0)
            return code;
    }
    return 0;
}

/* A step of the second way: what comes next ends as a further call of the service does. */
static int ask_again(void *context, muster_future *ended, muster_future *next)
{
    muster_future *future;
    int code;

    (void)context;
    code = ask((int64_t)muster_future_result(ended)->value->via.u64, &future, NULL);
    if (code != 0)
        return code;
    code = muster_future_follow(next, future);
    muster_future_drop(future);
    return code;
}

static void on_end(void *context, muster_future *future)
{
    (void)context;
    printf("chained: %" PRIu64 "\n", muster_future_result(future)->value->via.u64);
}

/* Whichever link failed: the error skips all that come after. */
static void on_failure(void *context, muster_future *future)
{
    (void)context;
    printf("chained: %s\n", muster_future_result(future)->text);
}

static int chain_three_calls(int64_t number, struct muster_error *ret_error)
{
    muster_future *first, *second, *third;
    int code = ask(number, &first, ret_error);

    if (code != 0)
        return code;
    if (muster_then(first, ask_again, NULL, NULL, &second) != 0 ||
        muster_then(second, ask_again, NULL, NULL, &third) != 0 ||
        muster_future_on_end(third, on_end, on_failure, NULL) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    muster_future_drop(first);
    muster_future_drop(second);
    code = muster_future_wait(third, 60); /* the program could do anything else instead */
    muster_future_drop(third);
    return code ? muster_error_set(ret_error, code, "%s", muster_error_name(code)) : 0;
}

int main(int argc, char **argv)
{
    struct muster_options options = {.workers = 1};
    struct muster_error error;
    int status = 0;

    if (argc != 3)
        return fprintf(stderr, "usage: awaits MODEL NUMBER\n"), 2;
    if (muster_model_parse(argv[1], &options.model, &error) != 0 || muster_open(&options, &m, &error) != 0)
        return fprintf(stderr, "awaits: %s\n", error.text), 1;
    if (chain_three_calls(atoll(argv[2]), &error) != 0 || square_three_times(atoll(argv[2]), &error) != 0)
        status = (fprintf(stderr, "awaits: %s\n", error.text), 1);
    muster_close(m);
    return status;
}
