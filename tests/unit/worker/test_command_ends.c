/* SPDX-License-Identifier: MIT
 *
 * Commands: how they are ended, and what they leave.
 */
#include "base/clock.h"
#include "base/tree.h"
#include "command_rig.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(command_ends, .init = rig_init, .fini = rig_fini);

static bool is_alive(const char *file)
{
    FILE *stream = fopen(path(file), "re");
    int pid = 0;

    cr_assert_not_null(stream, "%s was not written", file);
    cr_assert_eq(fscanf(stream, "%d", &pid), 1);
    fclose(stream);
    return kill(pid, 0) == 0;
}

Test(command_ends, time_limit_ends_a_command_by_request)
{
    shell("trap 'echo asked; exit 9' TERM; echo ready; sleep 1000 & wait");
    with("timeout", number(0.5));
    run_ok();
    expect_status(9, 0, COMMAND_TIMED_OUT);
    expect_out("ready\nasked\n");
}

Test(command_ends, time_limit_ends_the_tree_in_whatever_sessions_and_deaf)
{
    char *line;

    cr_assert(asprintf(&line,
                       "cd %s; trap '' TERM; (echo $$ >self; setsid sh -c 'echo $$ >first; setsid sh -c "
                       "\"echo \\$\\$ >second; while :; do sleep 1000; done\"' &) ; "
                       "while ! [ -s second ]; do :; done; touch ready; while :; do sleep 1000; done",
                       rig.folder) > 0);
    shell(line);
    with("timeout", number(1.5));
    run_ok();
    expect_status(-1, SIGKILL, COMMAND_TIMED_OUT);
    cr_assert(!is_alive("self"));
    cr_assert(!is_alive("first"));
    cr_assert(!is_alive("second"));
    free(line);
}

Test(command_ends, time_limit_of_more_than_can_be_counted_is_none)
{
    shell("sleep 0.05; echo ran");
    with("timeout", number(1e300));
    run_ok();
    expect_status(0, 0, 0);
    expect_out("ran\n");
}

Test(command_ends, stopped_command_ends_at_its_time_limit)
{
    shell("kill -STOP $$");
    with("timeout", number(0.2));
    run_ok();
    expect_status(-1, SIGTERM, COMMAND_TIMED_OUT);
}

/* Cancels once the command has told that it runs. */
static void *cancel_when_ready(void *context)
{
    uint64_t until_ns = clock_after(clock_now_ns(), LIMIT_MS * CLOCK_NS_PER_MS);

    while (access(context, F_OK) != 0 && clock_now_ns() < until_ns)
        sched_yield();
    call_cancel_raise(&rig.cancel);
    return NULL;
}

Test(command_ends, cancelled_job_ends_with_all_that_it_started)
{
    char *ready = strdup(path("ready")), *line;
    pthread_t thread;

    cr_assert(asprintf(&line, "cd %s; trap '' TERM; setsid sleep 1000 & echo $! >child; echo >ready; wait",
                       rig.folder) > 0);
    cr_assert_eq(pthread_create(&thread, NULL, cancel_when_ready, ready), 0);
    shell(line);
    cr_assert_eq(run(), MUSTER_ECANCELLED);
    pthread_join(thread, NULL);
    cr_assert(!is_alive("child"));
    cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
    atomic_store(&rig.cancel.raised, 0);
    run_shell("echo next");
    expect_out("next\n");
    free(line);
    free(ready);
}

/* --- what it leaves */

Test(command_ends, daemon_is_left_alone_and_its_output_does_not_reach_later_jobs)
{
    char *line;

    cr_assert(
        asprintf(
            &line,
            "cd %s; mkfifo go done; setsid sh -c 'echo $$ >daemon; read x <go; echo late; echo late >&2; "
            "echo >done; exec sleep 1000' & while ! [ -s daemon ]; do :; done; echo first",
            rig.folder) > 0);
    run_shell(line);
    expect_out("first\n");
    free(line);
    cr_assert(asprintf(&line, "cd %s; echo >go; read x <done; echo second", rig.folder) > 0);
    run_shell(line);
    expect_out("second\n");
    cr_assert_str_eq(written(COMMAND_ERR), "");
    cr_assert(is_alive("daemon"));
    free(line);
    shell("sleep 1000"); /* which is ended alone */
    with("timeout", number(0.1));
    run_ok();
    cr_assert(is_alive("daemon"));
    command_kill_all();
    while (waitpid(-1, NULL, 0) > 0)
        ;
    cr_assert(!is_alive("daemon"));
}

Test(command_ends, what_runs_is_told_to_the_supervisor)
{
    cr_assert_eq(atomic_load(&rig.flight.command), 0);
    run_shell("exit 0");
    cr_assert_eq(atomic_load(&rig.flight.command), 0);
}

static uint32_t seen_command;

static void *look_when_ready(void *context)
{
    uint64_t until_ns = clock_after(clock_now_ns(), LIMIT_MS * CLOCK_NS_PER_MS);

    while (!(seen_command = atomic_load(&rig.flight.command)) && clock_now_ns() < until_ns)
        sched_yield();
    if (seen_command)
        kill((pid_t)seen_command, SIGINT);
    return context;
}

Test(command_ends, process_that_is_told_to_the_supervisor_is_the_command)
{
    pthread_t thread;

    cr_assert_eq(pthread_create(&thread, NULL, look_when_ready, NULL), 0);
    WITH_WORDS("argv", "sleep", "1000");
    run_ok();
    pthread_join(thread, NULL);
    expect_status(-1, SIGINT, 0);
}

/* The child of a worker that dies by SIGKILL. */
Test(command_ends, command_dies_with_its_worker)
{
    uint64_t until_ns = clock_after(clock_now_ns(), LIMIT_MS * CLOCK_NS_PER_MS);
    char *line;
    pid_t worker;

    cr_assert_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    cr_assert(asprintf(&line, "cd %s; echo $$ >pid; mv pid ready; exec sleep 1000", rig.folder) > 0);
    worker = fork();
    cr_assert(worker >= 0);
    if (worker == 0) {
        shell(line);
        _exit(run());
    }
    while (access(path("ready"), F_OK) != 0 && clock_now_ns() < until_ns)
        sched_yield();
    cr_assert(is_alive("ready"));
    kill(worker, SIGKILL);
    while (waitpid(-1, NULL, 0) > 0) /* the command too, left to this process */
        ;
    cr_assert(!is_alive("ready"));
    free(line);
}
