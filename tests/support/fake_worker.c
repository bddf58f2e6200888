/* SPDX-License-Identifier: MIT
 *
 * Stands in for a worker process in tests of the supervisor: takes a worker's command line,
 * and ends as its --name says. It is built without our flags, so that a crash is a crash under
 * sanitizers, too. What it has to tell goes into the fifo that --connect names; whoever has it
 * open for writing is alive.
 */
#include "proto/flight.h"
#include "proto/reference.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *option(char **argv, const char *name)
{
    for (; *argv; argv++)
        if (strcmp(*argv, name) == 0)
            return argv[1];
    exit(90);
}

static struct flight_page *map_flight(char **argv)
{
    struct flight_page *page = mmap(NULL, FLIGHT_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                                    atoi(option(argv, "--flight-fd")), 0);

    if (page == MAP_FAILED)
        exit(91);
    return page;
}

static int open_fifo(char **argv)
{
    int fd = open(option(argv, "--connect"), O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        exit(92);
    return fd;
}

static void say(int fd, const char *text)
{
    if (write(fd, text, strlen(text)) < 0)
        exit(93);
}

/* The job ends after all, and another of another chunk begins. */
static void begin_next_chunk(struct flight_page *page)
{
    flight_end_job(page, 41);
    flight_begin_chunk(page, 3, 8, 1, 2);
    flight_begin_job(page, 42);
    atomic_store(&page->progress, 900);
}

static void crash_as(const char *how, struct flight_page *page)
{
    atomic_store(&page->phase, FLIGHT_RUNNING);
    flight_begin_chunk(page, 3, 7, 1, 1);
    flight_begin_job(page, 41);
    if (strcmp(how, "progress") == 0)
        atomic_store(&page->progress, 375);
    if (strncmp(how, "late", 4) == 0) {
        atomic_store(&page->progress, 400);
        flight_time_out(page, 7, 41);
    }
    if (strcmp(how, "late-then-next") == 0)
        begin_next_chunk(page);
    if (strcmp(how, "late-then-stopping") == 0) {
        flight_end_job(page, 41);
        atomic_store(&page->phase, FLIGHT_STOPPING);
    }
    if (strcmp(how, "between") == 0)
        flight_end_job(page, 41);
    if (strcmp(how, "stopping") == 0)
        atomic_store(&page->phase, FLIGHT_STOPPING);
    raise(SIGKILL);
}

/* What it inherited: its words, its descriptors, its group, its signals. */
static void describe(char **argv)
{
    int fd = open_fifo(argv);
    char target[128];
    struct dirent *entry;
    sigset_t blocked;
    DIR *list;

    for (; *argv; argv++) {
        say(fd, *argv);
        say(fd, "\n");
    }
    list = opendir("/proc/self/fd");
    while (list && (entry = readdir(list)) != NULL) {
        ssize_t size = readlinkat(dirfd(list), entry->d_name, target, sizeof target);

        if (size < 0 || atoi(entry->d_name) == fd || atoi(entry->d_name) == dirfd(list))
            continue;
        dprintf(fd, "fd %s %.*s\n", entry->d_name, (int)size, target);
    }
    if (getpgrp() == getpid())
        say(fd, "own group\n");
    sigprocmask(SIG_SETMASK, NULL, &blocked);
    if (sigismember(&blocked, SIGUSR1) == 0 && signal(SIGUSR2, SIG_DFL) == SIG_DFL)
        say(fd, "no signals\n");
    exit(0);
}

/* A child of the worker that says a letter and stays. */
static void found_family(char **argv)
{
    int fd = open_fifo(argv);

    if (fork() == 0) {
        say(fd, "c");
        for (;;)
            pause();
    }
    close(fd);
}

/* Sends a reference from its heap, of so many MiB, that nobody takes, or that was taken. */
static void lend(char **argv, const char *what)
{
    static const uint64_t one = 1;
    int fd = atoi(option(argv, "--heap-fd"));
    off_t bytes = (off_t)atoi(what) << 20, table = HEAP_TABLE_OFFSET;

    if (bytes > 0 && fallocate(fd, 0, HEAP_DATA_OFFSET, bytes) != 0)
        exit(95);
    if (pwrite(fd, &one, sizeof one, table + (off_t)offsetof(struct heap_table, sent)) != sizeof one)
        exit(96);
    if (strcmp(what, "taken") == 0 &&
        pwrite(fd, &one, sizeof one, table + (off_t)offsetof(struct heap_table, taken)) != sizeof one)
        exit(97);
    exit(0);
}

/* Says who it is, as a worker does that may be adopted, and stays, once it has said a letter. */
static void stay(char **argv)
{
    say(open_fifo(argv), "s");
    for (;;)
        pause();
}

/* One whose name has a slot tells its flight recorder who it is, and does what stands behind the slot. */
static const char *attach(char **argv, const char *name)
{
    struct flight_page *page;

    if (flight_attach(atoi(option(argv, "--flight-fd")), &page) != 0)
        exit(98);
    return strchr(name, '.') + 1;
}

int main(int argc, char **argv)
{
    const char *name = argc > 2 && strcmp(argv[1], "worker") == 0 ? option(argv, "--name") : "";

    if (strncmp(name, "worker-", 7) == 0)
        name = attach(argv, name);

    if (strncmp(name, "exit-", 5) == 0) {
        exit(atoi(name + 5));
    } else if (strncmp(name, "signal-", 7) == 0) {
        raise(atoi(name + 7));
    } else if (strncmp(name, "job-", 4) == 0) {
        crash_as(name + 4, map_flight(argv));
    } else if (strncmp(name, "lend-", 5) == 0) {
        lend(argv, name + 5);
    } else if (strcmp(name, "loading") == 0) {
        struct flight_page *page = map_flight(argv);

        atomic_store(&page->detail, 1);
        atomic_store(&page->phase, FLIGHT_LOADING);
        exit(7);
    } else if (strcmp(name, "stay") == 0) {
        stay(argv);
    } else if (strcmp(name, "describe") == 0) {
        describe(argv);
    } else if (strcmp(name, "family") == 0) {
        found_family(argv);
        exit(0);
    } else if (strcmp(name, "family-stays") == 0) {
        found_family(argv);
        say(open_fifo(argv), "p");
        for (;;)
            pause();
    }
    exit(94);
}
