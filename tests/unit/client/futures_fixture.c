/* SPDX-License-Identifier: MIT
 *
 * See futures_fixture.h.
 */
#include "futures_fixture.h"

#include "jobs/muster_job.h"

atomic_uint futures_calls, futures_holding;

static int twice(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    atomic_fetch_add(&futures_calls, 1);
    *ret_result = integer(2 * argument->via.i64);
    return 0;
}

static int refuse(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)ret_result;
    atomic_fetch_add(&futures_calls, 1);
    return muster_call_fail(call, "no: %lld", (long long)argument->via.i64);
}

static int flaky(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    *ret_result = *argument;
    return atomic_fetch_add(&futures_calls, 1) < 2 ? muster_call_fail(call, "not yet") : 0;
}

static int hold(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    (void)ret_result;
    atomic_fetch_add(&futures_calls, 1);
    atomic_fetch_add(&futures_holding, 1);
    return muster_call_sleep(call, 3600);
}

static const muster_function functions[] = {
    {.name = "twice", .summary = "twice a number", .run = twice},
    {.name = "refuse", .summary = "fails", .run = refuse},
    {.name = "flaky", .summary = "fails twice", .run = flaky},
    {.name = "hold", .summary = "until it is cancelled", .run = hold},
};

muster *futures_open(enum muster_model model, unsigned workers)
{
    static const muster_plugin plugin = MUSTER_PLUGIN(functions);
    const struct muster_options options = {.model = model, .workers = workers, .functions = &plugin};
    struct muster_error error;
    muster *m;

    atomic_store(&futures_calls, 0);
    atomic_store(&futures_holding, 0);
    if (muster_open(&options, &m, &error) != 0) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return m;
}

msgpack_object integer(int64_t number)
{
    return (msgpack_object){.type = number < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER
                                               : MSGPACK_OBJECT_POSITIVE_INTEGER,
                            .via.i64 = number};
}

muster_future *submit(muster *m, const char *function, int64_t argument)
{
    const msgpack_object value = integer(argument);
    struct muster_error error;
    muster_future *future;

    if (muster_submit(m, &(struct muster_job){.function = function, .argument = &value}, &future, &error)) {
        fprintf(stderr, "%s\n", error.text);
        exit(1);
    }
    return future;
}

uint64_t number_of(const muster_future *future)
{
    const struct muster_result *result = muster_future_result(future);

    if (!result || !result->value || result->value->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return UINT64_MAX;
    return result->value->via.u64;
}

void note(struct notes *notes, char character)
{
    CHECK(notes->length + 1 < sizeof notes->text);
    notes->text[notes->length++] = character;
}

void note_success(void *context, muster_future *future)
{
    CHECK(muster_future_state(future) == MUSTER_SUCCEEDED);
    note(context, 'S');
}

void note_failure(void *context, muster_future *future)
{
    CHECK(muster_future_state(future) == MUSTER_FAILED || muster_future_state(future) == MUSTER_CANCELLED);
    note(context, 'F');
}

static int resolve(muster_future *future, uint64_t number)
{
    const msgpack_object value = integer((int64_t)number);

    return muster_future_resolve(future, &value);
}

int step_plus_one(void *context, muster_future *ended, muster_future *next)
{
    if (context)
        note(context, '+');
    return resolve(next, number_of(ended) + 1);
}

int step_recover(void *context, muster_future *ended, muster_future *next)
{
    (void)ended;
    if (context)
        note(context, 'R');
    return resolve(next, 1000);
}

int step_fail(void *context, muster_future *ended, muster_future *next)
{
    (void)ended;
    (void)next;
    if (context)
        note(context, 'X');
    return MUSTER_EFAILED;
}
