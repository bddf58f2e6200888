/* SPDX-License-Identifier: MIT
 *
 * See fixture.h.
 */
#include "fixture.h"

#include "base/clock.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

atomic_uint fixture_calls;
int fixture_started = -1;

static atomic_bool failed_once[FIXTURE_JOBS_MAX + 1];

static uint64_t sum_of(const struct muster_receipt *receipt)
{
    uint64_t sum = 0;

    for (int i = 0; i < MUSTER_PHASES; i++)
        sum += receipt->phase_ns[i];
    return sum;
}

/* There is one where it is wanted, which adds up and has no phase in which nothing can happen. */
static void check_receipt(const struct fixture *fixture, const struct muster_result *result)
{
    const struct muster_receipt *receipt = result->receipt;

    CHECK((receipt != NULL) == fixture->batch.want_timings);
    if (!receipt)
        return;
    CHECK(sum_of(receipt) == receipt->total_ns && receipt->total_ns <= clock_now_ns() - fixture->began_ns);
    CHECK(receipt->phase_ns[MUSTER_PHASE_EXECUTE] == result->wall_ns && receipt->split);
    CHECK(receipt->phase_ns[MUSTER_PHASE_SEND] == 0 && receipt->phase_ns[MUSTER_PHASE_DECODE] == 0);
}

