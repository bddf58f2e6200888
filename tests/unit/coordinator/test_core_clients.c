/* SPDX-License-Identifier: MIT
 *
 * What clients may send and how much of it: greetings, grants for arguments, windows for
 * results, and everything that is refused.
 */
#include "proto/codec.h"
#include "tests/support/core_harness.h"

#include <criterion/criterion.h>

TestSuite(core_clients, .fini = end_core);

/* --- who is who */

Test(core_clients, client_of_another_version_is_refused)
{
    struct proto_message hello = {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION + 1}};

    begin_lazy(1);
    step_message("stranger", &hello);
    expect_error("stranger", 0, MUSTER_EVERSION, "another protocol version");
    step_message("stranger", &(struct proto_message){.type = PROTO_STOP});
    expect_error("stranger", 0, MUSTER_ESTATE, "say HELLO first");
    cr_assert_not(core_stopped(core));
}

/* Memory ran out as it said HELLO, at either side: it waits for the coordinator's end now. */
Test(core_clients, owner_that_was_not_welcomed_can_end_the_coordinator)
{
    begin_lazy(1);
    cr_assert_not(core_stopped(core));
    step_message(OWNER, &(struct proto_message){.type = PROTO_STOP});
    expect_nothing();
    cr_assert(core_stopped(core));
}

Test(core_clients, stranger_gets_nothing_but_an_error)
{
    struct proto_submit settings = range_of(1, 5, 0);
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello = {.version = PROTO_VERSION, .role = PROTO_WORKER, .credit = 1, .concurrency = 1}};

    begin_lazy(1);
    step_message("stranger", &(struct proto_message){.type = PROTO_SUBMIT, .submit = settings});
    expect_error("stranger", 0, MUSTER_ESTATE, "say HELLO first");
    step_message("worker-1.9", &hello);
    expect_error("worker-1.9", 0, MUSTER_ESTATE, "under the name you were given");
    step_message("stranger", &(struct proto_message){.type = PROTO_PONG});
    expect_error("stranger", 0, MUSTER_ESTATE, "say HELLO first");
    cr_assert_eq(core_count(core).batches, 0);
}

Test(core_clients, client_beyond_the_limit_is_refused)
{
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT}};
    char name[32];

    begin_lazy(1); /* CLIENT and the owner may be known already */
    for (unsigned i = HASH_COUNT(core->clients); i < PROTO_CLIENTS_MAX; i++) {
        snprintf(name, sizeof name, "client-%u", i);
        client_hello(name);
    }
    step_message("one-too-many", &hello);
    expect_error("one-too-many", 0, MUSTER_ELIMIT, "too many clients");
}

Test(core_clients, client_beyond_a_lower_limit_is_refused)
{
    struct proto_message hello = {.type = PROTO_HELLO,
                                  .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT}};

    begin_lazy(1);
    core->options.clients = HASH_COUNT(core->clients) + 1;
    client_hello("last");
    step_message("one-too-many", &hello);
    expect_error("one-too-many", 0, MUSTER_ELIMIT, "too many clients");
    step_gone("last");
    client_hello("next");
}

Test(core_clients, malformed_bytes_are_answered_and_do_no_harm)
{
    struct proto_submit settings = range_of(1, 1, 0);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    step_malformed(CLIENT);
    expect_error(CLIENT, 0, MUSTER_EPROTOCOL, "bytes that are no message");
    step_malformed("stranger");
    expect_error("stranger", 0, MUSTER_EPROTOCOL, "bytes that are no message");
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
}

Test(core_clients, message_that_only_others_send_is_refused)
{
    static const struct proto_message messages[] = {
        {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT}},
        {.type = PROTO_WELCOME, .welcome = {.version = PROTO_VERSION}},
        {.type = PROTO_ERROR, .error = {.code = MUSTER_EFAILED}},
        {.type = PROTO_ACCEPTED, .accepted = {.ticket = 1, .batch = 1}},
        {.type = PROTO_GRANT, .grant = {.ticket = 1}},
        {.type = PROTO_ENDED, .ended = {.ticket = 1}},
        {.type = PROTO_PING},
        {.type = PROTO_PONG},
        {.type = PROTO_RETURNED, .returned = {.batch = 1, .chunk = 1, .first = 1, .count = 1}},
        {.type = PROTO_CANCEL, .cancel = {.id = 1, .mode = PROTO_CANCEL_RETURN, .first = 1, .count = 1}},
    };

    begin_lazy(1);
    for (unsigned i = 0; i < sizeof messages / sizeof *messages; i++) {
        step_message(CLIENT, &messages[i]);
        expect_error(CLIENT, 0, MUSTER_EPROTOCOL, "a client does not send this message");
    }
}

