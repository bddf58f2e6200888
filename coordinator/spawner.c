/* SPDX-License-Identifier: MIT
 *
 * The launcher that starts a program anew for each worker, with posix_spawn. See spawner.h.
 *
 * The program is the file that was there in the beginning, whatever has its name by now: a job may be able to
 * put another one there, and an upgrade does.
 */
#include "coordinator/spawner.h"

#include "base/afresh.h"
#include "base/clock.h"
#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* The arguments of a worker's command line, whose texts live in `text`. */
struct command_line {
    char parent[16], flight_fd[16], heap_fd[16], slots_fd[16], bell_fd[16], memory[32], cpu[16],
        concurrency[16], orphan_grace[32], sandbox[sizeof "--sandbox=" + SANDBOX_WORDS_BYTES];
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

static int build_command_line(const struct spawner *spawner, const struct launch *launch,
                              struct command_line *line)
{
    size_t n = 0;

    line->words = calloc(27 + 2 * (spawner->plugin_count + spawner->kept_count), sizeof *line->words);
    if (!line->words)
        return MUSTER_ENOMEM;
    snprintf(line->parent, sizeof line->parent, "%d", (int)getpid());
    snprintf(line->flight_fd, sizeof line->flight_fd, "%d", launch->flight_fd);
    line->words[n++] = word("muster");
    line->words[n++] = word("worker");
    line->words[n++] = word("--connect");
    line->words[n++] = word(launch->endpoint);
    line->words[n++] = word("--name");
    line->words[n++] = word(launch->name);
    line->words[n++] = word("--parent");
    line->words[n++] = line->parent;
    line->words[n++] = word("--flight-fd");
    line->words[n++] = line->flight_fd;
    if (launch->heap_fd >= 0) {
        snprintf(line->heap_fd, sizeof line->heap_fd, "%d", launch->heap_fd);
        line->words[n++] = word("--heap-fd");
        line->words[n++] = line->heap_fd;
    }
    if (launch->slots_fd >= 0) {
        snprintf(line->slots_fd, sizeof line->slots_fd, "%d", launch->slots_fd);
        snprintf(line->bell_fd, sizeof line->bell_fd, "%d", launch->bell_fd);
        line->words[n++] = word("--slots-fd");
        line->words[n++] = line->slots_fd;
        line->words[n++] = word("--bell-fd");
        line->words[n++] = line->bell_fd;
    }
    for (unsigned i = 0; i < spawner->plugin_count; i++) {
        line->words[n++] = word("--plugin");
        line->words[n++] = word(spawner->plugins[i]);
    }
    for (size_t i = 0; i < spawner->kept_count; i++) {
        line->words[n++] = word("--kept");
        line->words[n++] = word(spawner->kept[i]);
    }
    if (spawner->memory_bytes) {
        snprintf(line->memory, sizeof line->memory, "%llu", (unsigned long long)spawner->memory_bytes);
        line->words[n++] = word("--memory");
        line->words[n++] = line->memory;
    }
    if (spawner->sandbox) {
        sandbox_words(spawner->sandbox, stpcpy(line->sandbox, "--sandbox="));
        line->words[n++] = line->sandbox;
    }
    if (spawner->concurrency > 1) {
        snprintf(line->concurrency, sizeof line->concurrency, "%u", spawner->concurrency);
        line->words[n++] = word("--concurrency");
        line->words[n++] = line->concurrency;
    }
    if (spawner->orphan_grace_ns) {
        snprintf(line->orphan_grace, sizeof line->orphan_grace, "%.3f",
                 (double)spawner->orphan_grace_ns / CLOCK_NS_PER_S);
        line->words[n++] = word(spawner->tied ? "--link-grace" : "--orphan-grace");
        line->words[n++] = line->orphan_grace;
    }
    if (launch->cpu >= 0) {
        snprintf(line->cpu, sizeof line->cpu, "%d", launch->cpu);
        line->words[n++] = word("--cpu");
        line->words[n++] = line->cpu;
    }
    return 0;
}

/* The worker has a descriptor under the same number: to duplicate one to itself only makes it one
 * that is inherited, and no other can be in its way. */
static int inherit(posix_spawn_file_actions_t *actions, const struct launch *launch)
{
    int error = posix_spawn_file_actions_adddup2(actions, launch->flight_fd, launch->flight_fd);

    if (error == 0 && launch->heap_fd >= 0)
        error = posix_spawn_file_actions_adddup2(actions, launch->heap_fd, launch->heap_fd);
    if (error == 0 && launch->slots_fd >= 0)
        error = posix_spawn_file_actions_adddup2(actions, launch->slots_fd, launch->slots_fd);
    if (error == 0 && launch->slots_fd >= 0)
        error = posix_spawn_file_actions_adddup2(actions, launch->bell_fd, launch->bell_fd);
    return error;
}

/* A script is for a program that opens it by itself, when descriptors of ours are closed. */
static bool is_script(const char *program)
{
    int fd = open(program, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    char start[2];
    bool script = fd >= 0 && read(fd, start, sizeof start) == sizeof start && memcmp(start, "#!", 2) == 0;

    if (fd >= 0)
        close(fd);
    return script;
}

/* Not among the standard descriptors, which a worker gets anew, where the caller had those closed. */
void spawner_open(struct spawner *spawner)
{
    int fd;

    spawner->program_fd = -1;
    if (!spawner->program ||
        is_script(spawner->program)) /* where another launcher makes workers there is none */
        return;
    fd = open(spawner->program, O_PATH | O_CLOEXEC);
    spawner->program_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    spawner->error = spawner->program_fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
}

void spawner_close(struct spawner *spawner)
{
    if (spawner->program_fd >= 0)
        close(spawner->program_fd);
    spawner->program_fd = -1;
}

/* Nothing of ours is inherited but the flight recorder, heap and slots: standard input is empty, and what a
 * job prints goes to standard error, so that it does not mix with results. */
static int start(const struct spawner *spawner, char **words, const struct launch *launch, pid_t *ret_pid)
{
    char program[32];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error = afresh_attributes(&attributes, POSIX_SPAWN_SETPGROUP);

    if (error)
        return error;
    snprintf(program, sizeof program, "/proc/self/fd/%d", spawner->program_fd);
    posix_spawn_file_actions_init(&actions);
    error = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0 && fcntl(STDERR_FILENO, F_GETFD) < 0) /* the caller has closed it */
        error = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (error == 0)
        error = inherit(&actions, launch);
    if (error == 0)
        error = posix_spawn(ret_pid, spawner->program_fd >= 0 ? program : spawner->program, &actions,
                            &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* One that cannot be watched must not run. */
static int watch(pid_t pid, int *ret_pidfd)
{
    int fd = pidfd_open(pid, 0), error = errno; /* close-on-exec by itself */

    if (fd < 0) {
        kill(-pid, SIGKILL);
        TEMP_FAILURE_RETRY(waitpid(pid, NULL, 0));
        return error;
    }
    *ret_pidfd = fd;
    return 0;
}

static int spawn(struct launcher *launcher, const struct launch *launch, pid_t *ret_pid, int *ret_pidfd,
                 struct muster_error *ret_error)
{
    const struct spawner *spawner = (const struct spawner *)launcher;
    struct command_line line;
    pid_t pid;
    int error;

    if (build_command_line(spawner, launch, &line) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "cannot start a worker: out of memory");
    error = spawner->error ? spawner->error : start(spawner, line.words, launch, &pid);
    free(line.words);
    if (error == 0)
        error = watch(pid, ret_pidfd);
    if (error != 0)
        return muster_error_system(ret_error, error, "cannot start a worker (%s)", spawner->program);
    *ret_pid = pid;
    return 0;
}

/* Where this program ignores SIGCHLD, the kernel has reaped it. */
static int collect(struct launcher *launcher, pid_t pid, int *ret_status, struct rusage *ret_usage)
{
    (void)launcher;
    return TEMP_FAILURE_RETRY(wait4(pid, ret_status, 0, ret_usage)) == pid ? 0 : MUSTER_ELOST;
}

const struct launcher_ops spawner_ops = {.spawn = spawn, .collect = collect};