static int take(void *context, const struct muster_result *result)
{
    struct fixture *fixture = context;
    struct outcome *outcome;

    CHECK(result->index >= 1);
    check_receipt(fixture, result);
    if (fixture->each)
        fixture->each(fixture, result);
    fixture->delivered++;
    fixture->disordered |= result->index <= fixture->last;
    fixture->last = result->index;
    if (result->index <= FIXTURE_JOBS_MAX) {
        outcome = &fixture->outcomes[result->index];
        outcome->times++;
        outcome->code = result->code;
        outcome->attempts = result->attempts;
        outcome->worker = result->worker;
        outcome->began_ns = result->began_ns;
        outcome->wall_ns = result->wall_ns;
        outcome->value = outcome->argument = UINT64_MAX;
        CHECK((result->code == 0) == (result->value != NULL));
        CHECK((result->code == 0) == (result->text == NULL));
        if (result->value && result->value->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
            outcome->value = result->value->via.u64;
        if (result->argument && result->argument->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
            outcome->argument = result->argument->via.u64;
        snprintf(outcome->text, sizeof outcome->text, "%s", result->text ? result->text : "");
    }
    if (!fixture->give_up_at || fixture->delivered < fixture->give_up_at)
        return 0;
    return fixture->give_up_with ? fixture->give_up_with : 77;
}

static int tick(void *context, const struct muster_progress *progress)
{
    struct fixture *fixture = context;

    CHECK(progress->total == 0 || progress->succeeded + progress->failed <= progress->total);
    if (fixture->each_tick)
        fixture->each_tick(fixture);
    return ++fixture->ticks == fixture->give_up_at_tick ? 78 : 0;
}

void fixture_open(struct fixture *fixture, const struct model_ops *ops, unsigned workers, int64_t jobs)
{
    struct muster_options options = {.workers = workers, .concurrency = 10000};

    *fixture = (struct fixture){
        .batch = {.on_result = take, .on_tick = tick, .context = fixture, .interrupt_fd = -1},
        .workers = workers};
    fixture->batch.source = muster_source_range(1, jobs);
    fixture->outcomes = calloc(FIXTURE_JOBS_MAX + 1, sizeof *fixture->outcomes);
    CHECK(fixture->outcomes);
    atomic_store(&fixture_calls, 0);
    for (size_t i = 0; i <= FIXTURE_JOBS_MAX; i++)
        atomic_store_explicit(&failed_once[i], false, memory_order_relaxed);
    fixture_started = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CHECK(fixture_started >= 0);
    CHECK(ops->open(&options, NULL, &fixture->model, &fixture->error) == 0);
}

void fixture_close(struct fixture *fixture)
{
    fixture->model->ops->close(fixture->model, &(struct task *){NULL});
    free(fixture->outcomes);
    close(fixture_started);
}

int fixture_map(struct fixture *fixture, muster_function_run *run)
{
    const muster_function function = {.name = "job", .run = run};

    fixture->summary = (struct muster_summary){.workers = fixture->workers};
    fixture->began_ns = clock_now_ns();
    fixture->delivered = fixture->last = 0;
    fixture->disordered = false;
    memset(fixture->outcomes, 0, (FIXTURE_JOBS_MAX + 1) * sizeof *fixture->outcomes);
    return fixture->model->ops->map(fixture->model, &function, &fixture->batch, &fixture->summary,
                                    &fixture->error);
}

bool fixture_all_succeeded(const struct fixture *fixture, uint64_t first, uint64_t last)
{
    for (uint64_t i = first; i <= last; i++)
        if (fixture->outcomes[i].times != 1 || fixture->outcomes[i].code != 0)
            return false;
    return true;
}

bool fixture_adds_up(const struct fixture *fixture, uint64_t jobs)
{
    const struct muster_summary *summary = &fixture->summary;

    return sum_of(&summary->receipt) == summary->receipt.total_ns && summary->jobs == jobs &&
           summary->succeeded + summary->failed + summary->cancelled == jobs;
}

static int number(msgpack_object *ret_result, uint64_t value)
{
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = value;
    return 0;
}

int job_twice(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    atomic_fetch_add_explicit(&fixture_calls, 1, memory_order_relaxed);
    return number(ret_result, argument->via.u64 * 2);
}

int job_fail_third(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->via.u64 % 3 == 0)
        return muster_call_fail(call, "no thirds: %llu", (unsigned long long)argument->via.u64);
    return number(ret_result, argument->via.u64 * 2);
}

int job_fail_once(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    atomic_fetch_add_explicit(&fixture_calls, 1, memory_order_relaxed);
    if (!muster_call_alloc(call, 4096))
        return MUSTER_JOB_FAILED;
    if (!atomic_exchange(&failed_once[argument->via.u64], true))
        return muster_call_fail(call, "the first time");
    return number(ret_result, argument->via.u64 * 2);
}

int job_garbage(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    ret_result->type = MSGPACK_OBJECT_STR;
    ret_result->via.str.ptr = NULL;
    ret_result->via.str.size = 16;
    return 0;
}

int job_deep(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    for (uint64_t i = 0; i < argument->via.u64; i++) {
        ret_result->type = MSGPACK_OBJECT_ARRAY;
        ret_result->via.array.size = 1;
        ret_result->via.array.ptr = muster_call_alloc(call, sizeof *ret_result);
        if (!(ret_result = ret_result->via.array.ptr))
            return MUSTER_JOB_FAILED;
        ret_result->type = MSGPACK_OBJECT_NIL;
    }
    return 0;
}

int job_await_end(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    (void)ret_result;
    CHECK(eventfd_write(fixture_started, 1) == 0);
    return muster_call_sleep(call, 3600);
}

int job_bulky(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    enum { BYTES = 64 << 10 };
    char *bytes = muster_call_alloc(call, BYTES);

    (void)argument;
    atomic_fetch_add_explicit(&fixture_calls, 1, memory_order_relaxed);
    if (!bytes)
        return MUSTER_JOB_FAILED;
    bytes[0] = bytes[BYTES - 1] = 1;
    ret_result->type = MSGPACK_OBJECT_BIN;
    ret_result->via.bin.ptr = bytes;
    ret_result->via.bin.size = BYTES;
    return 0;
}

int numbers_next(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                 struct muster_error *ret_error)
{
    enum { BYTES = 1 << 20 };
    struct numbers *numbers = context;
    char *bytes;

    if (numbers->next > numbers->last && numbers->fail_with)
        return muster_error_set(ret_error, numbers->fail_with, "the numbers ran out");
    if (numbers->next > numbers->last)
        return MUSTER_EEND;
    atomic_fetch_add_explicit(&numbers->pulled, 1, memory_order_relaxed);
    if (!numbers->grow)
        return number(ret_argument, numbers->next++);
    if (!(bytes = msgpack_zone_malloc(zone, BYTES)))
        return MUSTER_ENOMEM;
    memset(bytes, 'a', BYTES);
    numbers->next++;
    ret_argument->type = MSGPACK_OBJECT_STR;
    ret_argument->via.str.ptr = bytes;
    ret_argument->via.str.size = BYTES;
    return 0;
}

struct muster_source numbers_source(struct numbers *numbers)
{
    return (struct muster_source){
        .kind = MUSTER_SOURCE_STREAM, .next = numbers_next, .context = numbers, .fd = -1};
}
