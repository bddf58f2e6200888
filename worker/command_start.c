/* SPDX-License-Identifier: MIT
 *
 * Starts a program. See command_internal.h.
 *
 * As posix_spawn does it: a child on a stack of its own, in the worker's memory, for which the worker
 * waits until it executes. It is not posix_spawn, because that cannot set limits, niceness or a
 * death signal, and because the pidfd comes with the child. Between clone and execve there are only
 * system calls, and nothing that is shared is written but *child.
 */
#include "worker/command_internal.h"

#include "base/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* A path of PATH_MAX, and calls of a few hundred bytes; a sanitizer's are larger. */
enum { STACK_BYTES = 128 << 10 };

struct start {
    const struct command_spec *spec;
    const int *fds;
    const struct sandbox *sandbox; /* NULL: none */
    struct command_child *child;
    pid_t worker;
};

/* The signals that are not as a program expects them: handlers are the worker's code, and what is ignored
 * would stay ignored. Functions do not change that, so it is looked up once. */
static int odd_signals[NSIG];
static int odd_signal_count = -1;

static void find_odd_signals(void)
{
    struct sigaction action;

    odd_signal_count = 0;
    for (int i = 1; i < NSIG; i++)
        if (i != SIGKILL && i != SIGSTOP && sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            odd_signals[odd_signal_count++] = i;
}

static void reset_signals(void)
{
    const struct sigaction normal = {.sa_handler = SIG_DFL};

    for (int i = 0; i < odd_signal_count; i++)
        sigaction(odd_signals[i], &normal, NULL);
}

static int limit(__rlimit_resource_t resource, uint64_t soft, uint64_t hard)
{
    struct rlimit now, wanted;

    if (soft == UINT64_MAX)
        return 0;
    if (getrlimit(resource, &now) != 0)
        return -1;
    wanted.rlim_max = hard < now.rlim_max ? hard : now.rlim_max; /* what is stricter stays */
    wanted.rlim_cur = soft < wanted.rlim_max ? soft : wanted.rlim_max;
    return setrlimit(resource, &wanted);
}

/* Those of where it was submitted, as far as they can be had here. */
static int set_ulimits(const struct command_spec *spec)
{
    for (unsigned i = 0; i < spec->ulimit_count; i++) {
        struct rlimit now;
        rlim_t wanted = (rlim_t)spec->ulimits[i];

        if (getrlimit((__rlimit_resource_t)i, &now) != 0)
            return -1;
        wanted = wanted < now.rlim_max ? wanted : now.rlim_max;
        if (wanted == now.rlim_cur)
            continue;
        now.rlim_cur = wanted;
        if (setrlimit((__rlimit_resource_t)i, &now) != 0)
            return -1;
    }
    return 0;
}

/* The limit of a cgroup is its own; SIGXCPU when the CPU time is over, SIGKILL a second later. */
static int set_limits(const struct command_spec *spec)
{
    uint64_t data_bytes = spec->grouped ? UINT64_MAX : spec->memory_bytes;

    if (limit(RLIMIT_DATA, data_bytes, data_bytes) != 0 ||
        limit(RLIMIT_CPU, spec->cpu_time_s, spec->cpu_time_s == UINT64_MAX ? 0 : spec->cpu_time_s + 1) != 0 ||
        limit(RLIMIT_NOFILE, spec->open_files, spec->open_files) != 0 ||
        limit(RLIMIT_FSIZE, spec->file_bytes, spec->file_bytes) != 0)
        return -1;
    return 0;
}

/* Whether the next folder of PATH may have what this one has not. */
static bool is_elsewhere(int error)
{
    return error == ENOENT || error == ENOTDIR || error == EACCES || error == ESTALE || error == ENODEV ||
           error == ETIMEDOUT;
}

/* Whether a file begins with a line of text, as shells look at it: a program for another machine does not. */
static bool is_text(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    char start[128], *end;
    ssize_t got;

    if (fd < 0)
        return false;
    got = read(fd, start, sizeof start);
    close(fd);
    if (got <= 0)
        return got == 0;
    end = memchr(start, '\n', (size_t)got);
    return !memchr(start, '\0', end ? (size_t)(end - start) : (size_t)got);
}

/* A script that does not say for what is one for the shell, as shells have it. */
static void execute_file(const struct command_spec *spec, char *file)
{
    static char shell[] = "/bin/sh";
    char *first = spec->words[0];

    execve(file, spec->words, spec->environment);
    if (errno != ENOEXEC)
        return;
    if (!is_text(file)) {
        errno = ENOEXEC;
        return;
    }
    spec->words[-1] = shell;
    spec->words[0] = file;
    execve(shell, spec->words - 1, spec->environment);
    spec->words[0] = first;
}

static const char *search_path(char **environment)
{
    for (; *environment; environment++)
        if (strncmp(*environment, "PATH=", 5) == 0)
            return *environment + 5;
    return "/bin:/usr/bin";
}

/* Returns only when it fails. */
static int execute(const struct command_spec *spec)
{
    const char *name = spec->words[0], *at = search_path(spec->environment), *end;
    size_t name_size = strlen(name);
    char path[PATH_MAX];
    int result = ENOENT;

    if (name_size == 0)
        return ENOENT;
    if (memchr(name, '/', name_size)) {
        execute_file(spec, spec->words[0]);
        return errno;
    }
    for (;; at = end + 1) {
        size_t size;

        end = strchrnul(at, ':');
        size = (size_t)(end - at);
        if (size + name_size + 2 <= sizeof path) {
            memcpy(path, at, size);
            path[size] = '/';
            memcpy(path + size + (size > 0), name, name_size + 1); /* an empty folder is this one */
            execute_file(spec, path);
            if (!is_elsewhere(errno))
                return errno;
            if (errno == EACCES)
                result = EACCES;
        }
        if (!*end)
            return result;
    }
}

static int fail(struct command_child *child, const char *stage)
{
    child->error = errno;
    child->stage = stage;
    return 127;
}

/* Nothing but its standard files is open in a program that is confined. */
static int enter_sandbox(const struct sandbox *sandbox)
{
    return close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0 ? sandbox_enter(sandbox) : -1;
}

static int in_child(void *argument)
{
    const struct start *start = argument;
    const struct command_spec *spec = start->spec;
    sigset_t none;

    reset_signals();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return fail(start->child, "be tied to its worker");
    if (getppid() != start->worker) /* which died before that */
        return 127;
    if (spec->grouped && command_memory_join() != 0)
        return fail(start->child, "join its cgroup");
    setsid();
    for (int i = 0; i < 3; i++)
        if (dup2(start->fds[i], i) < 0)
            return fail(start->child, "get its standard files");
    if (spec->dir && chdir(spec->dir) != 0) {
        start->child->about = spec->dir;
        return fail(start->child, "enter its folder");
    }
    if (spec->nice)
        setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + (int)spec->nice);
    if (spec->umask >= 0)
        umask((mode_t)spec->umask);
    if (set_ulimits(spec) != 0 || set_limits(spec) != 0)
        return fail(start->child, "have its limits");
    if (!spec->privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(start->child, "give up privileges");
    if (start->sandbox && enter_sandbox(start->sandbox) != 0)
        return fail(start->child, "be confined");
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    start->child->error = execute(spec);
    return 127;
}

/* The stack of children, which use it one at a time. NULL with errno set. */
static void *stack_top(void)
{
    static char *stack;
    void *memory;

    if (!stack) {
        memory =
            mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        if (memory == MAP_FAILED)
            return NULL;
        stack = memory;
    }
    return stack + STACK_BYTES;
}

int command_start(const struct command_spec *spec, const int fds[3], const struct sandbox *sandbox,
                  struct command_child *ret_child)
{
    struct command_child child = {.pidfd = -1};
    struct start start = {.spec = spec, .fds = fds, .sandbox = sandbox, .child = &child, .worker = getpid()};
    void *stack = stack_top();
    sigset_t all, before;
    int error;

    if (!stack)
        return errno;
    if (odd_signal_count < 0)
        find_odd_signals();
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* no handler runs in the child */
    child.pid = clone(in_child, stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &start, &child.pidfd);
    error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (child.pid < 0)
        return error;
    *ret_child = child;
    return 0;
}
