/* SPDX-License-Identifier: MIT
 *
 * The executor of chunks, with a link of our own: what it posts goes over inproc to a router
 * in the same thread, where it is decoded as a coordinator would decode it.
 */
#include "worker/execute.h"

#include "base/clock.h"

#include "proto/value.h"

#include <criterion/criterion.h>
#include <string.h>

static struct wire_context *context;
static struct wire *router, *dealer;
static struct registry *registry;
static struct flight_page *flight;
static struct executor *executor;
static struct assignment held; /* by the executor */
static int flight_fd;

/* The link of this test. */
uint64_t link_number(struct link *link)
{
    (void)link;
    return 0;
}

void link_post(struct link *link, const struct proto_result *result, struct wire_parcel **parcel)
{
    (void)link;
    (void)result;
    cr_assert_eq(wire_post(dealer, NULL, parcel), 0);
}

static uint64_t dropped; /* the job that is cancelled by itself */

enum link_drop link_is_dropped(struct link *link, const struct assignment *assignment, uint64_t index)
{
    (void)link;
    (void)assignment;
    return index == dropped ? LINK_END : LINK_KEEP;
}

bool link_begin_some(struct link *link, struct assignment *assignment, uint64_t index)
{
    atomic_store(&assignment->cancel.raised, 0);
    return link_is_dropped(link, assignment, index) != LINK_KEEP;
}

static int test_fail_odd(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->via.i64 % 2 != 0)
        return muster_call_fail(call, "%d is odd", (int)argument->via.i64);
    *ret_result = *argument;
    return 0;
}

/* Even numbers fail, and have themselves as a value; 6 has one that is none. */
static int test_valued(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    *ret_result = *argument;
    if (argument->via.i64 % 2 != 0)
        return 0;
    if (argument->via.i64 == 6)
        *ret_result = (msgpack_object){.type = MSGPACK_OBJECT_STR, .via.str = {.size = 100}};
    muster_call_fail(call, "%d is even", (int)argument->via.i64);
    return CALL_FAILED_VALUED;
}

static int test_garbage(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    ret_result->type = MSGPACK_OBJECT_STR;
    ret_result->via.str.ptr = NULL;
    ret_result->via.str.size = 100;
    return 0;
}

static int test_kilobytes(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint32_t size = (uint32_t)argument->via.u64 << 10;
    char *bytes = muster_call_alloc(call, size);

    if (!bytes)
        return muster_call_fail(call, "out of memory");
    memset(bytes, 'x', size);
    ret_result->type = MSGPACK_OBJECT_BIN;
    ret_result->via.bin.ptr = bytes;
    ret_result->via.bin.size = size;
    return 0;
}

/* Whether the flight recorder names the job while it runs. */
static int test_position(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = atomic_load(&flight->position);
    return 0;
}

/* Takes 60 ms, and as the link does lets the executor know that time has passed. */
static int test_slow(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int result = muster_call_sleep(call, 0.06);

    atomic_fetch_or(&held.asked, ASSIGNMENT_LOOK);
    *ret_result = *argument;
    return result;
}

static const muster_function functions[] = {
    {.name = "test.fail_odd", .summary = "fails for odd numbers", .run = test_fail_odd},
    {.name = "test.valued", .summary = "fails for even numbers, with a value", .run = test_valued},
    {.name = "test.garbage", .summary = "returns no value", .run = test_garbage},
    {.name = "test.kilobytes", .summary = "n KiB", .run = test_kilobytes},
    {.name = "test.slow", .summary = "takes long", .run = test_slow},
    {.name = "test.position", .summary = "the flight recorder's position", .run = test_position},
};
static const muster_plugin table = MUSTER_PLUGIN(functions);

static void setup(void)
{
    struct muster_error error;

    cr_assert_eq(wire_context_create(&context, &error), 0);
    cr_assert_eq(wire_open_router(context, &router, &error), 0);
    cr_assert_eq(wire_bind(router, "inproc://test", &error), 0);
    cr_assert_eq(wire_open_dealer(context, "worker", &dealer, &error), 0);
    cr_assert_eq(wire_connect(dealer, "inproc://test", &error), 0);
    cr_assert_eq(flight_create(&flight_fd, &flight), 0);
    registry = registry_create();
    cr_assert_not_null(registry);
    cr_assert_eq(registry_add(registry, &table, "test", &error), 0, "%s", error.text);
    executor = executor_create(registry, NULL, flight, -1);
    cr_assert_not_null(executor);
}

