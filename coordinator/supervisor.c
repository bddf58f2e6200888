/* SPDX-License-Identifier: MIT
 *
 * Worker processes: launched, watched, buried. See supervisor.h.
 */
#include "coordinator/supervisor_internal.h"

#include "base/cgroup.h"
#include "base/clock.h"
#include "base/cores.h"
#include "base/tree.h"
#include "coordinator/fault.h"
#include "proto/heapfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* How long workers get to end by themselves at the end. */
static const uint64_t AWAIT_NS = 500 * CLOCK_NS_PER_MS;

int supervisor_create(const struct supervisor_options *options, struct supervisor **ret_supervisor,
                      struct muster_error *ret_error)
{
    struct supervisor *supervisor = calloc(1, sizeof *supervisor);
    int error;

    if (!supervisor)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "supervisor: out of memory");
    supervisor->options = *options;
    supervisor->epoll_fd = supervisor->folder_fd = -1;
    supervisor->spawner = (struct spawner){
        .launcher = {.ops = &spawner_ops},
        .program = options->program,
        .plugins = options->plugins,
        .plugin_count = options->plugin_count,
        .kept = options->kept,
        .kept_count = options->kept_count,
        .memory_bytes = options->memory_bytes,
        .sandbox = options->sandbox,
        .concurrency = options->concurrency,
        .orphan_grace_ns = options->orphan_grace_ns,
        .tied = options->tied,
    };
    spawner_open(&supervisor->spawner);
    error = supervisor->spawner.error;
    if (!options->launcher && (error == EMFILE || error == ENFILE || error == ENOMEM)) { /* not for ever */
        supervisor_destroy(supervisor);
        return muster_error_system(ret_error, error, "cannot start workers (%s)", options->program);
    }
    supervisor->launcher = options->launcher ? options->launcher : &supervisor->spawner.launcher;
    supervisor->children = calloc(options->workers, sizeof *supervisor->children);
    supervisor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    supervisor->folder_fd = options->folder ? open(options->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (supervisor->children && supervisor->epoll_fd >= 0 &&
        (!options->folder || supervisor->folder_fd >= 0)) {
        *ret_supervisor = supervisor;
        return 0;
    }
    error = supervisor->children ? errno : ENOMEM;
    supervisor_destroy(supervisor);
    return muster_error_system(ret_error, error, "cannot watch worker processes");
}

/* --- what dead workers leave */

static void give_up(struct supervisor *supervisor, unsigned i)
{
    heapfile_close(supervisor->legacies[i]);
    supervisor->legacy_count--;
    memmove(&supervisor->legacies[i], &supervisor->legacies[i + 1],
            (supervisor->legacy_count - i) * sizeof *supervisor->legacies);
    supervisor->gave_up = true;
}

static void give_up_taken(struct supervisor *supervisor)
{
    unsigned i = 0;

    while (i < supervisor->legacy_count)
        if (heapfile_is_taken(supervisor->legacies[i]))
            give_up(supervisor, i);
        else
            i++;
}

/* Those before the first worker are none of its: they are counted while it starts. */
static void count_kills(struct supervisor *supervisor)
{
    if (!supervisor->counts_kills && supervisor->alive > 0) {
        supervisor->kills = cgroup_kills();
        supervisor->counts_kills = true;
    }
}

bool supervisor_settle(struct supervisor *supervisor)
{
    bool gave_up;

    count_kills(supervisor);
    give_up_taken(supervisor);
    gave_up = supervisor->gave_up;
    supervisor->gave_up = false;
    return gave_up;
}

/* Keeps the file while there is something in it that was sent and not taken. */
static void leave(struct supervisor *supervisor, int heap_fd)
{
    size_t bytes = 0;

    if (supervisor->legacy_count == LEGACIES_MAX)
        give_up(supervisor, 0);
    supervisor->legacies[supervisor->legacy_count++] = heap_fd;
    give_up_taken(supervisor);
    for (unsigned i = supervisor->legacy_count; i > 0; i--) {
        bytes += heapfile_memory(supervisor->legacies[i - 1]);
        if (bytes > LEGACY_BYTES_MAX && i < supervisor->legacy_count)
            give_up(supervisor, i - 1);
    }
}

/* --- workers */

void supervisor_file(const char *name, char ret_file[SUPERVISOR_FILE_BYTES])
{
    snprintf(ret_file, SUPERVISOR_FILE_BYTES, "%s.flight", name);
}

