/* SPDX-License-Identifier: MIT
 *
 * Receipts of made-up moments: what goes to which phase, and that nothing is lost or told twice,
 * also when moments are in no order at all.
 */
#include "client/account.h"

#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdlib.h>

/* A number of enum muster_phase and its nanoseconds, in pairs, until MUSTER_PHASES; all others
 * are 0. */
static void check_phases(const struct muster_receipt *receipt, ...)
{
    uint64_t wanted[MUSTER_PHASES] = {0}, sum = 0;
    va_list arguments;
    int phase;

    va_start(arguments, receipt);
    while ((phase = va_arg(arguments, int)) != MUSTER_PHASES)
        wanted[phase] = (uint64_t)va_arg(arguments, int);
    va_end(arguments);
    for (int i = 0; i < MUSTER_PHASES; i++) {
        cr_expect_eq(receipt->phase_ns[i], wanted[i], "%s is %lu, not %lu", muster_phase_name(i),
                     (unsigned long)receipt->phase_ns[i], (unsigned long)wanted[i]);
        sum += receipt->phase_ns[i];
    }
    cr_assert_eq(sum, receipt->total_ns, "%lu of %lu", (unsigned long)sum, (unsigned long)receipt->total_ns);
}

static const struct moments usual = {
    .asked_ns = 1000, .sent_ns = 1010, .queued_ns = 1030, .assigned_ns = 1060, .arrived_ns = 1100};
static const struct work usual_work = {
    .began_ns = 1150, .decode_ns = 60, .execute_ns = 70, .encode_ns = 80, .split = true};
static const struct delivery usual_delivery = {.received_ns = 1500, .decode_ns = 100, .handed_ns = 1700};

Test(account, phases_of_a_job_follow_each_other)
{
    struct muster_receipt receipt = account_job(&usual, &usual_work, &usual_delivery);

    cr_assert(receipt.split);
    cr_assert_eq(receipt.total_ns, 700);
    check_phases(&receipt, MUSTER_PHASE_ENCODE, 10, MUSTER_PHASE_SEND, 20 + 40, MUSTER_PHASE_QUEUED, 30,
                 MUSTER_PHASE_WAIT, 50, MUSTER_PHASE_DECODE, 60, MUSTER_PHASE_EXECUTE, 70,
                 MUSTER_PHASE_ENCODE_RESULT, 80, MUSTER_PHASE_RETURN, 140, MUSTER_PHASE_DECODE_RESULT, 100,
                 MUSTER_PHASE_COMMIT, 100, MUSTER_PHASES);
}

Test(account, job_that_waited_for_others_to_be_sent_with_it_was_queued)
{
    struct moments moments = usual;
    struct muster_receipt receipt;

    moments.held_ns = 1004;
    receipt = account_job(&moments, &usual_work, &usual_delivery);
    cr_assert_eq(receipt.phase_ns[MUSTER_PHASE_QUEUED], 4 + 30);
    cr_assert_eq(receipt.phase_ns[MUSTER_PHASE_ENCODE], 6);
}

Test(account, moments_that_are_not_known_are_no_gap)
{
    struct moments moments = {.asked_ns = 1000, .assigned_ns = 1060};
    struct muster_receipt receipt = account_job(&moments, &usual_work, &usual_delivery);

    check_phases(&receipt, MUSTER_PHASE_QUEUED, 60, MUSTER_PHASE_WAIT, 90, MUSTER_PHASE_DECODE, 60,
                 MUSTER_PHASE_EXECUTE, 70, MUSTER_PHASE_ENCODE_RESULT, 80, MUSTER_PHASE_RETURN, 140,
                 MUSTER_PHASE_DECODE_RESULT, 100, MUSTER_PHASE_COMMIT, 100, MUSTER_PHASES);
}

Test(account, job_that_died_with_its_worker_was_executing_until_that_was_known)
{
    struct moments moments = usual;
    struct work work = {.split = true};
    struct muster_receipt receipt;

    moments.arrived_ns = 0;
    receipt = account_job(&moments, &work, &usual_delivery);
    check_phases(&receipt, MUSTER_PHASE_ENCODE, 10, MUSTER_PHASE_SEND, 20, MUSTER_PHASE_QUEUED, 30,
                 MUSTER_PHASE_EXECUTE, 440, MUSTER_PHASE_DECODE_RESULT, 100, MUSTER_PHASE_COMMIT, 100,
                 MUSTER_PHASES);
}

