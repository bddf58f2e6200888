/* SPDX-License-Identifier: MIT
 *
 * Outcomes in any order become reports of neighbours: what is posted goes over inproc to a router
 * of the test, where it is decoded as a coordinator would decode it.
 */
#include "worker/ended.h"

#include "base/clock.h"
#include "proto/value.h"

#include <criterion/criterion.h>

static struct wire_context *context;
static struct wire *router, *dealer;
static struct lent lent;
static struct ended ended;
static struct wire_frame frames[2];
static struct assignment assignments[2];
static struct lot lots[2];

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

/* Two chunks of ten jobs, of which all have started, and some still run. */
static void setup(void)
{
    struct muster_error error;

    cr_assert_eq(wire_context_create(&context, &error), 0);
    cr_assert_eq(wire_open_router(context, &router, &error), 0);
    cr_assert_eq(wire_bind(router, "inproc://test", &error), 0);
    cr_assert_eq(wire_open_dealer(context, "worker", &dealer, &error), 0);
    cr_assert_eq(wire_connect(dealer, "inproc://test", &error), 0);
    cr_assert_eq(lent_init(&lent, -1), 0);
    cr_assert_eq(ended_init(&ended, &lent), 0);
    for (unsigned i = 0; i < 2; i++) {
        frames[i].message.chunk = (struct proto_chunk){
            .batch = 7, .chunk = 70 + i, .first = 1 + 100 * i, .count = 10, .attempt = 1, .timings = true};
        frames[i].received_ns = 9000;
        assignments[i].frame = &frames[i];
        assignments[i].chunk = &frames[i].message.chunk;
        lots[i] = (struct lot){.assignment = &assignments[i], .count = 10, .started = 10, .running = 10};
    }
}

static void teardown(void)
{
    ended_fini(&ended);
    lent_fini(&lent);
    wire_close(dealer, 0);
    wire_close(router, 0);
    wire_context_destroy(context);
}

TestSuite(ended, .init = setup, .fini = teardown);

/* The job at `place` ends with that number, or fails. */
static void end(struct lot *lot, uint32_t place, int code)
{
    struct outcome outcome = {.lot = lot,
                              .place = place,
                              .code = code,
                              .began_ns = 1000 * (uint64_t)(20 - place),
                              .decode_ns = 100,
                              .execute_ns = 400,
                              .held_ns = 50,
                              .cpu_ns = 40};
    msgpack_object value = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = place};

    lot->running--;
    cr_assert_eq(ended_add(&ended, &outcome, &value, "it failed"), 0);
}

/* The next RESULT is about these jobs. */
static struct wire_frame *expect(uint64_t chunk, uint64_t first, uint32_t count, bool final)
{
    struct wire_poll item = {.wire = router};
    const struct proto_result *result;
    struct wire_frame *frame;

    cr_assert_gt(wire_wait(&item, 1, 10000), 0, "no report was posted");
    cr_assert_eq(wire_receive(router, &frame), 0);
    cr_assert_eq(frame->error.code, 0, "%s", frame->error.text);
    result = &frame->message.result;
    cr_assert_eq(result->chunk, chunk);
    cr_assert_eq(result->outcome.first, first);
    cr_assert_eq(result->outcome.count, count);
    cr_assert_eq(result->final, final);
    return frame;
}

static void expect_nothing_more(void)
{
    struct wire_frame *frame;

    cr_assert_eq(wire_receive(router, &frame), MUSTER_EAGAIN);
}

Test(ended, neighbours_are_reported_together_in_order_whatever_order_they_ended_in)
{
    static const uint32_t places[] = {4, 2, 9, 3, 0};
    struct wire_frame *frame;
    msgpack_object value;
    uint64_t encode_ns = 0;
    msgpack_zone zone;
    size_t offset = 0;

    cr_assert(msgpack_zone_init(&zone, 256));
    for (unsigned i = 0; i < 5; i++)
        end(&lots[0], places[i], 0);
    cr_assert_eq(ended_report(&ended, NULL), 0);
    wire_frame_destroy(expect(70, 1, 1, false));
    frame = expect(70, 3, 3, false);
    for (unsigned place = 2; place <= 4; place++) {
        const uint64_t *timing = &frame->message.result.outcome.timings[PROTO_TIMINGS * (place - 2)];

        cr_assert_eq(value_unpack(slice_bytes(&frame->message.payload), frame->message.payload.size, &offset,
                                  &zone, &value),
                     0);
        cr_assert_eq(value.via.u64, place, "the value of another");
        cr_assert_eq(frame->message.result.outcome.began_ns + timing[0], 1000 * (uint64_t)(20 - place));
        cr_assert(timing[1] == 100 && timing[2] == 400 && timing[3] < CLOCK_NS_PER_S && timing[4] == 40);
        encode_ns += timing[3];
    }
    cr_assert(frame->message.result.outcome.split);
    cr_assert_eq(frame->message.result.outcome.arrived_ns, 9000);
    cr_assert_eq(frame->message.result.outcome.decode_ns, 300);
    cr_assert_eq(frame->message.result.outcome.execute_ns, 1200);
    cr_assert_eq(frame->message.result.outcome.encode_ns, encode_ns);
    wire_frame_destroy(frame);
    wire_frame_destroy(expect(70, 10, 1, false));
    expect_nothing_more();
    msgpack_zone_destroy(&zone);
}

