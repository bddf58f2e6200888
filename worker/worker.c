/* SPDX-License-Identifier: MIT
 *
 * The life of a worker process: tie to the parent, limits, plug-ins, link, chunks. See
 * worker.h. The main thread executes; the link's thread does the rest.
 */
#include "worker/worker.h"

#include "base/cores.h"
#include "base/coverage.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "base/sanitize.h"
#include "jobs/registry.h"
#include "worker/command.h"
#include "worker/concurrent.h"
#include "worker/confine.h"
#include "worker/crash.h"
#include "worker/execute.h"
#include "worker/link.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_TROUBLE = 255 };

/* For the signal handler alone: who must live for this worker to live. */
static volatile sig_atomic_t parent_pid;

/* What was handed over is for this process alone, not for programs that plug-ins and jobs start. */
static void keep_descriptors(const struct worker_options *options)
{
    const int fds[] = {options->flight_fd, options->slots_fd, options->bell_fd, options->heap_fd};

    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            fcntl(fds[i], F_SETFD, FD_CLOEXEC);
}

/* The kernel sends SIGCONT when the parent dies, which also wakes a worker that is stopped.
 * The whole process group ends, so that nothing a job started is left. */
static void parent_may_be_gone(int signal)
{
    (void)signal;
    if (getppid() != parent_pid)
        link_kill_worker();
}

/* Two ties, since a job may undo one: the signal, and a pidfd that the link's thread watches. */
static int tie_to_parent(int pid, int *ret_parent_fd, struct muster_error *ret_error)
{
    struct sigaction action = {.sa_handler = parent_may_be_gone, .sa_flags = SA_RESTART};
    int fd;

    parent_pid = pid;
    if (sigaction(SIGCONT, &action, NULL) != 0 || prctl(PR_SET_PDEATHSIG, SIGCONT) != 0)
        return muster_error_system(ret_error, errno, "worker: cannot watch its parent");
    fd = pidfd_open(pid, 0);     /* close-on-exec by itself */
    parent_may_be_gone(SIGCONT); /* it may have died before it was watched */
    if (fd < 0)
        return muster_error_system(ret_error, errno, "worker: cannot watch its parent");
    *ret_parent_fd = fd;
    return 0;
}

/* One that outlives its parent is woken if it is stopped: it is to end when its grace is over. */
static int outlive_parent(struct muster_error *ret_error)
{
    if (prctl(PR_SET_PDEATHSIG, SIGCONT) != 0)
        return muster_error_system(ret_error, errno, "worker: cannot watch its parent");
    return 0;
}

static int run_on(int cpu, struct muster_error *ret_error)
{
    size_t bytes;
    cpu_set_t *set = cores_only(cpu, &bytes);
    int error = set && sched_setaffinity(0, bytes, set) == 0 ? 0 : errno;

    CPU_FREE(set);
    return error ? muster_error_system(ret_error, error, "worker: cannot run on core %d", cpu) : 0;
}

static int apply_limits(const struct worker_options *options, struct muster_error *ret_error)
{
    if (options->memory_bytes) {
        struct rlimit limit = {.rlim_cur = options->memory_bytes, .rlim_max = options->memory_bytes};

        if (setrlimit(RLIMIT_DATA, &limit) != 0)
            return muster_error_system(ret_error, errno, "worker: cannot limit memory to %llu bytes",
                                       (unsigned long long)options->memory_bytes);
    }
    return options->cpu < 0 ? 0 : run_on(options->cpu, ret_error);
}

/* The flight recorder of the supervisor, or one of our own where nobody gave us any. */
static int open_flight(int fd, struct flight_page **ret_flight, struct muster_error *ret_error)
{
    int own_fd, result;

    if (fd >= 0)
        result = flight_attach(fd, ret_flight);
    else if ((result = flight_create(&own_fd, ret_flight)) == 0)
        close(own_fd);
    return result == 0 ? 0 : muster_error_system(ret_error, errno, "worker: no flight recorder");
}

/* Messages beside ZeroMQ, where the coordinator has them and one job runs at a time. */
static int open_slots(const struct worker_options *options, unsigned concurrency, struct slots **ret_slots,
                      struct muster_error *ret_error)
{
    if (options->slots_fd < 0 || options->bell_fd < 0 || concurrency > 1 || options->orphan_grace_ns > 0)
        return 0;
    if (slots_attach(options->slots_fd, ret_slots) == 0)
        return 0;
    return muster_error_system(ret_error, errno, "worker: no slots for messages");
}

static int load_plugins(struct registry *registry, const struct worker_options *options,
                        struct flight_page *flight, struct muster_error *ret_error)
{
    int result = 0;

    for (unsigned i = 0; i < options->plugin_count && result == 0; i++) {
        atomic_store(&flight->detail, i);
        atomic_store(&flight->phase, FLIGHT_LOADING);
        result = registry_load(registry, options->plugins[i], ret_error);
    }
    atomic_store(&flight->phase, FLIGHT_STARTING);
    return result;
}

static void flush(void *executor, uint64_t seen_ns)
{
    executor_flush(executor, seen_ns);
}

static void end_cancelled(void *executor)
{
    executor_cancel(executor);
}

static void rest(void *executor)
{
    (void)executor;
    confine_rest();
}