static void teardown(void)
{
    executor_destroy(executor);
    registry_destroy(registry);
    flight_unmap(flight);
    wire_close(dealer, 0);
    wire_close(router, 0);
    wire_context_destroy(context);
}

TestSuite(execute, .init = setup, .fini = teardown);

/* An assignment as the link would make it from a received CHUNK. */
static struct assignment *receive_chunk(const char *function, uint64_t first, uint32_t count,
                                        int64_t argument, struct slice payload)
{
    static struct wire_frame frame;

    frame = (struct wire_frame){.message = {.type = PROTO_CHUNK,
                                            .chunk = {.batch = 7,
                                                      .chunk = 70,
                                                      .function = proto_text(function),
                                                      .first = first,
                                                      .count = count,
                                                      .attempt = 1,
                                                      .kind = payload.blob ? PROTO_LIST : PROTO_RANGE,
                                                      .argument = argument},
                                            .payload = payload},
                                .received_ns = clock_now_ns()};
    memset(&held, 0, sizeof held);
    held.frame = &frame;
    held.chunk = &frame.message.chunk;
    return &held;
}

/* The next RESULT, which must be well-formed and of the chunk. */
static struct wire_frame *next_result(void)
{
    struct wire_poll item = {.wire = router};
    struct wire_frame *frame;

    cr_assert_gt(wire_wait(&item, 1, 10000), 0, "no result was posted");
    cr_assert_eq(wire_receive(router, &frame), 0);
    cr_assert_eq(frame->error.code, 0, "%s", frame->error.text);
    cr_assert_eq(frame->message.type, PROTO_RESULT);
    cr_assert_eq(frame->message.result.batch, 7);
    cr_assert_eq(frame->message.result.chunk, 70);
    return frame;
}

static void expect_nothing_more(void)
{
    struct wire_frame *frame;

    cr_assert_eq(wire_receive(router, &frame), MUSTER_EAGAIN);
}

static msgpack_object value_at(const struct wire_frame *frame, unsigned place)
{
    static msgpack_zone *zone; /* as long as the process, which Criterion starts for each test */
    msgpack_object value = {0};
    size_t offset = 0;

    if (!zone)
        zone = msgpack_zone_new(1024);
    cr_assert_not_null(zone);
    for (unsigned i = 0; i <= place; i++)
        cr_assert_eq(value_unpack(slice_bytes(&frame->message.payload), frame->message.payload.size, &offset,
                                  zone, &value),
                     0);
    return value;
}

Test(execute, range_arguments_cross_zero)
{
    struct wire_frame *frame;

    cr_assert_eq(executor_run(executor, receive_chunk("echo", 5, 3, -1, (struct slice){0})), 0);
    frame = next_result();
    cr_assert(frame->message.result.final);
    cr_assert_eq(frame->message.result.outcome.first, 5);
    cr_assert_eq(frame->message.result.outcome.count, 3);
    cr_assert_eq(frame->message.result.outcome.attempt, 1);
    cr_assert_eq(frame->message.result.outcome.failure_count, 0);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(value_at(frame, i).via.i64, (int64_t)i - 1);
    wire_frame_destroy(frame);
    expect_nothing_more();
}

Test(execute, list_arguments_are_unpacked_one_by_one)
{
    static const uint8_t bytes[] = {0xa1, 'x', 0x92, 0x01, 0x02, 0xc0};
    struct blob *blob = blob_copy(bytes, sizeof bytes);
    struct wire_frame *frame;

    cr_assert_eq(
        executor_run(executor, receive_chunk("echo", 1, 3, 0, (struct slice){blob, 0, sizeof bytes})), 0);
    frame = next_result();
    cr_assert_eq(frame->message.payload.size, sizeof bytes);
    cr_assert_eq(memcmp(slice_bytes(&frame->message.payload), bytes, sizeof bytes), 0);
    wire_frame_destroy(frame);
    blob_unref(blob);
}

Test(execute, failures_are_named_and_leave_no_value)
{
    struct wire_frame *frame;

    cr_assert_eq(executor_run(executor, receive_chunk("test.fail_odd", 1, 4, 1, (struct slice){0})), 0);
    frame = next_result();
    cr_assert_eq(frame->message.result.outcome.failure_count, 2);
    cr_assert_eq(frame->message.result.outcome.failures[0].index, 1);
    cr_assert_eq(frame->message.result.outcome.failures[1].index, 3);
    cr_assert_eq(frame->message.result.outcome.failures[1].code, MUSTER_EFAILED);
    cr_assert_eq(memcmp(frame->message.result.outcome.failures[1].text.bytes, "3 is odd", 8), 0);
    cr_assert_eq(value_at(frame, 1).via.u64, 4);
    wire_frame_destroy(frame);
}