Test(ended, last_report_of_a_chunk_is_final_and_no_other)
{
    for (uint32_t place = 0; place < 10; place++) {
        end(&lots[1], place, 0);
        if (place != 5)
            end(&lots[0], place, 0);
    }
    cr_assert_eq(ended_report(&ended, NULL), 0);
    wire_frame_destroy(expect(70, 1, 5, false));
    wire_frame_destroy(expect(70, 7, 4, false));
    wire_frame_destroy(expect(71, 101, 10, true));
    cr_assert(lots[1].finished && !lots[0].finished);
    end(&lots[0], 5, 0);
    cr_assert_eq(ended_report(&ended, NULL), 0);
    wire_frame_destroy(expect(70, 6, 1, true));
    expect_nothing_more();
}

Test(ended, failures_are_named_among_values)
{
    struct wire_frame *frame;

    for (uint32_t place = 0; place < 4; place++)
        end(&lots[0], 3 - place, place % 2 ? MUSTER_EFAILED : 0);
    cr_assert_eq(ended_report(&ended, NULL), 0);
    frame = expect(70, 1, 4, false);
    cr_assert_eq(frame->message.result.outcome.failure_count, 2);
    cr_assert_eq(frame->message.result.outcome.failures[0].index, 1);
    cr_assert_eq(frame->message.result.outcome.failures[1].index, 3);
    wire_frame_destroy(frame);
}

Test(ended, failure_with_a_value_leaves_it_in_its_place)
{
    const msgpack_object value = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 55};
    const struct outcome outcome = {.lot = &lots[0], .place = 1, .code = MUSTER_EFAILED, .valued = true};
    const struct proto_failure *failures;
    struct wire_frame *frame;

    end(&lots[0], 2, 0);
    lots[0].running--;
    cr_assert_eq(ended_add(&ended, &outcome, &value, "it failed"), 0);
    end(&lots[0], 0, MUSTER_EFAILED);
    cr_assert_eq(ended_report(&ended, NULL), 0);
    frame = expect(70, 1, 3, false);
    failures = frame->message.result.outcome.failures;
    cr_assert_eq(frame->message.result.outcome.failure_count, 2);
    cr_assert(!failures[0].valued && failures[1].valued && failures[1].index == 2);
    cr_assert_eq(frame->message.payload.size, 2);
    cr_assert_eq(memcmp(slice_bytes(&frame->message.payload), "\x37\x02", 2), 0);
    wire_frame_destroy(frame);
}

Test(ended, values_after_a_large_one_do_not_go_to_memory_that_was_freed)
{
    static char large[8 * PROTO_BLOCK_BYTES];
    const msgpack_object value = {.type = MSGPACK_OBJECT_BIN,
                                  .via.bin = {.size = sizeof large, .ptr = large}};
    const struct outcome outcome = {.lot = &lots[0], .place = 0};
    struct wire_frame *frame;

    lots[0].running--;
    cr_assert_eq(ended_add(&ended, &outcome, &value, ""), 0);
    cr_assert_eq(ended_report(&ended, NULL), 0);
    wire_frame_destroy(expect(70, 1, 1, false));
    end(&lots[0], 1, 0);
    cr_assert_eq(ended_report(&ended, NULL), 0);
    frame = expect(70, 2, 1, false);
    cr_expect_eq(*slice_bytes(&frame->message.payload), 1);
    wire_frame_destroy(frame);
}

Test(ended, outcomes_are_not_held_back_for_longer_than_asked)
{
    uint64_t ended_ns = 1000 * 20 + 500;

    cr_assert_not(ended_due(&ended, UINT64_MAX, 0), "there is none");
    end(&lots[0], 0, 0);
    cr_assert_not(ended_due(&ended, ended_ns + 99, 100));
    cr_assert(ended_due(&ended, ended_ns + 100, 100));
}
