/* SPDX-License-Identifier: MIT
 *
 * Batches: which jobs are taken in which order, that their arguments are theirs, what a
 * client is let send, and that arguments are freed as soon as nobody can ask for them.
 */
#include "base/error.h"
#include "coordinator/batch.h"
#include "proto/value.h"

#include <criterion/criterion.h>
#include <string.h>
#include <utlist.h>

static struct batch *batch;

static void tear_down(void)
{
    batch_destroy(batch);
    batch = NULL;
}

TestSuite(batch, .fini = tear_down);

static struct proto_submit settings(enum proto_arguments kind, int64_t first, int64_t last)
{
    return (struct proto_submit){.ticket = 9,
                                 .function = {"noop", 4},
                                 .kind = kind,
                                 .first = first,
                                 .last = last,
                                 .crash_limit = 3,
                                 .window_bytes = 1000,
                                 .attach = true,
                                 .cpus = 1};
}

static void create_range(int64_t first, int64_t last)
{
    struct proto_submit submit = settings(PROTO_RANGE, first, last);

    batch = batch_create(1, 0, "client", &submit, 1);
    cr_assert(batch);
}

static void create_list(void)
{
    struct proto_submit submit = settings(PROTO_LIST, 0, 0);

    batch = batch_create(1, 0, "client", &submit, 1);
    cr_assert(batch);
    batch->granted_cost = 100000;
}

/* The argument of each job of a list: encodings of one, two, three and five bytes. */
static int64_t argument_of(uint64_t index)
{
    static const int64_t scale[] = {1, 100, 10000, 1000000};

    return (int64_t)index * scale[index % 4];
}

/* A message with the arguments of jobs first .. first + count - 1; the blob is the caller's. */
static struct proto_message arguments_message(uint64_t first, uint32_t count)
{
    struct proto_message message = {.type = PROTO_ARGUMENTS,
                                    .arguments = {.ticket = 9, .first = first, .count = count}};
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = 0; i < count; i++)
        msgpack_pack_int64(&packer, argument_of(first + i));
    message.payload.blob = blob_copy(buffer.data, buffer.size);
    message.payload.size = buffer.size;
    msgpack_sbuffer_destroy(&buffer);
    cr_assert(message.payload.blob);
    return message;
}

static int append(uint64_t first, uint32_t count)
{
    struct proto_message message = arguments_message(first, count);
    int result = batch_append(batch, 0, &message);

    blob_unref(message.payload.blob);
    return result;
}

/* Checks that the slice holds the arguments of the run, and nothing else. */
static void check_arguments(const struct job_run *run, const struct slice *arguments)
{
    size_t offset = 0;
    msgpack_zone zone;

    cr_assert(msgpack_zone_init(&zone, 256));
    for (uint64_t i = 0; i < run->count; i++) {
        msgpack_object value;

        cr_assert_eq(value_unpack(slice_bytes(arguments), arguments->size, &offset, &zone, &value), 0);
        cr_assert_eq(value.via.i64, argument_of(run->first + i), "job %lu", (unsigned long)(run->first + i));
    }
    cr_assert_eq(offset, arguments->size);
    msgpack_zone_destroy(&zone);
}

/* Takes up to `count` jobs, which must be first .. first + expected - 1. */
static struct job_run take(uint32_t count, uint64_t first, uint64_t expected)
{
    struct job_run run;
    struct slice arguments;
    int64_t first_argument;

    cr_assert(batch_ready(batch));
    cr_assert_eq(batch_take(batch, 0, count, &run, &arguments, &first_argument), 0);
    cr_assert_eq(run.first, first, "job %lu", (unsigned long)run.first);
    cr_assert_eq(run.count, expected, "%lu jobs", (unsigned long)run.count);
    cr_assert_eq(run.state, JOB_ASSIGNED);
    if (batch->settings.kind == PROTO_LIST)
        check_arguments(&run, &arguments);
    else
        cr_assert_eq(first_argument, batch->settings.first + (int64_t)(first - 1));
    return run;
}