/* What ZeroMQ and its threads take to end waits for nothing that anybody needs. */
static void end_copy(struct link *link)
{
    if (!link_is_settled(link))
        return;
    command_fini();
    fflush(NULL);
    coverage_save();
    _exit(0);
}

/* One job at a time. */
static int serve_one(const struct worker_options *options, struct link *link, const struct registry *registry,
                     struct flight_page *flight, int heap_fd)
{
    static const struct link_watcher watcher = {.slow = flush, .cancelled = end_cancelled, .idle = rest};
    struct executor *executor = executor_create(registry, link, flight, heap_fd);
    struct assignment *assignment;
    int result = executor ? 0 : MUSTER_ENOMEM;

    if (executor)
        link_watch(link, &watcher, executor);
    atomic_store(&flight->phase, FLIGHT_RUNNING);
    while (result == 0 && link_take(link, &assignment) == 0) {
        result = executor_run(executor, assignment);
        link_release(link, assignment);
    }
    atomic_store(&flight->phase, FLIGHT_STOPPING);
    if (result == 0 && options->copy && options->sandbox == 0)
        end_copy(link);
    link_stop(link);
    executor_destroy(executor);
    return result;
}

/* The number of the slot, from the name that the coordinator gave: "worker-SLOT.INCARNATION". */
static unsigned slot_of(const char *name)
{
    const char *number = strchr(name, '-');
    unsigned long slot = number ? strtoul(number + 1, NULL, 10) : 0;

    return slot > 0 && slot <= UINT_MAX ? (unsigned)slot : 1;
}

/* Of copies that are not to be confined, which takes threads that run. The thread sanitizer takes the start
 * of a command for a fork, and lets nobody start threads after that. */
static bool may_be_late(const struct worker_options *options)
{
    return !SANITIZE_THREAD && options->copy && options->sandbox == 0;
}

static int serve(const struct worker_options *options, int parent_fd, const struct registry *registry,
                 struct flight_page *flight, const struct sandbox *sandbox, struct muster_error *ret_error)
{
    unsigned concurrency = options->concurrency > 1 ? options->concurrency : 1;
    int heap_fd = options->orphan_grace_ns > 0 ? -1 : options->heap_fd;
    struct slots *slots = NULL;
    struct link *link;
    int result;

    result = open_slots(options, concurrency, &slots, ret_error);
    if (result != 0)
        return result;
    result = link_start(&(struct link_options){.endpoint = options->endpoint,
                                               .name = options->name,
                                               .parent_fd = parent_fd,
                                               .flight = flight,
                                               .slots = slots,
                                               .bell_fd = options->bell_fd,
                                               .concurrency = concurrency,
                                               .grace_ns = options->orphan_grace_ns,
                                               .late = may_be_late(options)},
                        &link, ret_error);
    if (result != 0) {
        slots_unmap(slots);
        return result;
    }
    /* Meanwhile it connects. Plug-ins have their handlers by now. */
    if (crash_watch(flight, ret_error) != 0 || (sandbox && sandbox_close_link(sandbox, ret_error) != 0)) {
        link_stop(link);
        slots_unmap(slots);
        return MUSTER_ESYSTEM;
    }
    result = concurrency > 1 ? concurrent_serve(link, registry, flight, concurrency, heap_fd)
                             : serve_one(options, link, registry, flight, heap_fd);
    if (result != 0)
        muster_error_set(ret_error, result, "worker: %s", muster_error_name(result));
    slots_unmap(slots);
    return result;
}

int worker_main(const struct worker_options *options)
{
    struct flight_page *flight = NULL;
    const struct registry *registry = options->registry;
    struct registry *own = NULL;
    struct sandbox *sandbox = NULL;
    struct muster_error error;
    int parent_fd = -1, result = 0;

    if (options->sandbox && !registry)
        confine_descriptors(options);
    keep_descriptors(options);
    prctl(PR_SET_NAME, "muster-worker"); /* else the number of the descriptor that it was started from */
    executor_prepare();
    if (options->orphan_grace_ns > 0 && !options->tied)
        result = outlive_parent(&error);
    else if (options->parent_pid > 0)
        result = tie_to_parent(options->parent_pid, &parent_fd, &error);
    if (result == 0)
        result = open_flight(options->flight_fd, &flight, &error);
    if (result == 0)
        result = apply_limits(options, &error);
    if (result == 0 && options->sandbox) /* before plug-ins: a job may have put others in their place */
        result = confine_worker(options, &sandbox, &error);
    if (result == 0 && !registry) {
        registry = own = registry_create();
        result = own ? load_plugins(own, options, flight, &error)
                     : muster_error_set(&error, MUSTER_ENOMEM, "worker: out of memory");
    }
    if (result == 0 && options->sandbox)
        result = confine_check_threads(&error);
    if (result == 0) {
        confine_commands(options);
        command_init(slot_of(options->name), flight, options->sandbox);
        result = serve(options, parent_fd, registry, flight, sandbox, &error);
        command_fini();
    }
    if (result != 0)
        log_error("%s", error.text);
    crash_unwatch();
    sandbox_destroy(sandbox);
    registry_destroy(own);
    flight_unmap(flight);
    if (parent_fd >= 0)
        close(parent_fd);
    return result == 0 ? 0 : EXIT_TROUBLE;
}