/* Closing a descriptor takes it out of the epoll set only when no copy of it is left, and a
 * worker that is being spawned has copies of all of them until its exec is over. */
void supervisor_release(struct supervisor *supervisor, struct child *child)
{
    char file[SUPERVISOR_FILE_BYTES];

    if (child->pidfd >= 0) {
        epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_DEL, child->pidfd, NULL);
        close(child->pidfd);
    }
    if (child->flight_fd >= 0)
        close(child->flight_fd);
    if (child->flight && supervisor->folder_fd >= 0) {
        supervisor_file(child->name, file);
        unlinkat(supervisor->folder_fd, file, 0);
    }
    if (child->heap_fd >= 0)
        leave(supervisor, child->heap_fd);
    flight_unmap(child->flight);
    *child = (struct child){.pid = 0};
}

int supervisor_watch(struct supervisor *supervisor, const struct child *child, unsigned slot)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = slot};

    if (epoll_ctl(supervisor->epoll_fd, EPOLL_CTL_ADD, child->pidfd, &event) != 0)
        return errno;
    supervisor->alive++;
    return 0;
}

/* One that cannot be watched must not run. */
static int watch(struct supervisor *supervisor, struct child *child, unsigned slot,
                 struct muster_error *ret_error)
{
    int error = supervisor_watch(supervisor, child, slot), status;
    struct rusage usage;

    if (error == 0)
        return 0;
    kill(-child->pid, SIGKILL);
    (void)supervisor->launcher->ops->collect(supervisor->launcher, child->pid, &status, &usage);
    return muster_error_system(ret_error, error, "cannot watch a worker");
}

static int create_flight(const struct supervisor *supervisor, struct child *child)
{
    char file[SUPERVISOR_FILE_BYTES];
    int result;

    if (supervisor->folder_fd < 0)
        return flight_create(&child->flight_fd, &child->flight);
    supervisor_file(child->name, file);
    result = flight_create_file(supervisor->folder_fd, file, &child->flight_fd, &child->flight);
    if (result == 0)
        atomic_store(&child->flight->make, supervisor_make(supervisor));
    return result;
}

int supervisor_spawn(struct supervisor *supervisor, unsigned slot, const char *name, int slots_fd,
                     int bell_fd, struct muster_error *ret_error)
{
    const struct supervisor_options *options = &supervisor->options;
    struct child *child = &supervisor->children[slot - 1];
    struct launch launch = {.endpoint = options->endpoint,
                            .name = name,
                            .slots_fd = slots_fd,
                            .bell_fd = bell_fd,
                            .heap_fd = -1,
                            .cpu = -1};
    int cpu, result = 0;

    assert(child->pid == 0);
    *child = (struct child){.pidfd = -1, .flight_fd = -1, .heap_fd = -1};
    memcpy(child->name, name, strnlen(name, PROTO_PEER_NAME_MAX));
    if (create_flight(supervisor, child) != 0)
        result = muster_error_system(ret_error, errno, "cannot start a worker: no flight recorder");
    launch.flight_fd = child->flight_fd;
    if (options->lends && heapfile_create(heapfile_fit(options->memory_bytes), &child->heap_fd) == 0)
        launch.heap_fd = child->heap_fd; /* where it cannot be had, results go in messages */
    if (options->pin && cores_nth(slot - 1, &cpu) == 0)
        launch.cpu = cpu;
    if (result == 0)
        result = supervisor->launcher->ops->spawn(supervisor->launcher, &launch, &child->pid, &child->pidfd,
                                                  ret_error);
    if (result == 0)
        result = watch(supervisor, child, slot, ret_error);
    if (result != 0)
        supervisor_release(supervisor, child);
    return result;
}

/* Before the group dies all that descends from a command that the worker runs, which is in groups of its
 * own: the worker is stopped, so that no more comes, and what dies leaves its children to it. One that is no
 * child of ours may have been reaped, and its number may be another's by now. */
void supervisor_kill_child(const struct child *child)
{
    if (child->adopted && pidfd_send_signal(child->pidfd, 0, NULL, 0) != 0)
        return;
    if (atomic_load(&child->flight->command) != 0) {
        kill(child->pid, SIGSTOP);
        tree_kill(child->pid, NULL, 0);
    }
    kill(-child->pid, SIGKILL);
}

