/* SPDX-License-Identifier: MIT
 *
 * Process trees: who descends from this process, in other sessions too, and how all of it is ended.
 */
#include "base/tree.h"
#include "tests/support/check.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Ends when the writing end of the pipe does, or it is killed. */
static void live(const int gate[2])
{
    char byte;

    close(gate[1]);
    (void)!read(gate[0], &byte, 1);
    _exit(0);
}

/* A child that leads a session and has one child, whose pid it writes. */
static pid_t start_pair(const int gate[2], pid_t *ret_grandchild)
{
    int told[2];
    pid_t child;

    CHECK(pipe(told) == 0);
    CHECK((child = fork()) >= 0);
    if (child == 0) {
        pid_t own;

        setsid();
        if ((own = fork()) == 0)
            live(gate);
        if (own < 0 || write(told[1], &own, sizeof own) != sizeof own)
            _exit(1);
        live(gate);
    }
    CHECK(read(told[0], ret_grandchild, sizeof *ret_grandchild) == sizeof *ret_grandchild);
    close(told[0]);
    close(told[1]);
    return child;
}

static void children_of_other_sessions_are_found(void)
{
    pid_t grandchild, child, found[8];
    int gate[2];

    CHECK(pipe(gate) == 0);
    child = start_pair(gate, &grandchild);
    CHECK(tree_children(getpid(), found, 8) == 1 && found[0] == child);
    CHECK(tree_children(getpid(), found, 0) == 0);
    CHECK(tree_children(child, found, 8) == 1 && found[0] == grandchild);
    CHECK(tree_signal(getpid(), NULL, 0, 0) == 2);
    CHECK(tree_signal(getpid(), &child, 1, SIGKILL) == 0); /* spared, with its own */
    CHECK(kill(child, 0) == 0 && kill(grandchild, 0) == 0);
    close(gate[1]);
    tree_kill(getpid(), NULL, 0);
    CHECK(tree_signal(getpid(), NULL, 0, 0) == 0);
    CHECK(tree_children(getpid(), found, 8) >= 1); /* dead, and not reaped */
    while (waitpid(-1, NULL, 0) > 0)
        ;
    CHECK(tree_children(getpid(), found, 8) == 0);
    CHECK(tree_children(child, found, 8) == 0); /* gone */
    close(gate[0]);
}

/* By what is in its environment: fork keeps that of this process, so a program is executed. */
static void only_what_is_marked_is_killed(void)
{
    static const char *const marks[] = {"1", "12", "123"};
    pid_t pids[3];
    char line[3];
    int told[2], status;

    CHECK(pipe(told) == 0);
    for (int i = 0; i < 3; i++) {
        CHECK((pids[i] = fork()) >= 0);
        if (pids[i] == 0) {
            dup2(told[1], STDOUT_FILENO);
            setenv("MUSTER_TEST_MARK", marks[i], 1);
            execl("/bin/sh", "sh", "-c", "echo; exec sleep 1000", NULL);
            _exit(127);
        }
    }
    for (int had = 0; had < 3;) { /* all have executed */
        ssize_t more = read(told[0], line, sizeof line);

        CHECK(more > 0);
        had += (int)more;
    }
    tree_kill_marked("MUSTER_TEST_MARK=12");
    CHECK(waitpid(pids[1], &status, 0) == pids[1] && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    for (int i = 0; i < 3; i += 2) {
        CHECK(waitpid(pids[i], &status, WNOHANG) == 0);
        kill(pids[i], SIGKILL);
        CHECK(waitpid(pids[i], NULL, 0) == pids[i]);
    }
    close(told[0]);
    close(told[1]);
}

/* Waits until the process is stopped. */
static void await_stop(pid_t pid)
{
    char path[32], bytes[256];
    ssize_t had = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    do {
        int fd = open(path, O_RDONLY | O_CLOEXEC);

        CHECK(fd >= 0 && (had = read(fd, bytes, sizeof bytes - 1)) > 0);
        close(fd);
        bytes[had] = '\0';
    } while (!strstr(bytes, ") T "));
}

/* It is stopped when its child has executed, and was not yet when it was told to go on. */
static void process_that_stops_later_goes_on_too(void)
{
    pid_t child, own, found[2];
    int status;

    CHECK((child = fork()) >= 0);
    if (child == 0) { /* as vfork: its child stops before it lets go of it */
        if (syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0) == 0)
            kill(getpid(), SIGSTOP);
        _exit(0);
    }
    while (tree_children(child, &own, 1) == 0)
        ;
    await_stop(own);
    CHECK(kill(child, SIGSTOP) == 0);
    CHECK(tree_signal(getpid(), NULL, 0, SIGCONT) == 2);
    CHECK(waitpid(child, &status, WUNTRACED) == child && WIFEXITED(status));
    while (waitpid(-1, NULL, 0) > 0)
        ;
    CHECK(tree_children(getpid(), found, 2) == 0);
}

int main(void)
{
    static const struct check checks[] = {
        {"children_of_other_sessions_are_found", children_of_other_sessions_are_found},
        {"only_what_is_marked_is_killed", only_what_is_marked_is_killed},
        {"process_that_stops_later_goes_on_too", process_that_stops_later_goes_on_too},
    };

    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    return check_all(checks, sizeof checks / sizeof *checks);
}