Test(execute, failure_with_a_value_is_named_and_leaves_it)
{
    struct wire_frame *frame;

    cr_assert_eq(executor_run(executor, receive_chunk("test.valued", 1, 6, 1, (struct slice){0})), 0);
    frame = next_result();
    cr_assert_eq(frame->message.result.outcome.failure_count, 3);
    cr_assert(frame->message.result.outcome.failures[0].valued);
    cr_assert(frame->message.result.outcome.failures[1].valued);
    cr_assert_eq(memcmp(frame->message.result.outcome.failures[1].text.bytes, "4 is even", 9), 0);
    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(value_at(frame, i).via.u64, i + 1);
    cr_assert_not(frame->message.result.outcome.failures[2].valued, "what it returned is no value");
    cr_assert_eq(frame->message.result.outcome.failures[2].code, MUSTER_EINVALID);
    wire_frame_destroy(frame);
}

Test(execute, thousands_of_failures_are_reported_in_parts)
{
    uint32_t jobs = 0, failures = 0, parts = 0;
    bool final = false;

    cr_assert_eq(executor_run(executor, receive_chunk("test.fail_odd", 1, 10000, 1, (struct slice){0})), 0);
    while (!final) {
        struct wire_frame *frame = next_result();

        cr_assert_eq(frame->message.result.outcome.first, jobs + 1);
        cr_assert_leq(frame->message.result.outcome.failure_count, PROTO_REPORT_FAILURES_MAX);
        jobs += frame->message.result.outcome.count;
        failures += frame->message.result.outcome.failure_count;
        final = frame->message.result.final;
        parts++;
        wire_frame_destroy(frame);
    }
    cr_assert_eq(jobs, 10000);
    cr_assert_eq(failures, 5000);
    cr_assert_geq(parts, 3);
    expect_nothing_more();
}

Test(execute, unknown_function_fails_every_job)
{
    struct wire_frame *frame;

    cr_assert_eq(executor_run(executor, receive_chunk("nope", 1, 3, 1, (struct slice){0})), 0);
    frame = next_result();
    cr_assert(frame->message.result.final);
    cr_assert_eq(frame->message.result.outcome.failure_count, 3);
    cr_assert_eq(frame->message.result.outcome.failures[2].code, MUSTER_ENOTFOUND);
    cr_assert_eq(frame->message.payload.size, 0);
    wire_frame_destroy(frame);
}

Test(execute, garbage_result_is_a_failure_not_a_crash)
{
    struct wire_frame *frame;

    cr_assert_eq(executor_run(executor, receive_chunk("test.garbage", 1, 2, 1, (struct slice){0})), 0);
    frame = next_result();
    cr_assert_eq(frame->message.result.outcome.failure_count, 2);
    cr_assert_eq(frame->message.result.outcome.failures[0].code, MUSTER_EINVALID);
    cr_assert_eq(frame->message.payload.size, 0);
    wire_frame_destroy(frame);
}

Test(execute, large_results_are_reported_in_parts_without_gaps)
{
    uint64_t next = 1, bytes = 0;
    bool final = false;
    unsigned parts = 0;

    cr_assert_eq(executor_run(executor, receive_chunk("test.kilobytes", 1, 40, 1, (struct slice){0})), 0);
    while (!final) {
        struct wire_frame *frame = next_result();

        cr_assert_eq(frame->message.result.outcome.first, next);
        next += frame->message.result.outcome.count;
        bytes += frame->message.payload.size;
        final = frame->message.result.final;
        parts++;
        wire_frame_destroy(frame);
    }
    cr_assert_eq(next, 41);
    cr_assert_gt(bytes, 820 << 10);
    cr_assert_geq(parts, 3);
}