static void settle(struct job_run run, enum job_event event)
{
    cr_assert_eq(batch_settle(batch, run, event), 0);
}

static unsigned blocks(void)
{
    const struct block *block;
    unsigned count;

    DL_COUNT(batch->blocks, block, count);
    return count;
}

Test(batch, range_is_handed_out_in_order_with_its_arguments)
{
    struct job_run a, b;

    create_range(-3, 6);
    cr_assert_eq(batch->total, 10);
    cr_assert(batch->sealed);
    a = take(4, 1, 4);
    b = take(100, 5, 6);
    cr_assert_not(batch_ready(batch));
    cr_assert_not(batch_over(batch));
    settle(a, JOB_SUCCEED);
    settle(b, JOB_SUCCEED);
    cr_assert(batch_over(batch));
    cr_assert_eq(batch->totals.succeeded, 10);
}

Test(batch, range_over_all_of_the_integers_does_not_overflow)
{
    create_range(INT64_MAX - 1, INT64_MAX);
    take(2, 1, 2);
    batch_destroy(batch);
    create_range(INT64_MIN, INT64_MIN + PROTO_BATCH_JOBS_MAX - 1);
    cr_assert_eq(batch->total, (uint64_t)PROTO_BATCH_JOBS_MAX);
    take(PROTO_CHUNK_JOBS_MAX, 1, PROTO_CHUNK_JOBS_MAX);
    take(1, PROTO_CHUNK_JOBS_MAX + 1, 1);
}

Test(batch, arguments_of_a_range_are_refused)
{
    create_range(1, 5);
    batch->granted_cost = 100000;
    cr_assert_eq(append(6, 1), MUSTER_ESTATE);
    cr_assert_eq(batch_seal(batch, 5), MUSTER_ESTATE);
    cr_assert_eq(batch->total, 5);
}

Test(batch, pieces_of_a_list_end_where_their_block_ends)
{
    create_list();
    cr_assert_eq(append(1, 5), 0);
    cr_assert_eq(append(6, 3), 0);
    cr_assert_eq(append(9, 1), 0);
    take(2, 1, 2);
    take(9, 3, 3);
    take(3, 6, 3);
    take(9, 9, 1);
    cr_assert_not(batch_ready(batch));
    cr_assert_eq(append(10, 4), 0);
    take(1, 10, 1);
    take(9, 11, 3);
}

Test(batch, jobs_that_come_back_are_taken_first_and_in_order)
{
    struct job_run a, b, c;

    create_list();
    cr_assert_eq(append(1, 9), 0);
    a = take(2, 1, 2);
    b = take(2, 3, 2);
    c = take(2, 5, 2);
    settle(c, JOB_RETURN);
    settle(a, JOB_RETURN);
    settle(b, JOB_RETURN);
    cr_assert_eq(batch->queued, 9);
    take(1, 1, 1);
    take(9, 2, 5);
    take(9, 7, 3);
}

/* Puts jobs back in an order that is bad for a list that is searched from one end, and counts
 * the runs that they make. */
static size_t runs_after_retry(uint64_t jobs, uint64_t step)
{
    const struct requeued *node;
    size_t runs = 0;

    batch->settings.window_bytes = UINT64_MAX;
    for (uint64_t first = 1; first <= jobs; first += PROTO_CHUNK_JOBS_MAX)
        take(PROTO_CHUNK_JOBS_MAX, first,
             jobs - first + 1 < PROTO_CHUNK_JOBS_MAX ? jobs - first + 1 : PROTO_CHUNK_JOBS_MAX);
    for (uint64_t half = 0; half < 2; half++) /* the later half first: others come before it */
        for (uint64_t index = half ? 1 : jobs / 2 + 1; index <= (half ? jobs / 2 : jobs); index++)
            settle((struct job_run){.first = index, .count = 1, .state = JOB_ASSIGNED},
                   index % step == 0 ? JOB_SUCCEED : JOB_RETRY);
    DL_FOREACH(batch->requeued, node)
        runs++;
    return runs;
}

