/* SPDX-License-Identifier: MIT
 *
 * What a program that begins afresh has of the signals, and the group, of who started it.
 */
#include "base/afresh.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* A program that succeeds where it blocks and ignores nothing, but for what the C library keeps for itself,
 * from signal 32 on. */
static pid_t start_looking(const posix_spawnattr_t *attributes)
{
    char program[] = "grep", options[] = "-Eqz", file[] = "/proc/self/status";
    char look[] = "SigBlk:[[:space:]]0+[[:space:]]SigIgn:[[:space:]][0-9a-f]+0{7}[[:space:]]";
    char *words[] = {program, options, look, file, NULL};
    sigset_t some;
    pid_t pid;

    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    cr_assert_eq(sigprocmask(SIG_BLOCK, &some, NULL), 0);
    cr_assert_neq(signal(SIGUSR2, SIG_IGN), SIG_ERR);
    cr_assert_eq(posix_spawn(&pid, "/bin/grep", NULL, attributes, words, environ), 0);
    return pid;
}

static int status_of(pid_t pid)
{
    int status;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

Test(afresh, program_that_begins_so_has_no_signal_of_ours_and_leads_what_it_was_told_to)
{
    static const short leads[] = {POSIX_SPAWN_SETPGROUP, POSIX_SPAWN_SETSID};

    for (int i = 0; i < 2; i++) {
        posix_spawnattr_t attributes;
        pid_t pid;

        cr_assert_eq(afresh_attributes(&attributes, leads[i]), 0);
        pid = start_looking(&attributes);
        cr_assert_eq(getpgid(pid), pid);
        cr_assert_eq(getsid(pid) == pid, leads[i] == POSIX_SPAWN_SETSID);
        cr_assert_eq(status_of(pid), 0);
        posix_spawnattr_destroy(&attributes);
    }
}

Test(afresh, program_that_does_not_inherits_them)
{
    cr_assert_neq(status_of(start_looking(NULL)), 0);
}