Test(core_clients, client_that_sends_a_result_is_not_taken_for_a_worker)
{
    struct proto_submit settings = range_of(1, 2, 2);
    struct proto_chunk chunk;
    struct proto_message result;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 2);
    result = result_message(&chunk, &(struct report){.first = 1, .count = 2, .final = true});
    step_message(CLIENT, &result);
    expect_error(CLIENT, 0, MUSTER_EPROTOCOL, "a client does not send this message");
    worker_finishes(1, &chunk);
    expect_results(1, 2, NULL);
    expect_ended(2, 0, 0);
}

/* --- tickets */

Test(core_clients, ticket_in_use_is_refused_and_free_again_at_the_end)
{
    struct proto_submit settings = range_of(1, 1, 0);
    struct proto_chunk chunk;
    uint64_t first, second;

    begin_ready(1, 1);
    first = submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    step_message(CLIENT, &(struct proto_message){.type = PROTO_SUBMIT, .submit = settings});
    expect_error(CLIENT, 1, MUSTER_ESTATE, "this ticket is in use");
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 0);
    second = submit(CLIENT, &settings);
    cr_assert_gt(second, first);
    expect_chunk(1, 1, 1);
}

Test(core_clients, same_ticket_of_two_clients_is_two_batches)
{
    struct proto_submit settings = list_of(1);
    uint64_t first, second;

    begin_lazy(1);
    client_hello("other");
    first = submit(CLIENT, &settings);
    second = submit("other", &settings);
    cr_assert_neq(first, second);
    cancel(PROTO_CANCEL_SOON);
    expect_ended(0, 0, 0);
    cr_assert_eq(core_count(core).batches, 1);
}

/* --- what takes a coordinator that keeps batches */

static void expect_unserved(struct proto_submit settings, const char *field)
{
    step_message(CLIENT, &(struct proto_message){.type = PROTO_SUBMIT, .submit = settings});
    expect_error(CLIENT, 1, MUSTER_ESTATE, field);
}

Test(core_clients, submission_of_what_is_not_served_is_refused_by_name)
{
    struct proto_after after = {.batch = 1, .condition = PROTO_AFTER_ANY};
    struct proto_submit plain = range_of(1, 1, 0), settings;

    begin_ready(1, 1);
    settings = plain;
    settings.keep = true;
    expect_unserved(settings, "without keep");
    settings = plain;
    settings.ordered = true;
    expect_unserved(settings, "without ordered");
    settings = plain;
    settings.begin_ms = 1;
    expect_unserved(settings, "without begin_ms");
    settings = plain;
    settings.after = &after;
    settings.after_count = 1;
    expect_unserved(settings, "without after");
    submit(CLIENT, &plain);
    expect_chunk(1, 1, 1);
}

Test(core_clients, question_to_a_coordinator_that_keeps_nothing_is_refused)
{
    begin_lazy(1);
    step_message(CLIENT, &(struct proto_message){.type = PROTO_ATTACH,
                                                 .attach = {.ticket = 4, .batch = 1, .first = 1}});
    expect_error(CLIENT, 4, MUSTER_ESTATE, "keeps no batches");
    step_message(CLIENT, &(struct proto_message){.type = PROTO_DETACH, .detach = {.ticket = 5}});
    expect_error(CLIENT, 5, MUSTER_ESTATE, "keeps no batches");
    step_message(CLIENT,
                 &(struct proto_message){.type = PROTO_REQUEST,
                                         .request = {.ticket = 6, .operation = PROTO_REQUEST_STATUS}});
    expect_error(CLIENT, 6, MUSTER_ESTATE, "keeps no batches");
}

/* --- arguments */

/* A list whose client is told that what it sent cannot be, and that the batch is over. */
static void expect_refused(int code, uint64_t cancelled)
{
    expect_error(CLIENT, 1, code, "do not follow");
    expect_ended(0, 0, cancelled);
}

static void begin_list(uint32_t chunk_jobs)
{
    struct proto_submit settings = list_of(chunk_jobs);

    begin_lazy(1);
    submit(CLIENT, &settings);
}

Test(core_clients, arguments_out_of_order_end_the_batch)
{
    begin_list(1);
    send_arguments(CLIENT, 1, 2);
    expect_spawn(1);
    send_arguments(CLIENT, 4, 1);
    expect_refused(MUSTER_EPROTOCOL, 2);
}

Test(core_clients, arguments_after_the_seal_end_the_batch)
{
    begin_list(1);
    send_arguments(CLIENT, 1, 2);
    expect_spawn(1);
    seal(2);
    send_arguments(CLIENT, 3, 1);
    expect_refused(MUSTER_ESTATE, 2);
}

