/* SPDX-License-Identifier: MIT
 *
 * The core and values in shared memory: what refers to it is released when no client will, and never
 * when one does.
 */
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(core_shared, .fini = end_core);

enum { SHARED_BYTES = 1 << 20 };

/* The client `other` leaves while worker 1 has a chunk of so many jobs of it. */
static struct proto_chunk leave_with(uint32_t count)
{
    struct proto_submit settings = range_of(1, count, count);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    client_hello("other");
    submit("other", &settings);
    chunk = expect_chunk(1, 1, count);
    stop_client("other");
    expect_sent(worker_name(1), PROTO_CANCEL);
    return chunk;
}

Test(core_shared, results_of_a_client_that_left_are_released)
{
    struct proto_chunk chunk = leave_with(3);

    worker_reports(1, &chunk,
                   &(struct report){.first = 1, .count = 3, .final = true, .shared_bytes = SHARED_BYTES});
    expect_release(1, 3);
}

Test(core_shared, each_part_of_a_report_that_nobody_takes_is_released)
{
    static const uint64_t failed[] = {3, 0};
    struct proto_chunk chunk = leave_with(6);

    worker_reports(1, &chunk,
                   &(struct report){.first = 1,
                                    .count = 6,
                                    .final = true,
                                    .failed = failed,
                                    .code = MUSTER_ECANCELLED,
                                    .shared_bytes = SHARED_BYTES});
    expect_release(1, 2);
    expect_release(4, 3);
}

Test(core_shared, results_that_a_client_takes_are_not_released)
{
    struct proto_submit settings = range_of(1, 2, 2);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 2);
    worker_reports(1, &chunk,
                   &(struct report){.first = 1, .count = 2, .final = true, .shared_bytes = SHARED_BYTES});
    cr_assert_eq(expect_results(1, 2, NULL)->shared_bytes, SHARED_BYTES);
    expect_ended(2, 0, 0);
    expect_nothing();
}

Test(core_shared, late_results_are_released_though_their_client_is_there)
{
    struct proto_submit settings = range_of(1, 4, 2);
    struct report report = {.first = 1, .count = 2, .final = true, .shared_bytes = SHARED_BYTES};
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 2);
    worker_reports(1, &chunk, &report);
    expect_results(1, 2, NULL);
    expect_chunk(1, 3, 2);
    worker_reports(1, &chunk, &report);
    expect_release(1, 2);
    expect_nothing();
}

Test(core_shared, late_results_of_a_buried_worker_are_released)
{
    struct proto_submit settings = range_of(1, 1, 1);
    char name[PROTO_PEER_NAME_MAX + 1];
    struct proto_message late;
    struct proto_chunk old, chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    old = expect_chunk(1, 1, 1);
    strcpy(name, worker_name(1));
    step_exit(&(struct worker_exit){.slot = 1, .reason = "killed by SIGKILL"});
    expect_spawn(1);
    worker_hello(1, 1);
    chunk = expect_chunk(1, 1, 1);
    late = result_message(
        &old, &(struct report){.first = 1, .count = 1, .final = true, .shared_bytes = SHARED_BYTES});
    step_message(name, &late);
    expect_release(1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
}