Test(account, gap_of_a_worker_is_what_its_next_job_was_held_up_by)
{
    struct account *account = account_create(1, 900);
    struct muster_receipt receipt;

    account_work(account, 1, &usual, &usual_work, 2000);
    account_delivery(account, &usual_work, &usual_delivery);
    receipt = account_close(account, 1710, 0);
    cr_assert_eq(receipt.total_ns, 810);
    check_phases(&receipt, MUSTER_PHASE_IDLE, 100, MUSTER_PHASE_ENCODE, 10, MUSTER_PHASE_SEND, 20 + 40,
                 MUSTER_PHASE_QUEUED, 30, MUSTER_PHASE_WAIT, 50, MUSTER_PHASE_DECODE, 60,
                 MUSTER_PHASE_EXECUTE, 70, MUSTER_PHASE_ENCODE_RESULT, 80, MUSTER_PHASE_RETURN, 140,
                 MUSTER_PHASE_DECODE_RESULT, 100, MUSTER_PHASE_COMMIT, 110, MUSTER_PHASES);
    account_destroy(account);
}

/* That time is no commit of the result before it. */
Test(account, worker_that_died_of_a_job_was_executing_it)
{
    struct account *account = account_create(1, 1000);
    struct moments moments = {.asked_ns = 1000, .queued_ns = 1010, .assigned_ns = 1600};
    struct work dead = {.began_ns = 0};
    struct muster_receipt receipt;

    account_work(account, 1, &usual, &usual_work, 1500);
    account_delivery(account, &usual_work, &usual_delivery);
    account_work(account, 1, &moments, &dead, 2000);
    receipt = account_close(account, 2000, 0);
    check_phases(&receipt, MUSTER_PHASE_ENCODE, 10, MUSTER_PHASE_SEND, 20 + 40, MUSTER_PHASE_QUEUED, 30 + 240,
                 MUSTER_PHASE_WAIT, 50, MUSTER_PHASE_DECODE, 60, MUSTER_PHASE_EXECUTE, 70 + 400,
                 MUSTER_PHASE_ENCODE_RESULT, 80, MUSTER_PHASES);
    account_destroy(account);
}

Test(account, job_that_no_worker_was_assigned_did_not_run)
{
    struct account *account = account_create(1, 1000);
    struct work dead = {.began_ns = 0};
    struct muster_receipt receipt;

    account_work(account, 1, &(struct moments){.asked_ns = 1000, .queued_ns = 1010}, &dead, 2000);
    receipt = account_close(account, 2000, 0);
    check_phases(&receipt, MUSTER_PHASE_IDLE, 1000, MUSTER_PHASES);
    account_destroy(account);
}

/* The second job was encoded, sent and queued while the first one ran. */
Test(account, what_is_hidden_behind_other_work_costs_nothing)
{
    struct account *account = account_create(1, 1000);
    struct moments first = {.asked_ns = 1000}, second = {.asked_ns = 1000,
                                                         .sent_ns = 1100,
                                                         .queued_ns = 1200,
                                                         .assigned_ns = 1300,
                                                         .arrived_ns = 1505};
    struct muster_receipt receipt;

    account_work(account, 1, &first, &(struct work){.began_ns = 1000, .execute_ns = 500}, 9000);
    account_work(account, 1, &second, &(struct work){.began_ns = 1515, .execute_ns = 485}, 9000);
    receipt = account_close(account, 2000, 0);
    cr_assert_not(receipt.split);
    check_phases(&receipt, MUSTER_PHASE_SEND, 5, MUSTER_PHASE_WAIT, 10, MUSTER_PHASE_EXECUTE, 985,
                 MUSTER_PHASES);
    account_destroy(account);
}

Test(account, worker_that_is_done_is_idle_while_another_is_not_and_never_used_one_all_the_time)
{
    struct account *account = account_create(3, 1000);
    struct work brief = {.began_ns = 1000, .execute_ns = 100}, longer = {.began_ns = 1000, .execute_ns = 900};
    struct delivery delivery = {.received_ns = 1950, .handed_ns = 2000};
    struct moments moments = {.asked_ns = 1000};
    struct muster_receipt receipt;

    account_work(account, 2, &moments, &longer, 9000);
    account_work(account, 1, &moments, &brief, 9000);
    account_delivery(account, &longer, &delivery);
    account_delivery(account, &brief, &(struct delivery){.received_ns = 1150, .handed_ns = 1200});
    receipt = account_close(account, 2000, 0);
    cr_assert_eq(receipt.total_ns, 3000);
    check_phases(&receipt, MUSTER_PHASE_EXECUTE, 1000, MUSTER_PHASE_IDLE, 800 + 900, MUSTER_PHASE_RETURN,
                 3 * 50, MUSTER_PHASE_COMMIT, 3 * 50, MUSTER_PHASES);
    account_destroy(account);
}