Test(core_clients, seal_with_a_wrong_total_ends_the_batch)
{
    begin_list(1);
    send_arguments(CLIENT, 1, 2);
    expect_spawn(1);
    seal(3);
    expect_refused(MUSTER_EPROTOCOL, 2);
}

Test(core_clients, arguments_for_a_range_end_it)
{
    struct proto_submit settings = range_of(1, 7, 0);

    begin_lazy(1);
    submit(CLIENT, &settings);
    expect_spawn(1);
    send_arguments(CLIENT, 8, 1);
    expect_refused(MUSTER_ESTATE, 7);
}

Test(core_clients, bad_arguments_cancel_running_jobs_too)
{
    struct proto_submit settings = list_of(1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 2);
    chunk = expect_chunk(1, 1, 1);
    send_arguments(CLIENT, 1, 2);
    expect_error(CLIENT, 1, MUSTER_EPROTOCOL, "do not follow");
    cr_assert_eq(expect_sent(worker_name(1), PROTO_CANCEL)->cancel.mode, PROTO_CANCEL_NOW);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_ended(1, 0, 1);
}

/* Sends one argument of about `bytes` bytes. */
static void send_large(uint64_t index, uint32_t bytes)
{
    uint8_t *value = calloc(1, bytes);
    struct blob *blob;
    struct proto_message message = {.type = PROTO_ARGUMENTS,
                                    .arguments = {.ticket = 1, .first = index, .count = 1}};

    cr_assert(value);
    value[0] = 0xc6; /* bin 32 */
    value[1] = (uint8_t)((bytes - 5) >> 24);
    value[2] = (uint8_t)((bytes - 5) >> 16);
    value[3] = (uint8_t)((bytes - 5) >> 8);
    value[4] = (uint8_t)(bytes - 5);
    blob = blob_take(value, bytes);
    cr_assert(blob);
    message.payload = (struct slice){.blob = blob, .size = bytes};
    step_message(CLIENT, &message);
    blob_unref(blob);
}

Test(core_clients, arguments_beyond_the_grant_end_the_batch)
{
    begin_list(1);
    send_large(1, PROTO_GRANT_BYTES - 2 * PROTO_MESSAGE_COST_BYTES);
    expect_spawn(1);
    send_large(2, 100); /* passes it */
    send_large(3, 100);
    expect_refused(MUSTER_ESTATE, 2);
}

Test(core_clients, grant_grows_as_arguments_are_taken)
{
    struct proto_submit settings = list_of(1);
    uint64_t cost = 2 << 20;
    uint64_t granted;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    send_large(1, (uint32_t)cost - PROTO_MESSAGE_COST_BYTES);
    expect_sent(worker_name(1), PROTO_CHUNK);
    granted = expect_sent(CLIENT, PROTO_GRANT)->grant.bytes;
    cr_assert_eq(granted, PROTO_GRANT_BYTES + cost);
    send_large(2, 1000);
    expect_nothing();
}

Test(core_clients, one_argument_larger_than_the_grant_is_taken)
{
    struct proto_submit settings = list_of(1);

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    send_large(1, PROTO_GRANT_BYTES + 1000);
    expect_sent(worker_name(1), PROTO_CHUNK);
    cr_assert_gt(expect_sent(CLIENT, PROTO_GRANT)->grant.bytes, PROTO_GRANT_BYTES + 1000);
}

Test(core_clients, grant_is_not_extended_in_steps_too_small_for_a_message)
{
    struct proto_submit settings = list_of(1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    send_arguments(CLIENT, 1, 100);
    for (uint64_t index = 1; index <= 100; index++) {
        chunk = expect_chunk(1, index, 1);
        worker_finishes(1, &chunk);
        expect_results(index, 1, NULL);
    }
}

/* --- results */

/* What the results of this one job cost the window. */
static uint64_t cost_of(uint64_t index)
{
    struct blob *blob = pack_values(value_of, index, 1, NULL);
    uint64_t cost = blob->size + PROTO_MESSAGE_COST_BYTES;

    blob_unref(blob);
    return cost;
}

Test(core_clients, full_window_stops_fresh_jobs_until_results_are_consumed)
{
    struct proto_submit settings = range_of(1, 10, 1);
    struct proto_chunk chunk;
    uint64_t cost = cost_of(1);

    begin_ready(1, 1);
    settings.window_bytes = cost + 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    chunk = expect_chunk(1, 2, 1);
    worker_finishes(1, &chunk);
    expect_results(2, 1, NULL);
    expect_nothing();
    cost += cost_of(2);
    consumed(cost - settings.window_bytes);
    expect_nothing();
    consumed(cost - settings.window_bytes + 1);
    expect_chunk(1, 3, 1);
}

Test(core_clients, full_window_does_not_stop_jobs_that_run_again)
{
    static const uint64_t failed[] = {1, 0};
    struct proto_submit settings = range_of(1, 10, 2);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.window_bytes = 1;
    settings.retries = 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 2);
    worker_fails(1, &chunk, failed);
    expect_results(2, 1, NULL);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    expect_nothing();
    consumed(cost_of(1) + cost_of(2));
    expect_chunk(1, 3, 1); /* no more results than that fit the window */
}

