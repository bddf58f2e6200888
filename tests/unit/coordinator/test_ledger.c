/* SPDX-License-Identifier: MIT
 *
 * The ledger with a core and a store: what is promised and when, what a submission that fails leaves, and
 * what is forgotten on request.
 */
#include "tests/support/check.h"
#include "tests/support/ledger_steps.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void range_runs_and_its_client_has_all_results_in_order(void)
{
    struct proto_message submit = submit_range(7, 1000, true);
    uint64_t cost;

    world_open(&w, NULL, 1, 2);
    world_hello(&w, "a", "ann");
    world_say(&w, "a", &submit);
    CHECK(accepted("a") == 1);
    cost = check_results("a", 1000, true);
    check_ended("a", 1000, 0, 0);
    say_consumed("a", 7, cost);
    CHECK(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).readers == 0);
    world_close(&w);
}

/* It was sent before the client could know of the end: ahead of that, it is about room in the window alone.
 */
static void consumed_of_all_results_forgets_only_a_batch_whose_end_was_sent(void)
{
    struct proto_message submit = submit_range(7, 10, true);
    uint64_t cost;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_store = true;
    world_say(&w, "a", &submit);
    while (!world_has(&w, "a", PROTO_RESULTS))
        CHECK(world_step_store(&w) || world_step_worker(&w, NULL));
    CHECK(!world_has(&w, "a", PROTO_ENDED));
    cost = check_results("a", 10, true);
    say_consumed("a", 7, cost);
    w.hold_store = false;
    world_settle(&w);
    check_state("a", 1, "succeeded");
    CHECK(world_has(&w, "a", PROTO_ENDED) && ledger_count(w.ledger).readers == 1);
    say_consumed("a", 7, cost);
    CHECK(ledger_count(w.ledger).readers == 0);
    say_attach("a", 8, 1, true, 1 << 20);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ENOTFOUND);
    world_close(&w);
}

static void nothing_is_accepted_before_the_store_has_it(void)
{
    struct proto_message submit = submit_range(1, 5, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_store = true;
    world_say(&w, "a", &submit);
    CHECK(!world_has(&w, "a", PROTO_ACCEPTED) && w.runs == 0);
    w.hold_store = false;
    world_settle(&w);
    accepted("a");
    check_results("a", 5, true);
    world_close(&w);
}

static void no_result_is_told_before_the_store_has_it(void)
{
    struct proto_message submit = submit_range(1, 5, true);
    const struct proto_message *chunk;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    chunk = world_expect(&w, "worker-", PROTO_CHUNK);
    w.hold_store = true;
    world_work(&w, "worker-1.1.1", chunk);
    CHECK(!world_has(&w, "a", PROTO_RESULTS));
    w.hold_store = false;
    world_settle(&w);
    check_results("a", 5, true);
    check_ended("a", 5, 0, 0);
    world_close(&w);
}

/* Its window counts what the record has, and not the buffer in which it was encoded. */
static void result_that_waits_for_the_store_takes_no_more_memory_than_its_record(void)
{
    struct proto_message submit = submit_range(1, 5, true);
    const struct entry *record;

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    w.hold_store = true;
    world_work(&w, "worker-1.1.1", world_expect(&w, "worker-", PROTO_CHUNK));
    record = w.ledger->books->records;
    CHECK(record && malloc_usable_size(record->header) < record->header_size + 64);
    w.hold_store = false;
    world_settle(&w);
    check_ended("a", 5, 0, 0);
    world_close(&w);
}

static void list_is_accepted_with_its_seal_and_runs_before_it_for_a_client_that_waits(void)
{
    struct proto_message submit = submit_list(1, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 20);
    check_results("a", 20, true);
    CHECK(!world_has(&w, "a", PROTO_ACCEPTED));
    say_arguments("a", 1, 21, 5);
    say_seal("a", 1, 25);
    accepted("a");
    CHECK(world_expect(&w, "a", PROTO_RESULTS)->results.outcome.first == 21);
    check_ended("a", 25, 0, 0);
    world_close(&w);
}

static void client_that_dies_in_mid_submission_leaves_nothing(void)
{
    static const bool attached[] = {false, true};

    for (int i = 0; i < 2; i++) {
        struct proto_message submit = submit_list(1, attached[i]), one = submit_range(1, 1, true);

        world_open(&w, NULL, 1, 1);
        world_hello(&w, "a", "");
        world_hello(&w, "b", "");
        w.hold_workers = true;
        world_say(&w, "a", &submit);
        say_arguments("a", 1, 1, 20);
        ledger_gone(w.ledger, w.now_ms, "a", &w.outbox);
        w.hold_workers = false;
        world_settle(&w);
        CHECK(ledger_count(w.ledger).open == 0);
        say_attach("b", 9, 1, true, 1000);
        CHECK(world_expect(&w, "b", PROTO_ERROR)->error.code == MUSTER_ENOTFOUND);
        world_say(&w, "b", &one);
        accepted("b");
        check_results("b", 1, true);
        world_close(&w);
    }
}

/* The reader that it came with stayed, and held its ticket. */
static void client_whose_arguments_are_rejected_may_use_its_ticket_again(void)
{
    struct proto_message submit = submit_list(1, true), range = submit_range(1, 3, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 5, 1);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_EPROTOCOL);
    CHECK(ledger_count(w.ledger).readers == 0);
    world_say(&w, "a", &range);
    CHECK(accepted("a") == 2);
    world_close(&w);
}

