/* SPDX-License-Identifier: MIT
 *
 * Slots for messages in shared memory: order, room, bytes that no writer of ours left there, and
 * a writer that is killed.
 */
#include "proto/slots.h"

#include "base/clock.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct slots *slots;
static int fd = -1;

static void set_up(void)
{
    cr_assert_eq(slots_create(&fd, &slots), 0);
}

static void tear_down(void)
{
    slots_unmap(slots);
    close(fd);
}

TestSuite(slots, .init = set_up, .fini = tear_down);

/* A RESULT of one job, whose value is a string of `bytes`. */
static struct wire_parcel *result_parcel(size_t bytes)
{
    struct proto_message message = {
        .type = PROTO_RESULT,
        .result = {.batch = 1, .chunk = 2, .final = true, .outcome = {.first = 3, .count = 1, .attempt = 1}}};
    uint8_t *value = calloc(bytes + 5, 1);
    struct wire_parcel *parcel;

    value[0] = 0xdb; /* str 32 */
    for (int i = 0; i < 4; i++)
        value[1 + i] = (uint8_t)(bytes >> (24 - 8 * i));
    message.payload.blob = blob_take(value, bytes + 5);
    message.payload.size = bytes + 5;
    cr_assert_eq(wire_pack(&message, &parcel), 0);
    blob_unref(message.payload.blob);
    return parcel;
}

static bool put(size_t bytes, uint64_t after)
{
    struct wire_parcel *parcel = result_parcel(bytes);
    bool done = slot_put(&slots->to_coordinator, after, parcel);

    wire_parcel_destroy(parcel);
    return done;
}

static void expect_result(uint64_t handled, size_t bytes)
{
    struct wire_frame *frame;

    cr_assert_eq(slot_take(&slots->to_coordinator, handled, "worker", &frame), 0);
    cr_assert_eq(frame->error.code, 0, "%s", frame->error.text);
    cr_assert_str_eq(frame->peer, "worker");
    cr_assert(frame->received_ns > 0 && frame->received_ns <= clock_now_ns(), "receipts need to know when");
    cr_assert_eq(frame->message.type, PROTO_RESULT);
    cr_assert_eq(frame->message.result.outcome.first, 3);
    cr_assert_eq(frame->message.payload.size, bytes + 5);
    wire_frame_destroy(frame);
}

static void expect_nothing(uint64_t handled)
{
    struct wire_frame *frame;

    cr_assert_eq(slot_take(&slots->to_coordinator, handled, "worker", &frame), MUSTER_EAGAIN);
}

Test(slots, message_is_taken_once_and_makes_room_for_the_next)
{
    expect_nothing(0);
    cr_assert(put(10, 0));
    cr_assert_not(put(11, 0), "the slot is full");
    expect_result(0, 10);
    expect_nothing(0);
    cr_assert(put(12, 0));
    expect_result(0, 12);
}

Test(slots, message_does_not_overtake_those_that_went_by_the_wire_before)
{
    cr_assert(put(10, 3));
    expect_nothing(0);
    expect_nothing(2);
    expect_result(3, 10);
}

Test(slots, message_that_has_no_room_is_left_to_the_wire)
{
    cr_assert_not(put(SLOT_MESSAGE_BYTES, 0));
    cr_assert(put(SLOT_MESSAGE_BYTES - 128, 0));
    expect_result(0, SLOT_MESSAGE_BYTES - 128);
}

/* Whatever another process writes there, nothing beyond the slot is read. */
Test(slots, lengths_that_lie_are_an_error_or_a_message)
{
    static const uint32_t lengths[] = {
        0, 1, 64, SLOT_MESSAGE_BYTES, SLOT_MESSAGE_BYTES + 1, UINT32_MAX - 1, UINT32_MAX};
    enum { COUNT = sizeof lengths / sizeof *lengths };

    for (size_t i = 0; i < COUNT * COUNT; i++) {
        struct wire_frame *frame;

        cr_assert(put(10, 0));
        atomic_store(&slots->to_coordinator.header_bytes, lengths[i / COUNT]);
        atomic_store(&slots->to_coordinator.payload_bytes, lengths[i % COUNT]);
        cr_assert_eq(slot_take(&slots->to_coordinator, 0, "worker", &frame), 0);
        cr_assert_neq(frame->error.code, 0);
        wire_frame_destroy(frame);
    }
}

Test(slots, garbage_is_an_error)
{
    uint32_t random = 1;

    for (int round = 0; round < 10000; round++) {
        struct wire_frame *frame;

        cr_assert(put(10, 0));
        for (int i = 0; i < 8; i++) {
            random = random * 1664525 + 1013904223;
            slots->to_coordinator.bytes[random >> 16 & 63] = (uint8_t)(random >> 8);
        }
        cr_assert_eq(slot_take(&slots->to_coordinator, 0, "worker", &frame), 0);
        if (frame->error.code == 0)
            cr_assert_leq(frame->message.payload.size, SLOT_MESSAGE_BYTES);
        wire_frame_destroy(frame);
    }
}

Test(slots, attached_slots_are_the_same_pages)
{
    struct slots *mine;
    int other = open("/dev/null", O_RDWR | O_CLOEXEC);

    cr_assert_eq(slots_attach(other, &mine), MUSTER_EINVALID);
    cr_assert_eq(slots->attached, 0);
    cr_assert_eq(slots_attach(fd, &mine), 0);
    cr_assert_eq(slots->attached, SLOTS_MAGIC);
    cr_assert(put(10, 0));
    cr_assert(slot_is_full(&mine->to_coordinator));
    slots_unmap(mine);
    close(other);
}

/* Killed in the midst of a stream of messages, often in the midst of one. */
Test(slots, writer_that_is_killed_leaves_a_whole_message_or_none)
{
    for (int round = 0; round < 20; round++) {
        struct wire_frame *frame;
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0) {
            struct wire_parcel *parcel = result_parcel(3000);

            for (;;)
                slot_put(&slots->to_coordinator, 0, parcel);
        }
        for (int taken = 0; taken < 50;) {
            if (slot_take(&slots->to_coordinator, 0, "worker", &frame) != 0)
                continue;
            cr_assert_eq(frame->error.code, 0, "%s", frame->error.text);
            wire_frame_destroy(frame);
            taken++;
        }
        kill(pid, SIGKILL);
        cr_assert_eq(waitpid(pid, NULL, 0), pid);
        if (slot_take(&slots->to_coordinator, 0, "worker", &frame) == 0) {
            cr_assert_eq(frame->error.code, 0, "%s", frame->error.text);
            wire_frame_destroy(frame);
        }
    }
}

Test(slots, bell_wakes_a_sleeper_in_another_process_however_they_race, .timeout = 60)
{
    enum { ROUNDS = 2000 };
    pid_t pid = fork();
    int status;

    cr_assert_geq(pid, 0);
    if (pid == 0) {
        for (uint32_t seen = 0; seen < ROUNDS;) {
            slots_sleep(slots, seen, 0);
            if (atomic_load(&slots->bell) == seen)
                continue;
            seen++;
            atomic_store(&slots->attached, seen);
        }
        _exit(0);
    }
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        slots_ring(slots);
        while (atomic_load(&slots->attached) < round)
            sched_yield();
    }
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
}