Test(execute, start_and_parts_of_every_job_are_measured_when_asked)
{
    struct assignment *assignment = receive_chunk("noop", 1, 5, 1, (struct slice){0});
    uint64_t before_ns = clock_now_ns(), decode_ns = 0, execute_ns = 0, encode_ns = 0;
    const struct proto_outcome *outcome;
    struct wire_frame *frame;

    assignment->frame->message.chunk.timings = true;
    cr_assert_eq(executor_run(executor, assignment), 0);
    frame = next_result();
    outcome = &frame->message.result.outcome;
    cr_assert_not_null(outcome->timings);
    cr_assert(outcome->split);
    cr_assert_gt(outcome->arrived_ns, 0);
    cr_assert_leq(outcome->arrived_ns, before_ns);
    cr_assert_geq(outcome->began_ns, before_ns);
    cr_assert_eq(outcome->timings[0], 0);
    for (unsigned i = 0; i < 5; i++) {
        const uint64_t *timing = &outcome->timings[PROTO_TIMINGS * i];
        uint64_t end_ns = timing[0] + timing[1] + timing[2] + timing[3];

        cr_assert_gt(timing[1] + timing[2] + timing[3], 0);
        cr_assert_leq(outcome->began_ns + end_ns, outcome->reported_ns);
        if (i < 4)
            cr_assert_leq(end_ns, timing[PROTO_TIMINGS], "job %u began before the end of the one before",
                          i + 1);
        decode_ns += timing[1];
        execute_ns += timing[2];
        encode_ns += timing[3];
    }
    cr_assert_eq(decode_ns, outcome->decode_ns);
    cr_assert_leq(execute_ns, outcome->execute_ns, "what is left over was not executing");
    cr_assert_eq(encode_ns, outcome->encode_ns);
    cr_assert_leq(outcome->reported_ns, clock_now_ns());
    wire_frame_destroy(frame);
}

/* From its beginning to its end, nothing of a report's time is left out. */
static void check_split(const struct proto_outcome *outcome, bool split)
{
    cr_assert_eq(outcome->split, split);
    cr_assert_eq(outcome->decode_ns > 0, split);
    cr_assert_eq(outcome->encode_ns > 0, split);
    cr_assert_gt(outcome->execute_ns, 0);
    cr_assert_leq(outcome->began_ns + outcome->decode_ns + outcome->execute_ns + outcome->encode_ns,
                  outcome->reported_ns);
}

/* Runs a chunk of jobs that do nothing; if it is held up, it has several reports. Returns the mean that
 * the executor goes by. */
static uint64_t run_noops(bool *ret_split)
{
    enum { COUNT = 1000 };
    uint64_t began_ns = 0, ended_ns = 0;
    uint32_t jobs = 0;
    bool final = false;

    cr_assert_eq(executor_run(executor, receive_chunk("noop", 1, COUNT, 1, (struct slice){0})), 0);
    while (!final) {
        struct wire_frame *frame = next_result();
        const struct proto_outcome *outcome = &frame->message.result.outcome;

        if (jobs == 0) {
            began_ns = outcome->began_ns;
            *ret_split = outcome->split;
        }
        check_split(outcome, *ret_split);
        ended_ns = outcome->began_ns + outcome->decode_ns + outcome->execute_ns + outcome->encode_ns;
        jobs += outcome->count;
        final = frame->message.result.final;
        wire_frame_destroy(frame);
    }
    cr_assert_eq(jobs, COUNT);
    return (ended_ns - began_ns) / COUNT;
}

/* Below what is worth any clock. */
static const uint64_t short_ns = 2000;

/* A busy machine may hold up some chunks, but not all. */
enum { CHUNKS_MAX = 10000 };

/* What comes next is known from the chunk before; of the first one nothing is. */
Test(execute, clock_is_not_read_around_the_parts_of_jobs_that_take_less_than_that_would_be_worth)
{
    bool split;
    uint64_t job_ns = run_noops(&split);
    unsigned unsplit = 0;

    cr_assert(split);
    for (unsigned i = 0; i < CHUNKS_MAX && unsplit < 3; i++) {
        bool was_short = job_ns < short_ns;

        job_ns = run_noops(&split);
        cr_assert_not(was_short && split);
        unsplit += was_short;
    }
    cr_assert_eq(unsplit, 3);
}

Test(execute, long_jobs_are_split_though_nobody_asked_for_timings)
{
    for (unsigned i = 0; i < 2; i++) {
        struct wire_frame *frame;

        cr_assert_eq(executor_run(executor, receive_chunk("test.slow", 1, 1, 1, (struct slice){0})), 0);
        frame = next_result();
        cr_assert_null(frame->message.result.outcome.timings);
        check_split(&frame->message.result.outcome, true);
        cr_assert_geq(frame->message.result.outcome.execute_ns, 60 * CLOCK_NS_PER_MS);
        wire_frame_destroy(frame);
    }
}