Test(core_clients, failures_count_in_the_window_so_that_a_flood_of_them_is_bounded)
{
    static const uint64_t failed[] = {1, 0};
    struct proto_submit settings = range_of(1, 10, 1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.window_bytes = PROTO_MESSAGE_COST_BYTES + PROTO_FAILURE_COST_BYTES; /* without its text */
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    worker_fails(1, &chunk, failed);
    expect_results(1, 1, failed);
    expect_nothing();
}

Test(core_clients, bytes_in_shared_memory_count_in_the_window)
{
    struct proto_submit settings = range_of(1, 10, 1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    settings.window_bytes = 1 << 20;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    worker_reports(1, &chunk,
                   &(struct report){.first = 1, .count = 1, .final = true, .shared_bytes = 1 << 20});
    cr_assert_eq(expect_results(1, 1, NULL)->shared_bytes, 1 << 20);
    expect_nothing();
    consumed(1 << 20);
    expect_chunk(1, 2, 1);
}

Test(core_clients, full_window_of_one_batch_does_not_hold_up_another)
{
    struct proto_submit settings = range_of(1, 10, 1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    client_hello("other");
    settings.window_bytes = 1;
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    submit("other", &settings);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    cr_assert_eq(expect_chunk(1, 1, 1).batch, 2);
}

Test(core_clients, consuming_more_than_was_sent_or_less_than_before_ends_the_batch)
{
    struct proto_submit settings = range_of(1, 10, 1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    worker_finishes(1, &chunk);
    expect_results(1, 1, NULL);
    chunk = expect_chunk(1, 2, 1);
    consumed(cost_of(1));
    consumed(cost_of(1));
    expect_nothing();
    consumed(cost_of(1) - 1);
    expect_error(CLIENT, 1, MUSTER_EPROTOCOL, "do not follow");
    expect_sent(worker_name(1), PROTO_CANCEL);
    worker_finishes(1, &chunk);
    expect_results(2, 1, NULL);
    expect_ended(2, 0, 8);
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
    consumed(1);
    expect_error(CLIENT, 1, MUSTER_EPROTOCOL, "do not follow");
    expect_sent(worker_name(1), PROTO_CANCEL);
}

/* --- clients that die */

Test(core_clients, dead_clients_batches_leave_the_workers_to_others)
{
    struct proto_submit settings = range_of(1, 4, 1);
    struct proto_chunk chunk;

    begin_ready(1, 1);
    client_hello("other");
    submit(CLIENT, &settings);
    chunk = expect_chunk(1, 1, 1);
    submit("other", &settings);
    step_gone(CLIENT);
    cr_assert_eq(expect_sent(worker_name(1), PROTO_CANCEL)->cancel.mode, PROTO_CANCEL_NOW);
    cr_assert_not(core_has_client(core, CLIENT));
    cr_assert(core_has_client(core, "other"));
    worker_finishes(1, &chunk); /* told to nobody */
    expect_chunk(1, 1, 1);
    cr_assert_eq(core_count(core).batches, 1);
}

Test(core_clients, death_of_somebody_who_is_no_client_is_passed_over)
{
    begin_ready(1, 1);
    step_gone("stranger");
    step_gone(worker_name(1));
    step_gone(CLIENT);
    step_gone(CLIENT);
    cr_assert_eq(core_count(core).workers_ready, 1);
    client_hello(CLIENT);
}

/* --- functions */

static int require_echo(const void *context, const char *name, struct muster_error *ret_error)
{
    return strcmp(name, context) == 0 ? 0 : muster_error_set(ret_error, MUSTER_ENOTFOUND, "no %s here", name);
}

Test(core_clients, function_that_workers_do_not_have_is_refused)
{
    const struct core_functions functions = {.require = require_echo, .context = "echo"};
    struct proto_submit settings = range_of(1, 1, 0);

    begin_ready(1, 1);
    core->options.functions = &functions;
    settings.function = proto_text("echoes");
    step_message(CLIENT, &(struct proto_message){.type = PROTO_SUBMIT, .submit = settings});
    expect_error(CLIENT, settings.ticket, MUSTER_ENOTFOUND, "no echoes here");
    cr_assert_eq(core_count(core).batches, 0);
    settings.function = proto_text("echo");
    submit(CLIENT, &settings);
    expect_chunk(1, 1, 1);
}