static void ended_batch_is_forgotten_on_request(void)
{
    struct proto_message submit = submit_range(1, 3, false);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    say_request("a", PROTO_REQUEST_FORGET, 1, 0, "");
    CHECK(answered("a") == MUSTER_ESTATE);
    w.hold_workers = false;
    world_settle(&w);
    say_request("a", PROTO_REQUEST_FORGET, 1, 0, "");
    CHECK(answered("a") == 0);
    say_attach("a", 2, 1, true, 1000);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ENOTFOUND);
    world_close(&w);
}

static void ledger_that_cannot_read_its_queue_says_so_and_does_not_begin(void)
{
    struct ledger_options options = {.keeps = PROTO_KEEPS_ON_DISK, .epoch = 1, .workers_max = 2, .open = 4};
    struct ledger *ledger;
    struct outbox outbox;

    CHECK(ledger_create(&options, &ledger) == 0 && outbox_init(&outbox) == 0);
    ledger_done(ledger, 1,
                &(struct store_done){.operation = STORE_COUNTS, .code = MUSTER_ESYSTEM, .text = "damaged"},
                &outbox);
    CHECK(!ledger_ready(ledger) && strcmp(ledger_failure(ledger), "damaged") == 0);
    outbox_fini(&outbox);
    ledger_destroy(ledger);
}

/* Its client was told that it had ended, and that all was well. */
static void check_refused(int code)
{
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == code);
    CHECK(!world_has(&w, "a", PROTO_ENDED));
    CHECK(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).readers == 0);
    CHECK(!w.ledger->lanes);
    say_attach("a", 9, 1, true, 1000);
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ENOTFOUND);
    world_close(&w);
}

static void list_that_cannot_be_read_while_it_is_sent_is_refused(void)
{
    enum store_operation unreadable = STORE_LOAD;
    struct proto_message submit = submit_list(1, true);

    w.unreadable = &unreadable;
    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 20);
    w.unreadable = NULL;
    check_refused(MUSTER_ESYSTEM);
}

static void list_that_no_worker_starts_for_while_it_is_sent_is_refused(void)
{
    struct proto_message submit = submit_list(1, true);

    world_open(&w, NULL, 1, 1);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    say_arguments("a", 1, 1, 20);
    w.unstartable = true;
    world_kill_worker(&w, 1);
    for (int i = 0; i < 10 && !world_has(&w, "a", PROTO_ERROR); i++) {
        w.now_ns += 60 * CLOCK_NS_PER_S;
        core_tick(w.core, w.now_ns, &w.outbox);
        world_settle(&w);
    }
    check_refused(MUSTER_ELOST);
}

/* From now on no file grows; or they may again. */
static void limit_files(bool limited)
{
    struct rlimit limit = {.rlim_cur = limited ? 0 : RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void jobs_run_on_while_the_disk_is_full_and_are_recorded_when_there_is_space(void)
{
    char folder[] = "/tmp/muster-test-XXXXXX", path[sizeof folder + 8];
    struct proto_message submit = submit_range(1, 300, true);

    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/store", folder);
    world_open(&w, path, 1, 2);
    world_hello(&w, "a", "");
    w.hold_workers = true;
    world_say(&w, "a", &submit);
    CHECK(accepted("a") == 1);
    limit_files(true);
    w.hold_store = true;
    w.hold_workers = false;
    world_settle(&w);
    CHECK(w.runs == 300);
    submit.submit.ticket = 2;
    world_say(&w, "a", &submit);
    while (!world_has(&w, "a", PROTO_ERROR))
        CHECK(world_step_store(&w));
    CHECK(world_expect(&w, "a", PROTO_ERROR)->error.code == MUSTER_ESYSTEM);
    CHECK(!world_has(&w, "a", PROTO_RESULTS)); /* of which none is recorded */
    limit_files(false);
    w.hold_store = false;
    world_settle(&w);
    check_results("a", 300, true);
    check_ended("a", 300, 0, 0);
    CHECK(w.runs == 300);
    world_close(&w);
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
}

int main(void)
{
    static const struct check checks[] = {
#define C(name) {#name, name}
        C(range_runs_and_its_client_has_all_results_in_order),
        C(nothing_is_accepted_before_the_store_has_it),
        C(no_result_is_told_before_the_store_has_it),
        C(result_that_waits_for_the_store_takes_no_more_memory_than_its_record),
        C(list_is_accepted_with_its_seal_and_runs_before_it_for_a_client_that_waits),
        C(client_that_dies_in_mid_submission_leaves_nothing),
        C(client_whose_arguments_are_rejected_may_use_its_ticket_again),
        C(ended_batch_is_forgotten_on_request),
        C(consumed_of_all_results_forgets_only_a_batch_whose_end_was_sent),
        C(ledger_that_cannot_read_its_queue_says_so_and_does_not_begin),
        C(list_that_cannot_be_read_while_it_is_sent_is_refused),
        C(list_that_no_worker_starts_for_while_it_is_sent_is_refused),
        C(jobs_run_on_while_the_disk_is_full_and_are_recorded_when_there_is_space),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
