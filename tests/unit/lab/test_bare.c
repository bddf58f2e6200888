/* SPDX-License-Identifier: MIT
 *
 * What muster is held against, beside a crew of forked processes. A plain executable: the process
 * that forks them has one thread.
 */
#include "lab/bare.h"

#include "lab/bench_crew.h"
#include "tests/support/check.h"

#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 3, PINGS = 50 };

static muster *crew;
static struct muster_error error;

/* Each checks the sum of its results itself. */
static void loop_loses_jobs(void)
{
    const struct {
        unsigned workers, chunk, ahead;
        uint64_t jobs;
    } loops[] = {{WORKERS, 1000, 4, 100000}, {1, 1, 1, 1000}, {WORKERS, 1, 2000, 10000},
                 {WORKERS, 7, 4, 100},       {2, 1000, 4, 1}, {WORKERS, 10, 4, 10}};

    for (size_t i = 0; i < 2 * sizeof loops / sizeof *loops; i++) {
        struct bare_loop loop = {crew, loops[i / 2].workers, i % 2 ? MUSTER_TCP : MUSTER_IPC,
                                 loops[i / 2].chunk, loops[i / 2].ahead};
        uint64_t ns = 0;

        CHECK_SAYING(bare_loop_run(&loop, loops[i / 2].jobs, &ns, &error) == 0, error.text);
        CHECK(ns > 0);
    }
}

static void check_times(const uint64_t *ns)
{
    for (int i = 0; i < PINGS; i++)
        CHECK(ns[i] > 0);
}

static void ping_is_not_answered(void)
{
    uint64_t ns[PINGS] = {0};

    CHECK_SAYING(bare_ping(crew, MUSTER_IPC, PINGS, ns, &error) == 0, error.text);
    check_times(ns);
    CHECK_SAYING(bare_ping(crew, MUSTER_TCP, PINGS, ns, &error) == 0, error.text);
    check_times(ns);
}

static void futex_of_a_second_run_is_that_of_the_first(void)
{
    for (int run = 0; run < 3; run++) {
        uint64_t ns[PINGS] = {0};

        CHECK_SAYING(bare_futex(crew, PINGS, ns, &error) == 0, error.text);
        check_times(ns);
    }
}

static void pool_loses_jobs(void)
{
    const struct {
        unsigned workers, chunk;
        uint64_t jobs;
    } pools[] = {{WORKERS, 1000, 1000000}, {1, 1, 5000}, {WORKERS, 7, 50000}, {2, 1000, 1}};

    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++) {
        struct bare_pool pool = {pools[i].workers, pools[i].chunk};
        uint64_t ns = 0;

        CHECK_SAYING(bare_pool_run(&pool, pools[i].jobs, &ns, &error) == 0, error.text);
        CHECK(ns > 0);
    }
}

/* This one has ended before any of those that are waited for. */
static void child_of_somebody_else_is_buried(void)
{
    unsigned workers = WORKERS;
    siginfo_t info;
    uint64_t ns = 0;
    pid_t other = fork();

    if (other == 0)
        _exit(7);
    CHECK(other > 0 && waitid(P_PID, (id_t)other, &info, WEXITED | WNOWAIT) == 0);
    CHECK_SAYING(bare_spawn_run(&workers, 5, &ns, &error) == 0, error.text);
    CHECK(ns > 0);
    CHECK(waitid(P_PID, (id_t)other, &info, WEXITED) == 0 && info.si_status == 7);
}

int main(void)
{
    static const struct check checks[] = {
        {"loop_loses_jobs", loop_loses_jobs},
        {"ping_is_not_answered", ping_is_not_answered},
        {"futex_of_a_second_run_is_that_of_the_first", futex_of_a_second_run_is_that_of_the_first},
        {"pool_loses_jobs", pool_loses_jobs},
        {"child_of_somebody_else_is_buried", child_of_somebody_else_is_buried},
    };

    CHECK_SAYING(bench_crew_open(WORKERS, &crew, &error) == 0, error.text);
    check_all(checks, sizeof checks / sizeof *checks);
    muster_close(crew);
    return 0;
}
