/* SPDX-License-Identifier: MIT
 *
 * Worker processes: launched, watched, buried. See supervisor.h.
 */
#include "coordinator/supervisor.h"

#include "base/cores.h"
#include "proto/flight.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* The descriptor of a worker's flight recorder, in the worker. */
enum { FLIGHT_FD = 3 };

struct child {
    pid_t pid; /* 0: none */
    int pidfd;
    int flight_fd;
    struct flight_page *flight; /* owned */
};

struct supervisor {
    struct supervisor_options options;
    struct child *children; /* options.workers of them */
    int epoll_fd;           /* over the pidfds */
    unsigned alive;
};

int supervisor_create(const struct supervisor_options *options, struct supervisor **ret_supervisor,
                      struct muster_error *ret_error)
{
    struct supervisor *supervisor = calloc(1, sizeof *supervisor);
    int error;

    if (!supervisor)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "supervisor: out of memory");
    supervisor->options = *options;
    supervisor->children = calloc(options->workers, sizeof *supervisor->children);
    supervisor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (supervisor->children && supervisor->epoll_fd >= 0) {
        *ret_supervisor = supervisor;
        return 0;
    }
    error = supervisor->children ? errno : ENOMEM;
    supervisor_destroy(supervisor);
    return muster_error_system(ret_error, error, "cannot watch worker processes");
}

/* The arguments of a worker's command line, whose texts live in `text`. */
struct command_line {
    char parent[16], flight_fd[16], memory[32], cpu[16];
    char **words; /* owned; NULL-terminated */
};

/* posix_spawn takes char *const[], and does not write to it. */
static char *word(const char *text)
{
    union {
        const char *in;
        char *out;
    } cast = {.in = text};

    return cast.out;
}

static int build_command_line(const struct supervisor *supervisor, unsigned slot, const char *name,
                              struct command_line *line)
{
    const struct supervisor_options *options = &supervisor->options;
    size_t n = 0;
    int cpu;

    line->words = calloc(16 + 2 * (size_t)options->plugin_count, sizeof *line->words);
    if (!line->words)
        return MUSTER_ENOMEM;
    snprintf(line->parent, sizeof line->parent, "%d", (int)getpid());
    snprintf(line->flight_fd, sizeof line->flight_fd, "%d", FLIGHT_FD);
    line->words[n++] = word("muster");
    line->words[n++] = word("worker");
    line->words[n++] = word("--connect");
    line->words[n++] = word(options->endpoint);
    line->words[n++] = word("--name");
    line->words[n++] = word(name);
    line->words[n++] = word("--parent");
    line->words[n++] = line->parent;
    line->words[n++] = word("--flight-fd");
    line->words[n++] = line->flight_fd;
    for (unsigned i = 0; i < options->plugin_count; i++) {
        line->words[n++] = word("--plugin");
        line->words[n++] = word(options->plugins[i]);
    }
    if (options->memory_bytes) {
        snprintf(line->memory, sizeof line->memory, "%llu", (unsigned long long)options->memory_bytes);
        line->words[n++] = word("--memory");
        line->words[n++] = line->memory;
    }
    if (options->pin && cores_nth(slot - 1, &cpu) == 0) {
        snprintf(line->cpu, sizeof line->cpu, "%d", cpu);
        line->words[n++] = word("--cpu");
        line->words[n++] = line->cpu;
    }
    return 0;
}

/* Nothing of ours is inherited but the flight recorder: standard input is empty, and what a
 * job prints goes to standard error, so that it does not mix with results. */
static int launch(const char *program, char **words, int flight_fd, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t all, none;
    int error;

    sigfillset(&all);
    sigemptyset(&none);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0 && fcntl(STDERR_FILENO, F_GETFD) < 0) /* the caller has closed it */
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, flight_fd, FLIGHT_FD);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    if (error == 0)
        error = posix_spawn(ret_pid, program, &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static int watch(struct supervisor *supervisor, struct child *child, unsigned slot)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = slot};

    child->pidfd = pidfd_open(child->pid, 0); /* close-on-exec by itself */
    if (child->pidfd < 0)
        return errno;
    return epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_ADD, child->pidfd, &event) == 0 ? 0 : errno;
}

/* Closing a descriptor takes it out of the epoll set only when no copy of it is left, and a
 * worker that is being spawned has copies of all of them until its exec is over. */
static void release(struct supervisor *supervisor, struct child *child)
{
    if (child->pidfd >= 0) {
        epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_DEL, child->pidfd, NULL);
        close(child->pidfd);
    }
    if (child->flight_fd >= 0)
        close(child->flight_fd);
    flight_unmap(child->flight);
    *child = (struct child){.pid = 0};
}

int supervisor_spawn(struct supervisor *supervisor, unsigned slot, const char *name,
                     struct muster_error *ret_error)
{
    struct child *child = &supervisor->children[slot - 1];
    struct command_line line;
    int error;