/* Of several at once: one that waited from 1000 to 2000, and meanwhile others. */
Test(account, jobs_that_overlap_are_counted_once)
{
    struct account *account = account_create(1, 1000);
    struct moments moments = {.asked_ns = 1000};
    struct muster_receipt receipt;

    account_work(account, 1, &moments, &(struct work){.began_ns = 1100, .execute_ns = 100, .split = true},
                 9000);
    account_work(account, 1, &moments, &(struct work){.began_ns = 1150, .execute_ns = 100, .split = true},
                 9000);
    account_work(account, 1, &moments, &(struct work){.began_ns = 1500, .execute_ns = 100, .split = true},
                 9000);
    account_work(account, 1, &moments, &(struct work){.began_ns = 1050, .execute_ns = 150, .split = true},
                 9000);
    account_work(account, 1, &moments, &(struct work){.began_ns = 1300, .execute_ns = 50, .split = true},
                 9000);
    receipt = account_close(account, 1600, 0);
    /* busy: 1050..1250, 1300..1350, 1500..1600 */
    check_phases(&receipt, MUSTER_PHASE_EXECUTE, 350, MUSTER_PHASE_WAIT, 250, MUSTER_PHASES);
    account_destroy(account);
}

Test(account, attempts_that_were_repeated_are_no_waiting)
{
    struct account *account = account_create(1, 1000);
    struct moments moments = {.asked_ns = 1000, .queued_ns = 1000, .assigned_ns = 1800, .arrived_ns = 1800};
    struct muster_receipt receipt;

    account_work(account, 1, &moments, &(struct work){.began_ns = 1800, .execute_ns = 200}, 9000);
    receipt = account_close(account, 2000, 900);
    check_phases(&receipt, MUSTER_PHASE_QUEUED, 100, MUSTER_PHASE_EXECUTE, 900, MUSTER_PHASES);
    account_destroy(account);
}

Test(account, caller_that_is_the_worker_commits_in_its_time)
{
    struct account *account = account_create(1, 1000);
    struct moments moments = {.asked_ns = 1000, .sent_ns = 1000, .queued_ns = 1000, .assigned_ns = 1300};
    struct muster_receipt receipt;

    account_work(account, 1, &(struct moments){.asked_ns = 1000},
                 &(struct work){.began_ns = 1000, .execute_ns = 200}, 9000);
    account_commit(account, 1, 1200, 1300);
    account_work(account, 1, &moments, &(struct work){.began_ns = 1300, .execute_ns = 200}, 9000);
    receipt = account_close(account, 1500, 0);
    check_phases(&receipt, MUSTER_PHASE_EXECUTE, 400, MUSTER_PHASE_COMMIT, 100, MUSTER_PHASES);
    account_destroy(account);
}

Test(account, batch_without_jobs_is_idle)
{
    struct account *account = account_create(2, 1000);
    struct muster_receipt receipt = account_close(account, 1500, 0);

    cr_assert(receipt.split);
    check_phases(&receipt, MUSTER_PHASE_IDLE, 1000, MUSTER_PHASES);
    account_destroy(account);
}

static uint64_t sum_of(const struct muster_receipt *receipt)
{
    uint64_t sum = 0;

    for (int i = 0; i < MUSTER_PHASES; i++)
        sum += receipt->phase_ns[i];
    return sum;
}

/* Mostly within the batch, sometimes anything. */
static uint64_t any_moment(void)
{
    uint64_t far = (uint64_t)rand() << 33 | (uint64_t)rand() << 2;

    return rand() % 50 == 0 ? far : 9000 + (uint64_t)(rand() % 20000);
}

static uint64_t any_duration(void)
{
    return rand() % 100 == 0 ? UINT64_MAX - (uint64_t)(rand() % 100) : (uint64_t)(rand() % 600);
}

Test(account, phases_add_up_whatever_a_worker_says)
{
    for (unsigned seed = 1; seed <= 2000; seed++) {
        unsigned workers = 1 + seed % 4;
        struct account *account = account_create(workers, 10000);
        struct muster_receipt receipt;

        srand(seed);
        for (unsigned i = 0; i < seed % 100; i++) {
            struct moments moments = {any_moment(), any_moment(), any_moment(),
                                      any_moment(), any_moment(), any_moment()};
            struct work work = {any_moment(), any_duration(), any_duration(), any_duration(), rand() % 2};
            struct delivery delivery = {any_moment(), any_duration(), any_moment()};

            receipt = account_job(&moments, &work, &delivery);
            cr_assert_eq(sum_of(&receipt), receipt.total_ns, "a job of seed %u", seed);
            account_work(account, (unsigned)rand() % (workers + 2), &moments, &work, 20000);
            account_delivery(account, &work, &delivery);
            if (rand() % 8 == 0)
                account_commit(account, 1, 11000, 11000 + (uint64_t)(rand() % 9000));
        }
        receipt = account_close(account, 20000, any_duration());
        cr_assert_eq(receipt.total_ns, 10000 * workers);
        cr_assert_eq(sum_of(&receipt), receipt.total_ns, "seed %u: %lu of %lu", seed,
                     (unsigned long)sum_of(&receipt), (unsigned long)receipt.total_ns);
        account_destroy(account);
    }
}
