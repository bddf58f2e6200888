/* SPDX-License-Identifier: MIT
 *
 * Programs that are measured, and what they may do wrong: none of it makes the caller wait
 * without a limit, or leaves a process behind.
 */
#include "lab/child.h"

#include "base/clock.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(holds)                                                            \
    do {                                                                        \
        if (!(holds)) {                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #holds); \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

static const uint64_t LONG_NS = 60 * CLOCK_NS_PER_S, SHORT_NS = 50 * CLOCK_NS_PER_MS;

static struct muster_error error;
static char line[CHILD_LINE_BYTES];

static struct child start(const char *script)
{
    struct child child;

    CHECK(child_start((const char *[]){"sh", "-c", script, NULL}, -1, &child, &error) == 0);
    return child;
}

static bool says(const char *text)
{
    if (strstr(error.text, text))
        return true;
    fprintf(stderr, "'%s' is not in '%s'\n", text, error.text);
    return false;
}

static void answers_are_lines(void)
{
    struct child child = start("while read a b; do echo $b $a; done; exit 0");

    CHECK(child_ask(&child, "1 2\n", LONG_NS, -1, line, &error) == 0);
    CHECK(strcmp(line, "2 1") == 0);
    CHECK(child_ask(&child, "3 4\n", LONG_NS, -1, line, &error) == 0);
    CHECK(strcmp(line, "4 3") == 0);
    child_end(&child, LONG_NS); /* its input is closed, so it is over at once */
}

static void missing_program_is_started(void)
{
    struct child child;

    CHECK(child_start((const char *[]){"no-such-program", NULL}, -1, &child, &error) == MUSTER_ENOTFOUND);
    CHECK(says("no-such-program is not installed"));
}

static void failure_is_not_told_with_its_last_words(void)
{
    struct child child = start("echo first >&2; echo it hurts >&2; exit 3");

    CHECK(child_ask(&child, NULL, LONG_NS, -1, line, &error) == MUSTER_ELOST);
    CHECK(says("sh ended with status 3: it hurts"));
    child_end(&child, 0);
    child = start("kill -SEGV $$");
    CHECK(child_wait(&child, LONG_NS, -1, &error) == MUSTER_ELOST);
    CHECK(says("sh was ended by signal 11"));
    child_end(&child, 0);
    child = start("exit 0");
    CHECK(child_wait(&child, LONG_NS, -1, &error) == 0);
    child_end(&child, 0);
}

static void program_that_hangs_is_waited_for(void)
{
    struct child child = start("exec sleep 1000");

    CHECK(child_ask(&child, "?\n", SHORT_NS, -1, line, &error) == MUSTER_ETIMEOUT);
    CHECK(says("sh took too long"));
    child_end(&child, SHORT_NS);
    child = start("exec >&- 2>&-; exec sleep 1000");
    CHECK(child_ask(&child, NULL, SHORT_NS, -1, line, &error) == MUSTER_ETIMEOUT);
    child_end(&child, 0);
    child = start("while :; do echo talk >&2; done");
    CHECK(child_ask(&child, NULL, SHORT_NS, -1, line, &error) == MUSTER_ETIMEOUT);
    CHECK(child_wait(&child, SHORT_NS, -1, &error) == MUSTER_ETIMEOUT);
    child_end(&child, 0);
}

static void endless_line_fills_the_memory(void)
{
    struct child child = start("while :; do printf xxxxxxxxxxxxxxxxxxxxxxxxx; done");

    CHECK(child_ask(&child, NULL, LONG_NS, -1, line, &error) == MUSTER_EPROTOCOL);
    CHECK(says("something long"));
    child_end(&child, 0);
}

static void end_without_newline_is_an_answer(void)
{
    struct child child = start("printf 12");

    CHECK(child_ask(&child, NULL, LONG_NS, -1, line, &error) == MUSTER_ELOST);
    child_end(&child, 0);
}

static void interrupt_has_to_wait(void)
{
    struct child child = start("exec sleep 1000");
    int fds[2];

    CHECK(pipe(fds) == 0 && write(fds[1], "x", 1) == 1);
    CHECK(child_ask(&child, NULL, LONG_NS, fds[0], line, &error) == MUSTER_ECANCELLED);
    child_end(&child, 0);
    close(fds[0]);
    close(fds[1]);
}

/* What it started becomes this test's, which is told of its end. */
static void processes_of_the_program_live_on(void)
{
    struct child child;
    pid_t orphan;
    int status;

    CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
    child = start("sleep 1000 & echo $!; wait");
    CHECK(child_ask(&child, NULL, LONG_NS, -1, line, &error) == 0);
    orphan = (pid_t)atoi(line);
    child_end(&child, 0);
    CHECK(waitpid(orphan, &status, 0) == orphan);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    CHECK(waitpid(-1, NULL, 0) == -1 && errno == ECHILD);
}

/* The program ends at once; another of its group ignores SIGTERM, as joblib's tracker of resources, and
 * removes its file once the program is gone. */
static void what_the_group_tidies_up_is_left_behind(void)
{
    char path[] = "/tmp/muster-child-XXXXXX", script[256];
    struct child child;
    int fd;

    CHECK((fd = mkstemp(path)) >= 0);
    close(fd);
    snprintf(script, sizeof script,
             "(trap '' TERM; echo ready; while [ -e /proc/$$/exe ]; do :; done; rm %s) & wait", path);
    child = start(script);
    CHECK(child_ask(&child, NULL, LONG_NS, -1, line, &error) == 0);
    child_end(&child, 0);
    CHECK(access(path, F_OK) != 0);
}

static void group_that_ignores_every_request_lives_on(void)
{
    struct child child = start("trap '' TERM; sleep 1000 & echo $!; while :; do echo no >&2; done");
    pid_t orphan;

    CHECK(child_ask(&child, NULL, LONG_NS, -1, line, &error) == 0);
    orphan = (pid_t)atoi(line);
    child_end(&child, 0);
    CHECK(waitpid(orphan, NULL, 0) == orphan);
}

int main(void)
{
    answers_are_lines();
    missing_program_is_started();
    failure_is_not_told_with_its_last_words();
    program_that_hangs_is_waited_for();
    endless_line_fills_the_memory();
    end_without_newline_is_an_answer();
    interrupt_has_to_wait();
    processes_of_the_program_live_on();
    what_the_group_tidies_up_is_left_behind();
    group_that_ignores_every_request_lives_on();
    return 0;
}
