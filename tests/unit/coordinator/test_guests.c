/* SPDX-License-Identifier: MIT
 *
 * Client processes that die, leave, or were never there.
 */
#include "coordinator/guests.h"

#include "tests/support/check.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LIMIT_MS = 20000 };

static struct guests *guests;

static pid_t start_process(void)
{
    pid_t pid = fork();

    CHECK(pid >= 0);
    if (pid == 0)
        for (;;)
            pause();
    return pid;
}

/* It is dead, and not reaped. */
static void kill_process(pid_t pid)
{
    siginfo_t info;

    CHECK(kill(pid, SIGKILL) == 0);
    CHECK(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) == 0);
}

static void reap(pid_t pid)
{
    CHECK(waitpid(pid, NULL, 0) == pid);
}

static bool tells(int limit_ms)
{
    struct pollfd item = {.fd = guests_fd(guests), .events = POLLIN};

    return poll(&item, 1, limit_ms) == 1;
}

/* The next one that is named. */
static void wait_named(char name[PROTO_PEER_NAME_MAX + 1])
{
    do
        CHECK(tells(LIMIT_MS));
    while (guests_next_dead(guests, name) == MUSTER_EAGAIN);
}

static unsigned descriptors(void)
{
    DIR *list = opendir("/proc/self/fd");
    unsigned count = 0;

    CHECK(list);
    while (readdir(list) != NULL)
        count++;
    closedir(list);
    return count;
}

/* --- */

static void dead_one_is_named_once(void)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    pid_t one = start_process(), two = start_process();

    CHECK(guests_watch(guests, "one", one) == 0 && guests_watch(guests, "two", two) == 0);
    CHECK(!tells(0));
    kill_process(one);
    wait_named(name);
    CHECK(strcmp(name, "one") == 0);
    CHECK(guests_next_dead(guests, name) == MUSTER_EAGAIN && !tells(0));
    guests_forget(guests, "two");
    kill_process(two);
    reap(one);
    reap(two);
}

static void one_that_left_is_not_named(void)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    pid_t pid = start_process();

    CHECK(guests_watch(guests, "one", pid) == 0 && guests_watch(guests, "other", pid) == 0);
    guests_forget(guests, "one");
    guests_forget(guests, "one");
    guests_forget(guests, "nobody");
    kill_process(pid);
    wait_named(name);
    CHECK(strcmp(name, "other") == 0);
    CHECK(guests_next_dead(guests, name) == MUSTER_EAGAIN);
    reap(pid);
}

static void last_words_that_come_behind_the_death_count(void)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    pid_t one = start_process(), two = start_process();

    CHECK(guests_watch(guests, "one", one) == 0);
    kill_process(one);
    CHECK(tells(LIMIT_MS));
    CHECK(guests_next_dead(guests, name) == MUSTER_EAGAIN);
    guests_forget(guests, "one"); /* now its STOP is read */
    CHECK(guests_watch(guests, "two", two) == 0);
    kill_process(two);
    wait_named(name);
    CHECK(strcmp(name, "two") == 0);
    CHECK(guests_next_dead(guests, name) == MUSTER_EAGAIN);
    reap(one);
    reap(two);
}

static void one_that_is_dead_already_is_lost(void)
{
    pid_t pid = start_process();

    kill_process(pid);
    reap(pid);
    CHECK(guests_watch(guests, "one", pid) == MUSTER_ELOST);
    CHECK(!tells(0));
}

static void nothing_is_left_open(void)
{
    unsigned before = descriptors();
    struct guests *others;
    struct muster_error error;
    pid_t pid = start_process();

    CHECK(guests_create(&others, &error) == 0);
    for (int i = 0; i < 3; i++) /* the same one again, too */
        CHECK(guests_watch(others, i ? "one" : "two", pid) == 0);
    CHECK(descriptors() == before + 4);
    guests_destroy(others);
    guests_destroy(NULL);
    CHECK(descriptors() == before);
    kill_process(pid);
    reap(pid);
}

int main(void)
{
    static const struct check checks[] = {
        {"dead_one_is_named_once", dead_one_is_named_once},
        {"one_that_left_is_not_named", one_that_left_is_not_named},
        {"last_words_that_come_behind_the_death_count", last_words_that_come_behind_the_death_count},
        {"one_that_is_dead_already_is_lost", one_that_is_dead_already_is_lost},
        {"nothing_is_left_open", nothing_is_left_open},
    };
    struct muster_error error;

    CHECK(guests_create(&guests, &error) == 0);
    check_all(checks, sizeof checks / sizeof *checks);
    guests_destroy(guests);
    return 0;
}
