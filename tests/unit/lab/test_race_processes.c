/* SPDX-License-Identifier: MIT
 *
 * The race among processes: workers that are copies of this program. A plain executable: the
 * process that forks them has one thread.
 */
#include "lab/race.h"

#include "tests/support/check.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct muster_error error;

static void account_of_one_owner_is_overdrawn(muster *workers)
{
    struct race_spec spec = {.workers = workers, .interrupt_fd = -1};
    struct race_row row = {.variant = RACE_PROCESSES, .rounds = 20, .lowest_balance = RACE_BALANCE};

    CHECK(race_in_processes(&spec, &row, &error) == 0);
    CHECK(row.overdrawn == 0 && row.miscounted == 0);
    CHECK(row.lowest_balance == RACE_BALANCE - RACE_AMOUNT); /* in every round one was paid */
    CHECK(row.stale == row.rounds);                          /* the other decided on 100, too */
    CHECK(row.wall_s > 0);
}

static void interrupt_is_not_heard(muster *workers)
{
    int fd = eventfd(1, EFD_CLOEXEC);
    struct race_spec spec = {.workers = workers, .interrupt_fd = fd};
    struct race_row row = {.variant = RACE_PROCESSES, .rounds = RACE_ROUNDS_MAX};

    CHECK(fd >= 0);
    CHECK(race_in_processes(&spec, &row, &error) == MUSTER_ECANCELLED);
    close(fd);
}

static void *wait_for_end(void *fd)
{
    uint64_t one;

    CHECK(read(*(int *)fd, &one, sizeof one) == (ssize_t)sizeof one);
    return NULL;
}

static void workers_are_forked_beside_a_thread(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    const uint64_t one = 1;
    muster *workers = NULL;
    pthread_t thread;

    CHECK(fd >= 0 && pthread_create(&thread, NULL, wait_for_end, &fd) == 0);
    CHECK(race_open(&workers, &error) == MUSTER_ESTATE);
    CHECK(workers == NULL && error.text[0] != '\0');
    CHECK(write(fd, &one, sizeof one) == (ssize_t)sizeof one);
    pthread_join(thread, NULL);
    close(fd);
}

static void race_without_processes_runs_them_or_fails(void)
{
    struct race_spec spec = {.rounds = 1000, .without = "no reason", .interrupt_fd = -1};
    struct race_report report;

    CHECK(race_run(&spec, &report, &error) == 0);
    CHECK(report.rows[RACE_ATOMIC].rounds == 1000);
    CHECK(report.rows[RACE_PROCESSES].rounds == 0 && report.rows[RACE_PROCESSES].wall_s == 0);
}

int main(void)
{
    muster *workers;

    CHECK(race_open(&workers, &error) == 0);
    account_of_one_owner_is_overdrawn(workers);
    interrupt_is_not_heard(workers);
    muster_close(workers);
    workers_are_forked_beside_a_thread();
    race_without_processes_runs_them_or_fails();
    return 0;
}