Test(execute, slow_jobs_behind_a_chunk_of_fast_ones_are_reported_as_they_end)
{
    uint32_t jobs = 0, parts = 0, chunks = 0;
    bool split;

    while (run_noops(&split) >= short_ns) /* what follows would be timed */
        cr_assert_lt(chunks++, CHUNKS_MAX);
    cr_assert_eq(executor_run(executor, receive_chunk("test.slow", 1, 5, 1, (struct slice){0})), 0);
    cr_assert_eq(atomic_load(&held.asked), ASSIGNMENT_LOOK, "by the last job, for nobody");
    for (; jobs < 5; parts++) {
        struct wire_frame *frame = next_result();

        cr_assert_eq(frame->message.result.outcome.first, jobs + 1);
        jobs += frame->message.result.outcome.count;
        cr_assert_eq(frame->message.result.final, jobs == 5);
        wire_frame_destroy(frame);
    }
    cr_assert_geq(parts, 3);
    expect_nothing_more();
}

Test(execute, skipped_chunk_reports_that_nothing_was_started)
{
    struct assignment *assignment = receive_chunk("noop", 9, 5, 1, (struct slice){0});
    struct wire_frame *frame;

    atomic_fetch_or(&assignment->asked, ASSIGNMENT_SKIP);
    cr_assert_eq(executor_run(executor, assignment), 0);
    frame = next_result();
    cr_assert(frame->message.result.final);
    cr_assert_eq(frame->message.result.outcome.first, 9);
    cr_assert_eq(frame->message.result.outcome.count, 0);
    wire_frame_destroy(frame);
}

Test(execute, jobs_that_were_given_back_are_not_run)
{
    struct assignment *assignment = receive_chunk("noop", 9, 5, 1, (struct slice){0});
    struct wire_frame *frame;

    atomic_store(&assignment->returned, 2);
    cr_assert_eq(executor_run(executor, assignment), 0);
    frame = next_result();
    cr_assert(frame->message.result.final);
    cr_assert_eq(frame->message.result.outcome.first, 9);
    cr_assert_eq(frame->message.result.outcome.count, 3);
    wire_frame_destroy(frame);
    expect_nothing_more();
}

Test(execute, cancelled_job_says_so)
{
    struct assignment *assignment = receive_chunk("request", 1, 1, 3, (struct slice){0});
    struct wire_frame *frame;

    call_cancel_raise(&assignment->cancel);
    cr_assert_eq(executor_run(executor, assignment), 0);
    frame = next_result();
    cr_assert_eq(frame->message.result.outcome.failure_count, 1);
    cr_assert_eq(frame->message.result.outcome.failures[0].code, MUSTER_ECANCELLED);
    wire_frame_destroy(frame);
}

Test(execute, job_that_is_cancelled_by_itself_does_not_start_and_its_neighbours_do)
{
    struct assignment *assignment = receive_chunk("test.position", 5, 3, 1, (struct slice){0});
    const struct proto_outcome *outcome;
    struct wire_frame *frame;

    dropped = 6;
    atomic_fetch_or(&assignment->asked, ASSIGNMENT_SOME);
    call_cancel_raise(&assignment->cancel); /* for a job before them */
    cr_assert_eq(executor_run(executor, assignment), 0);
    frame = next_result();
    outcome = &frame->message.result.outcome;
    cr_assert_eq(outcome->count, 3);
    cr_assert_eq(outcome->failure_count, 1);
    cr_assert_eq(outcome->failures[0].index, 6);
    cr_assert_eq(outcome->failures[0].code, MUSTER_ECANCELLED);
    cr_assert_eq(value_at(frame, 0).via.u64, 5 << 1 | 1);
    cr_assert_eq(value_at(frame, 1).via.u64, 7 << 1 | 1);
    wire_frame_destroy(frame);
    expect_nothing_more();
}

Test(execute, flight_recorder_names_the_job_that_runs)
{
    struct wire_frame *frame;

    cr_assert_eq(executor_run(executor, receive_chunk("test.position", 41, 2, 1, (struct slice){0})), 0);
    frame = next_result();
    cr_assert_eq(value_at(frame, 0).via.u64, 41 << 1 | 1);
    cr_assert_eq(value_at(frame, 1).via.u64, 42 << 1 | 1);
    cr_assert_eq(atomic_load(&flight->position), 42 << 1);
    cr_assert_eq(atomic_load(&flight->chunk), 70);
    wire_frame_destroy(frame);
}