Test(batch, hundreds_of_thousands_of_retried_neighbours_are_one_run)
{
    create_range(1, 400000);
    cr_assert_eq(runs_after_retry(400000, 1000000), 1);
    take(1000, 1, 1000);
    cr_assert_eq(batch->queued, 399000);
}

Test(batch, hundreds_of_thousands_of_retried_jobs_apart_are_put_back_without_a_search, .timeout = 60)
{
    create_range(1, 400000);
    cr_assert_eq(runs_after_retry(400000, 2), 200000);
    take(10, 1, 1);
    take(10, 3, 1);
}

Test(batch, job_that_crashed_its_worker_runs_alone)
{
    create_range(1, 5);
    take(5, 1, 5);
    settle((struct job_run){.first = 1, .count = 2, .state = JOB_ASSIGNED}, JOB_RETURN);
    settle((struct job_run){.first = 3, .count = 1, .state = JOB_ASSIGNED}, JOB_CRASH);
    settle((struct job_run){.first = 4, .count = 2, .state = JOB_ASSIGNED}, JOB_RETURN);
    take(5, 1, 2);
    take(5, 3, 1);
    take(5, 4, 2);
}

Test(batch, results_of_assigned_jobs_count_in_the_window_before_they_come)
{
    create_range(1, 1000000);
    batch->workers = 2;
    batch->settings.window_bytes = 1000000;
    cr_assert_eq(batch_room(batch), PROTO_CHUNK_JOBS_MAX); /* nothing is known of results */
    take(1, 1, 1);
    settle((struct job_run){.first = 1, .count = 1, .state = JOB_ASSIGNED}, JOB_SUCCEED);
    batch_note_results(batch, 1, 100000);
    cr_assert_eq(batch_room(batch), 10);
    take(8, 2, 8);
    cr_assert_eq(batch_room(batch), 2);
    take(2, 10, 2);
    cr_assert_not(batch_ready(batch));
}

Test(batch, results_larger_than_the_window_leave_a_job_for_each_worker)
{
    create_range(1, 100);
    batch->workers = 2;
    batch->settings.window_bytes = 1000;
    batch_note_results(batch, 1, 100000);
    cr_assert_eq(batch_room(batch), 1);
    take(1, 1, 1);
    take(1, 2, 1);
    cr_assert_not(batch_ready(batch));
}

Test(batch, arguments_of_a_job_that_comes_back_are_found_inside_its_block)
{
    struct job_run run;

    create_list();
    cr_assert_eq(append(1, 6), 0);
    cr_assert_eq(append(7, 6), 0);
    settle(take(6, 1, 6), JOB_SUCCEED);
    run = take(6, 7, 6);
    settle(job_run_take(&run, 3), JOB_SUCCEED);
    settle(job_run_take(&run, 1), JOB_RETRY);
    settle(job_run_take(&run, 1), JOB_SUCCEED);
    settle(run, JOB_CRASH);
    run = take(9, 10, 1);
    cr_assert_eq(run.attempts, 1);
    cr_assert_eq(run.failures, 1);
    run = take(9, 12, 1);
    cr_assert_eq(run.crashes, 1);
    cr_assert_eq(batch->totals.retried, 2);
}

Test(batch, each_way_to_end_is_counted_apart)
{
    struct job_run run;

    create_range(1, 10);
    run = take(10, 1, 10);
    settle(job_run_take(&run, 4), JOB_SUCCEED);
    settle(job_run_take(&run, 3), JOB_FAIL);
    settle(job_run_take(&run, 1), JOB_QUARANTINE);
    cr_assert_eq(batch->assigned, 2);
    settle(run, JOB_CANCEL);
    cr_assert(batch_over(batch));
    cr_assert_eq(batch->totals.succeeded, 4);
    cr_assert_eq(batch->totals.failed, 4);
    cr_assert_eq(batch->totals.cancelled, 2);
    cr_assert_eq(batch->totals.retried, 0);
}

