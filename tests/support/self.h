/* SPDX-License-Identifier: MIT
 *
 * What a plain test asks about its own process, and what it can have done by a child of it.
 */
#ifndef MUSTER_TESTS_SELF_H
#define MUSTER_TESTS_SELF_H

#include "tests/support/check.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Descriptors that are open, and a constant more. */
static inline unsigned self_descriptors(void)
{
    DIR *list = opendir("/proc/self/fd");
    unsigned count = 0;

    CHECK(list);
    while (readdir(list))
        count++;
    closedir(list);
    return count;
}

static inline size_t self_resident_bytes(void)
{
    FILE *statm = fopen("/proc/self/statm", "re");
    size_t pages = 0;

    CHECK(statm && fscanf(statm, "%*u %zu", &pages) == 1);
    fclose(statm);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Runs it in a child that may crash. Returns how that ended, as waitpid says it; what it wrote to
 * standard error is in `ret_text`, cut to its size. */
static inline int self_in_child(void (*run)(void), char *ret_text, size_t size)
{
    int fds[2], status;
    size_t had = 0;
    ssize_t more;
    pid_t child;

    CHECK(pipe(fds) == 0);
    fflush(NULL);
    CHECK((child = fork()) >= 0);
    if (child == 0) {
        CHECK(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0);
        CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR); /* whatever a sanitizer had set */
        CHECK(dup2(fds[1], STDERR_FILENO) >= 0);
        run();
        _exit(0);
    }
    close(fds[1]);
    while (had < size - 1 && (more = read(fds[0], ret_text + had, size - 1 - had)) > 0)
        had += (size_t)more;
    ret_text[had] = '\0';
    close(fds[0]);
    CHECK(waitpid(child, &status, 0) == child);
    return status;
}

#endif