void supervisor_kill(struct supervisor *supervisor, unsigned slot)
{
    struct child *child = &supervisor->children[slot - 1];

    if (!child->pid)
        return;
    child->killed = true;
    supervisor_kill_child(child);
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

/* Where in its life it was, when that was no time for jobs. */
static void add_phase(const struct supervisor *supervisor, uint32_t phase, uint32_t detail,
                      struct worker_exit *exit)
{
    size_t used = strlen(exit->reason), room = sizeof exit->reason - used;

    if (phase == FLIGHT_STARTING)
        snprintf(exit->reason + used, room, " before it was ready for jobs");
    else if (phase == FLIGHT_LOADING && detail < supervisor->options.plugin_count)
        snprintf(exit->reason + used, room, " while it loaded the plug-in %s",
                 supervisor->options.plugins[detail]);
    else if (phase == FLIGHT_STOPPING)
        snprintf(exit->reason + used, room, " as it stopped");
}

/* What the flight recorder of a dead worker says. A verdict stands, whatever the worker did
 * before the kill reached it. */
static void read_flight(const struct supervisor *supervisor, const struct flight_page *page,
                        struct worker_exit *exit)
{
    uint64_t position = atomic_load(&page->position);
    uint32_t phase = atomic_load(&page->phase), progress = atomic_load(&page->progress);
    uint32_t verdict = atomic_load(&page->verdict);
    uint32_t detail = atomic_load(&page->detail); /* once: what a job left behind may still write there */

    exit->timed_out = verdict == FLIGHT_TIMED_OUT;
    exit->executing = verdict != FLIGHT_NO_VERDICT || ((position & 1) != 0 && phase == FLIGHT_RUNNING);
    exit->chunk = atomic_load(verdict != FLIGHT_NO_VERDICT ? &page->verdict_chunk : &page->chunk);
    exit->index = verdict != FLIGHT_NO_VERDICT ? atomic_load(&page->verdict_index) : position >> 1;
    if (exit->chunk == atomic_load(&page->chunk)) { /* else nothing says of which batch it was */
        exit->batch = atomic_load(&page->batch);
        exit->attempt = atomic_load(&page->attempt);
    }
    if (exit->executing && position == (exit->index << 1 | 1) && progress <= 1000)
        exit->progress = progress;
    if (verdict == FLIGHT_OVERFLOW)
        snprintf(exit->reason, sizeof exit->reason,
                 "it overflowed the %u KiB stack that a job has under --concurrency", detail);
    if (!exit->executing)
        add_phase(supervisor, phase, detail, exit);
}

/* What is left of the command that a dead worker ran, which died with it itself. */
static void end_command(const struct child *child)
{
    uint64_t mark = atomic_load(&child->flight->command_mark);
    char variable[FLIGHT_MARK_BYTES];

    if (mark == 0)
        return;
    /* It may have died after it started a command and before it could say so: then a job is told of alone. */
    if (atomic_load(&child->flight->command) != 0 || (atomic_load(&child->flight->position) & 1) != 0) {
        flight_mark(child->pid, mark, variable);
        tree_kill_marked(variable);
    }
}

/* Whether the kernel may have killed it for lack of memory, which nobody but its cgroup tells. */
static void add_kill(struct supervisor *supervisor, const struct child *child, int status,
                     struct worker_exit *exit)
{
    uint64_t before = supervisor->kills;
    size_t used = strlen(exit->reason);

    if (!supervisor->counts_kills || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL || child->killed ||
        atomic_load(&child->flight->verdict) != FLIGHT_NO_VERDICT)
        return;
    supervisor->kills = cgroup_kills();
    if (supervisor->kills > before)
        snprintf(exit->reason + used, sizeof exit->reason - used,
                 "; meanwhile the kernel killed for lack of memory (oom_kill of its cgroup)");
}

/* Where it crashed, if it was that which ended it. */
static void add_fault(struct supervisor *supervisor, const struct flight_page *page, int status,
                      struct worker_exit *exit)
{
    const struct fault_files files = {.program = supervisor->options.program,
                                      .program_fd =
                                          supervisor->nameless ? -1 : supervisor->spawner.program_fd,
                                      .plugins = supervisor->options.plugins,
                                      .plugin_count = supervisor->options.plugin_count,
                                      .meanwhile = supervisor->options.meanwhile,
                                      .context = supervisor->options.context};
    char text[FAULT_TEXT_BYTES];
    size_t used = strlen(exit->reason);

    if (!WIFSIGNALED(status) || (uint32_t)WTERMSIG(status) != atomic_load(&page->fault_signal))
        return;
    exit->faulted = true;
    supervisor->nameless |= !fault_describe(page, &files, text);
    snprintf(exit->reason + used, sizeof exit->reason - used, "%s", text);
}

/* Buries what is left of the group, which outlives its leader until that is reaped, and says how it ended.
 * A worker that was dead when it was adopted may have been reaped long ago: its number, and its group's,
 * may be another's. */
static void collect(struct supervisor *supervisor, const struct child *child, struct worker_exit *exit)
{
    struct rusage usage;
    int status = -1;

    if (!child->adopted || pidfd_send_signal(child->pidfd, 0, NULL, 0) == 0)
        kill(-child->pid, SIGKILL);
    end_command(child);
    if (child->adopted) {
        snprintf(exit->reason, sizeof exit->reason,
                 "an end of which nobody knows how, since its coordinator had died");
    } else if (supervisor->launcher->ops->collect(supervisor->launcher, child->pid, &status, &usage) != 0) {
        snprintf(exit->reason, sizeof exit->reason, "an end that nobody saw");
    } else {
        describe_status(status, &usage, exit->reason, sizeof exit->reason);
        add_fault(supervisor, child->flight, status, exit);
        add_kill(supervisor, child, status, exit);
    }
    if (status != 0 && atomic_load(&child->flight->command_mark) != 0)
        cgroup_sweep(); /* one that ended in order has removed its own */
}

int supervisor_reap(struct supervisor *supervisor, struct worker_exit *ret_exit)
{
    struct epoll_event event;
    struct worker_exit exit = {0};
    struct child *child;

    if (epoll_wait(supervisor->epoll_fd, &event, 1, 0) != 1)
        return MUSTER_EAGAIN;
    child = &supervisor->children[event.data.u32 - 1];
    assert(child->pid > 0); /* 0 would be this process's own group */
    exit.slot = event.data.u32;
    exit.killed = child->killed;
    collect(supervisor, child, &exit);
    read_flight(supervisor, child->flight, &exit);
    supervisor_release(supervisor, child);
    supervisor->alive--;
    *ret_exit = exit;
    return 0;
}

unsigned supervisor_alive(const struct supervisor *supervisor)
{
    return supervisor->alive;
}

void supervisor_await(struct supervisor *supervisor)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), AWAIT_NS);
    struct pollfd item = {.fd = supervisor_fd(supervisor), .events = POLLIN};
    struct worker_exit exit;

    while (supervisor_alive(supervisor) > 0) {
        uint64_t now_ns = clock_now_ns();

        if (now_ns >= deadline_ns ||
            (poll(&item, 1, clock_poll_ms(now_ns, deadline_ns)) < 0 && errno != EINTR))
            return; /* supervisor_destroy kills the rest */
        while (supervisor_reap(supervisor, &exit) == 0) {
        }
    }
}