    assert(child->pid == 0);
    *child = (struct child){.pidfd = -1, .flight_fd = -1};
    if (build_command_line(supervisor, slot, name, &line) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "cannot start a worker: out of memory");
    error = flight_create(&child->flight_fd, &child->flight) == 0 ? 0 : errno;
    if (error == 0)
        error = launch(supervisor->options.program, line.words, child->flight_fd, &child->pid);
    free(line.words);
    if (error == 0) {
        error = watch(supervisor, child, slot);
        if (error != 0) { /* it cannot be watched, so it must not run */
            kill(-child->pid, SIGKILL);
            TEMP_FAILURE_RETRY(waitpid(child->pid, NULL, 0));
        }
    }
    if (error != 0) {
        release(supervisor, child);
        return muster_error_system(ret_error, error, "cannot start a worker (%s)",
                                   supervisor->options.program);
    }
    supervisor->alive++;
    return 0;
}

void supervisor_kill(struct supervisor *supervisor, unsigned slot)
{
    const struct child *child = &supervisor->children[slot - 1];

    if (child->pid)
        kill(-child->pid, SIGKILL);
}

int supervisor_fd(const struct supervisor *supervisor)
{
    return supervisor->epoll_fd;
}

static void describe_status(int status, const struct rusage *usage, char *ret_text, size_t size)
{
    if (WIFSIGNALED(status)) {
        const char *name = sigabbrev_np(WTERMSIG(status)), *meaning = sigdescr_np(WTERMSIG(status));

        snprintf(ret_text, size, "killed by SIG%s (%s), peak memory %ld MiB", name ? name : "?",
                 meaning ? meaning : "unknown signal", usage->ru_maxrss / 1024);
    } else {
        snprintf(ret_text, size, "ended with exit status %d", WEXITSTATUS(status));
    }
}

/* What the flight recorder of a dead worker says. A verdict stands, whatever the worker did
 * before the kill reached it. */
static void read_flight(const struct supervisor *supervisor, const struct flight_page *page,
                        struct worker_exit *exit)
{
    uint64_t position = atomic_load(&page->position);
    uint32_t phase = atomic_load(&page->phase), progress = atomic_load(&page->progress);
    size_t used = strlen(exit->reason);

    exit->timed_out = atomic_load(&page->verdict) == FLIGHT_TIMED_OUT;
    exit->executing = exit->timed_out || ((position & 1) != 0 && phase == FLIGHT_RUNNING);
    exit->chunk = atomic_load(exit->timed_out ? &page->verdict_chunk : &page->chunk);
    exit->index = exit->timed_out ? atomic_load(&page->verdict_index) : position >> 1;
    if (exit->executing && position == (exit->index << 1 | 1) && progress <= 1000)
        exit->progress = progress;
    if (phase == FLIGHT_LOADING && atomic_load(&page->detail) < supervisor->options.plugin_count)
        snprintf(exit->reason + used, sizeof exit->reason - used, " while it loaded the plug-in %s",
                 supervisor->options.plugins[atomic_load(&page->detail)]);
}

int supervisor_reap(struct supervisor *supervisor, struct worker_exit *ret_exit)
{
    struct epoll_event event;
    struct worker_exit exit = {0};
    struct rusage usage;
    struct child *child;
    int status;

    if (epoll_wait(supervisor->epoll_fd, &event, 1, 0) != 1)
        return MUSTER_EAGAIN;
    child = &supervisor->children[event.data.u32 - 1];
    assert(child->pid > 0);     /* 0 would be this process's own group */
    kill(-child->pid, SIGKILL); /* what it left running; the group outlives it until it is reaped */
    exit.slot = event.data.u32;
    if (TEMP_FAILURE_RETRY(wait4(child->pid, &status, 0, &usage)) == child->pid)
        describe_status(status, &usage, exit.reason, sizeof exit.reason);
    else /* this program ignores SIGCHLD: the kernel reaped it */
        snprintf(exit.reason, sizeof exit.reason, "an end that nobody saw");
    read_flight(supervisor, child->flight, &exit);
    release(supervisor, child);
    supervisor->alive--;
    *ret_exit = exit;
    return 0;
}

unsigned supervisor_alive(const struct supervisor *supervisor)
{
    return supervisor->alive;
}

void supervisor_destroy(struct supervisor *supervisor)
{
    if (!supervisor)
        return;
    for (unsigned i = 0; supervisor->children && i < supervisor->options.workers; i++) {
        struct child *child = &supervisor->children[i];

        if (child->pid == 0)
            continue;
        kill(-child->pid, SIGKILL);
        TEMP_FAILURE_RETRY(waitpid(child->pid, NULL, 0));
        release(supervisor, child);
    }
    if (supervisor->epoll_fd >= 0)
        close(supervisor->epoll_fd);
    free(supervisor->children);
    free(supervisor);
}