Test(batch, block_is_freed_with_its_last_job_and_not_before)
{
    struct job_run run, rest;

    create_list();
    cr_assert_eq(append(1, 4), 0);
    cr_assert_eq(append(5, 4), 0);
    run = take(4, 1, 4);
    rest = take(3, 5, 3);
    settle(job_run_take(&run, 3), JOB_SUCCEED);
    cr_assert_eq(blocks(), 2);
    settle(run, JOB_FAIL);
    cr_assert_eq(blocks(), 1);
    settle(rest, JOB_SUCCEED);
    cr_assert_eq(blocks(), 1, "job 8 is still to be taken");
    settle(take(4, 8, 1), JOB_SUCCEED);
    cr_assert_eq(blocks(), 0);
    cr_assert_eq(append(9, 2), 0);
    take(2, 9, 2);
}

Test(batch, block_holds_its_bytes_while_the_message_is_gone)
{
    struct proto_message message = arguments_message(1, 3);

    create_list();
    cr_assert_eq(batch_append(batch, 0, &message), 0);
    cr_assert_eq(atomic_load(&message.payload.blob->references), 2);
    settle(take(3, 1, 3), JOB_SUCCEED);
    cr_assert_eq(atomic_load(&message.payload.blob->references), 1);
    blob_unref(message.payload.blob);
}

Test(batch, arguments_with_a_gap_or_an_overlap_are_refused)
{
    create_list();
    cr_assert_eq(append(2, 1), MUSTER_EPROTOCOL);
    cr_assert_eq(append(1, 3), 0);
    cr_assert_eq(append(3, 1), MUSTER_EPROTOCOL);
    cr_assert_eq(append(5, 1), MUSTER_EPROTOCOL);
    cr_assert_eq(batch->total, 3);
    cr_assert_eq(blocks(), 1);
    cr_assert_eq(append(4, 1), 0);
}

Test(batch, arguments_beyond_the_grant_are_refused)
{
    create_list();
    batch->granted_cost = PROTO_MESSAGE_COST_BYTES + 1;
    cr_assert_eq(append(1, 3), 0);
    cr_assert_gt(batch->received_cost, batch->granted_cost, "one block may pass it");
    cr_assert_eq(append(4, 1), MUSTER_ESTATE);
    batch->granted_cost = batch->received_cost + 1;
    cr_assert_eq(append(4, 1), 0);
}

Test(batch, arguments_taken_cost_as_much_as_they_cost_when_they_came)
{
    create_list();
    cr_assert_eq(append(1, 5), 0);
    cr_assert_eq(append(6, 2), 0);
    take(2, 1, 2);
    take(3, 3, 3);
    take(1, 6, 1);
    cr_assert_lt(batch->taken_cost, batch->received_cost);
    settle(take(1, 7, 1), JOB_RETURN);
    cr_assert_eq(batch->taken_cost, batch->received_cost);
    take(1, 7, 1);
    cr_assert_eq(batch->taken_cost, batch->received_cost, "taken twice, paid once");
}

Test(batch, seal_with_a_wrong_total_or_a_second_one_is_refused)
{
    create_list();
    cr_assert_eq(append(1, 3), 0);
    cr_assert_eq(batch_seal(batch, 2), MUSTER_EPROTOCOL);
    cr_assert_eq(batch_seal(batch, 4), MUSTER_EPROTOCOL);
    cr_assert_not(batch->sealed);
    cr_assert_eq(batch_seal(batch, 3), 0);
    cr_assert_eq(batch_seal(batch, 3), MUSTER_ESTATE);
    cr_assert_eq(append(4, 1), MUSTER_ESTATE);
}

Test(batch, batch_is_not_over_while_more_arguments_may_come)
{
    create_list();
    cr_assert_not(batch_over(batch));
    cr_assert_eq(append(1, 1), 0);
    settle(take(1, 1, 1), JOB_SUCCEED);
    cr_assert_not(batch_over(batch));
    cr_assert_eq(batch_seal(batch, 1), 0);
    cr_assert(batch_over(batch));
}