void supervisor_await_end(const struct supervisor *supervisor, const struct child *child)
{
    enum { MOMENT_MS = 2000 };
    struct pollfd item = {.fd = child->pidfd, .events = POLLIN};
    struct rusage usage;
    int status;

    if (child->adopted)
        TEMP_FAILURE_RETRY(poll(&item, 1, MOMENT_MS));
    else
        (void)supervisor->launcher->ops->collect(supervisor->launcher, child->pid, &status, &usage);
}

void supervisor_destroy(struct supervisor *supervisor)
{
    bool commands = false;

    if (!supervisor)
        return;
    for (unsigned i = 0; supervisor->children && i < supervisor->options.workers; i++) {
        struct child *child = &supervisor->children[i];

        if (child->pid == 0)
            continue;
        commands |= atomic_load(&child->flight->command_mark) != 0;
        supervisor_kill_child(child);
        supervisor_await_end(supervisor, child);
        supervisor_release(supervisor, child);
    }
    if (commands)
        cgroup_sweep();
    while (supervisor->legacy_count > 0)
        give_up(supervisor, supervisor->legacy_count - 1);
    if (supervisor->epoll_fd >= 0)
        close(supervisor->epoll_fd);
    if (supervisor->folder_fd >= 0)
        close(supervisor->folder_fd);
    spawner_close(&supervisor->spawner);
    free(supervisor->children);
    free(supervisor);
}