Test(batch, full_window_holds_fresh_jobs_but_not_those_that_come_back)
{
    struct job_run run;

    create_range(1, 10);
    run = take(2, 1, 2);
    batch->sent_cost = 1000;
    cr_assert_not(batch_ready(batch));
    settle(run, JOB_RETURN);
    cr_assert(batch_ready(batch));
    take(9, 1, 2);
    cr_assert_not(batch_ready(batch));
    batch->consumed_cost = 1;
    cr_assert(batch_ready(batch));
}

Test(batch, dropped_queue_cancels_fresh_and_returned_jobs_and_frees_their_arguments)
{
    struct job_run held, returned;

    create_list();
    cr_assert_eq(append(1, 3), 0);
    cr_assert_eq(append(4, 3), 0);
    cr_assert_eq(append(7, 3), 0);
    returned = take(2, 1, 2);
    settle(take(1, 3, 1), JOB_SUCCEED);
    held = take(1, 4, 1);
    settle(returned, JOB_RETURN);
    batch_drop_queue(batch);
    cr_assert_eq(batch->queued, 0);
    cr_assert_eq(batch->totals.cancelled, 7);
    cr_assert_eq(blocks(), 1, "that of the job which still runs");
    cr_assert_not(batch_ready(batch));
    cr_assert_not(batch_over(batch));
    cr_assert_eq(append(10, 1), MUSTER_ESTATE);
    settle(held, JOB_SUCCEED);
    cr_assert(batch_over(batch));
    cr_assert_eq(blocks(), 0);
    cr_assert_eq(batch->totals.succeeded, 2);
}

Test(batch, queue_dropped_in_the_midst_of_a_block_counts_each_job_once)
{
    struct job_run run;

    create_list();
    cr_assert_eq(append(1, 5), 0);
    cr_assert_eq(append(6, 5), 0);
    run = take(2, 1, 2);
    batch_drop_queue(batch);
    batch_drop_queue(batch);
    cr_assert_eq(batch->totals.cancelled, 8);
    settle(run, JOB_CANCEL);
    cr_assert_eq(batch->totals.cancelled, 10);
    cr_assert(batch_over(batch));
    cr_assert_eq(blocks(), 0);
}

Test(batch, longest_range_is_dropped_at_once)
{
    create_range(1, PROTO_BATCH_JOBS_MAX);
    take(1, 1, 1);
    batch_drop_queue(batch);
    cr_assert_eq(batch->totals.cancelled, (uint64_t)PROTO_BATCH_JOBS_MAX - 1);
}

Test(batch, settling_no_jobs_changes_nothing)
{
    struct job_run none, run;

    create_range(1, 2);
    run = take(1, 1, 1);
    none = job_run_take(&run, 0);
    settle(none, JOB_SUCCEED);
    cr_assert_eq(batch->assigned, 1);
    cr_assert_eq(batch->totals.succeeded, 0);
}

Test(batch, names_of_full_length_are_kept_whole)
{
    struct proto_submit submit = settings(PROTO_RANGE, 1, 1);
    char client[PROTO_PEER_NAME_MAX + 1], function[PROTO_FUNCTION_NAME_MAX];

    memset(client, 'c', sizeof client - 1);
    client[sizeof client - 1] = '\0';
    memset(function, 'f', sizeof function);
    submit.function = (struct proto_text){function, sizeof function};
    batch = batch_create(1, 0, client, &submit, 1);
    cr_assert(batch);
    cr_assert_str_eq(batch->client, client);
    memset(function, 'x', sizeof function);
    cr_assert_eq(batch->settings.function.size, sizeof function);
    cr_assert_eq(batch->settings.function.bytes[sizeof function - 1], 'f');
}

Test(batch, batch_destroyed_in_the_midst_of_its_work_leaks_nothing)
{
    create_list();
    cr_assert_eq(append(1, 5), 0);
    cr_assert_eq(append(6, 5), 0);
    take(2, 1, 2);
    settle(take(2, 3, 2), JOB_RETURN);
    batch_destroy(NULL);
}
