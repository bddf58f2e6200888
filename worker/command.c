/* SPDX-License-Identifier: MIT
 *
 * Runs commands, one at a time. See command.h.
 *
 * The worker is a child subreaper, so whatever descends from a command is the worker's descendant, in
 * whatever group or session: all of it can be found when a command has to end, and whether anything is
 * left of a command that ended can be told. What is left is left alone, but what it writes goes nowhere.
 */
#include "worker/command_input.h"
#include "worker/confine.h"

#include "base/clock.h"
#include "base/sandbox.h"
#include "base/tree.h"
#include "jobs/builtin.h"
#include "jobs/call.h"
#include "proto/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Left by earlier commands and living on; more of them are taken for the next command's when that
 * has to be ended. */
enum { STRAYS_MAX = 256 };

/* It failed and had so much of its memory limit: seven eighths. */
static const uint64_t NEAR_PARTS = 7, NEAR_OF = 8;

/* Of this process; of the thread that executes but for `used` and `ending`. */
static struct {
    unsigned slot;
    struct flight_page *flight; /* borrowed; may be NULL */
    atomic_bool used;           /* some command was run */
    atomic_bool ending;         /* this process is about to be killed */
    bool confined;
    int null_fd;
    char **environment; /* owned; the worker's, with the slot */
    char slot_variable[sizeof "PARALLEL_JOBSLOT=" + 16];
    char mark[FLIGHT_MARK_BYTES];
    struct command_output outputs[2]; /* standard output and error */
    pid_t strays[STRAYS_MAX];
    size_t stray_count;
} self = {.slot = 1, .null_fd = -1};

/* How a command ended. */
struct ended {
    double start_s;
    uint64_t wall_ns;
    int status; /* as of waitpid */
    struct rusage usage;
    uint64_t memory_kib;
    unsigned flags, layers; /* as of sandbox_pack */
};

void command_init(unsigned slot, struct flight_page *flight, bool confined)
{
    self.slot = slot;
    self.confined = confined;
    self.flight = flight;
}

static void close_outputs(void)
{
    for (int i = 0; i < 2; i++)
        command_output_close(&self.outputs[i]);
}

void command_fini(void)
{
    close_outputs();
    command_apart_fini();
    command_memory_leave();
    confine_no_more();
    if (self.null_fd >= 0)
        close(self.null_fd);
    self.null_fd = -1;
    command_pace_close();
    free(self.environment);
    self.environment = NULL;
    self.flight = NULL;
}

void command_kill_all(void)
{
    self.ending = true;
    if (!self.used)
        return;
    tree_kill(getpid(), NULL, 0);
    command_memory_remove();
}

static const muster_function command = {.name = "command", .run = command_run};

bool command_is(const muster_function *function)
{
    return function == &command;
}

const muster_function *command_find(const struct registry *registry, const char *name, size_t size)
{
    const muster_function *function = registry_find(registry, name, size);

    return function == &function_command ? &command : function;
}

/* Marks all that descends from commands of this worker. */
static void make_mark(void)
{
    uint64_t mark = clock_read_ns(CLOCK_REALTIME);

    flight_mark(getpid(), mark, self.mark);
    if (self.flight)
        atomic_store(&self.flight->command_mark, mark);
}

static char **make_environment(void)
{
    static const char *const own[] = {"PARALLEL_JOBSLOT=", "MUSTER_WORKER=", PROTO_SPOOL_VARIABLE "="};
    size_t count = 0, kept = COMMAND_OWN_VARIABLES;
    char **environment;

    while (environ[count])
        count++;
    environment = calloc(count + 3, sizeof *environment);
    if (!environment)
        return NULL;
    make_mark();
    snprintf(self.slot_variable, sizeof self.slot_variable, "PARALLEL_JOBSLOT=%u", self.slot);
    environment[0] = self.slot_variable;
    environment[1] = self.mark;
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], own[0], strlen(own[0])) != 0 &&
            strncmp(environ[i], own[1], strlen(own[1])) != 0 &&
            strncmp(environ[i], own[2], strlen(own[2])) != 0)
            environment[kept++] = environ[i];
    return environment;
}

/* Before the first command, and none later. 0, or fails the call. */
static int prepare(muster_call *call)
{
    if (!self.environment && !(self.environment = make_environment()))
        return muster_call_fail(call, "command: out of memory");
    if (self.null_fd < 0) {
        self.null_fd = command_above_standard(open("/dev/null", O_RDWR | O_CLOEXEC));
        if (self.null_fd < 0)
            return muster_call_fail(call, "command: cannot open /dev/null: %s", strerror(errno));
    }
    if (!self.used && prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
        return muster_call_fail(call, "command: cannot keep hold of processes: %s", strerror(errno));
    self.used = true;
    return 0;
}

/* --- its files */

/* What is shared with others one of them may have made non-blocking. */
int command_write_all(int fd, const char *bytes, size_t size)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    while (size > 0) {
        ssize_t more = TEMP_FAILURE_RETRY(write(fd, bytes, size));

        if (more < 0 && errno != EAGAIN)
            return -1;
        if (more < 0) {
            (void)poll(&room, 1, -1);
            continue;
        }
        bytes += more;
        size -= (size_t)more;
    }
    return 0;
}

/* Whether what it writes becomes a part of its result. */
static bool is_kept(const struct command_spec *spec)
{
    return spec->out_fd < 0 && spec->live_fd < 0;
}

/* For standard output and standard error. *ret_cut: there are none, for the run ends. */
static int open_outputs(muster_call *call, const struct command_spec *spec, int ret_fds[2], bool *ret_cut)
{
    uint64_t batch = spec->spooled && self.flight ? atomic_load(&self.flight->batch) : 0;
    int code;

    if (spec->out_fd >= 0)
        return command_live_inherit(call, spec, ret_fds);
    if (spec->live_fd >= 0)
        return command_live_open(call, spec, self.slot, ret_fds);
    if (spec->tmpdir_fd >= 0 && command_inherited(call, spec->tmpdir_fd) != 0)
        return MUSTER_JOB_FAILED;
    code = command_outputs_open(call, self.outputs, spec, batch, ret_cut);
    for (int i = 0; i < 2 && code == 0 && !*ret_cut; i++) {
        ret_fds[i] = self.outputs[i].fd;
        code = command_output_await_room(call, &self.outputs[i]);
    }
    return code;
}

/* --- its processes */

/* Takes the dead that were left to this process. Returns whether any of its children live; they are
 * strays from now on. */
static bool reap(void)
{
    pid_t pid;

    do
        pid = waitpid(-1, NULL, WNOHANG);
    while (pid > 0);
    self.stray_count = pid == 0 ? tree_children(getpid(), self.strays, STRAYS_MAX) : 0;
    return pid == 0;
}

static void note_command(pid_t pid)
{
    if (self.flight)
        atomic_store_explicit(&self.flight->command, (uint32_t)pid, memory_order_release);
}

/* Waits for the end of a command that was started. 0, or MUSTER_ECANCELLED. */
static int wait_for(muster_call *call, const struct command_spec *spec, struct command_input *input,
                    const struct command_child *child, struct ended *ended)
{
    const struct command_strays strays = {self.strays, self.stray_count};
    enum command_verdict verdict = COMMAND_HAS_ENDED;

    if (child->error == 0)
        verdict = command_await(call, spec, input, child, &strays);
    if (verdict != COMMAND_HAS_ENDED)
        command_end(spec, child, &strays);
    if (verdict == COMMAND_IS_LATE)
        ended->flags |= COMMAND_TIMED_OUT;
    if (verdict == COMMAND_IS_CUT)
        ended->flags |= COMMAND_CUT;
    if (verdict == COMMAND_GIVES_WAY)
        ended->flags |= COMMAND_GAVE_WAY;
    if (TEMP_FAILURE_RETRY(wait4(child->pid, &ended->status, 0, &ended->usage)) != child->pid)
        ended->status = 255 << 8; /* somebody else has taken it */
    while (self.ending)
        pause(); /* no outcome: it did not end by itself, but was killed with this process */
    close(child->pidfd);
    return verdict == COMMAND_IS_CANCELLED ? MUSTER_ECANCELLED : 0;
}

static uint64_t micros(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

/* Of itself, or, as shells tell it, of the last it started. */
static bool died_by(const struct ended *ended, int signal)
{
    return (WIFSIGNALED(ended->status) && WTERMSIG(ended->status) == signal) ||
           (WIFEXITED(ended->status) && WEXITSTATUS(ended->status) == 128 + signal);
}

static void note_limits(const struct command_spec *spec, struct ended *ended)
{
    uint64_t cpu_us = micros(&ended->usage.ru_utime) + micros(&ended->usage.ru_stime);

    if (spec->cpu_time_s != UINT64_MAX &&
        (died_by(ended, SIGXCPU) || (died_by(ended, SIGKILL) && cpu_us / 1000000 >= spec->cpu_time_s)))
        ended->flags |= COMMAND_CPU_LIMIT;
    if (spec->file_bytes != UINT64_MAX && died_by(ended, SIGXFSZ))
        ended->flags |= COMMAND_FILE_LIMIT;
}

/* What it used, and whether that was too much. */
static void note_memory(const struct command_spec *spec, struct ended *ended)
{
    uint64_t kills = 0;

    ended->memory_kib = (uint64_t)ended->usage.ru_maxrss;
    if (spec->grouped) {
        uint64_t peak_kib = command_memory_end(&kills) / 1024;

        ended->memory_kib = peak_kib > ended->memory_kib ? peak_kib : ended->memory_kib;
    } else if (spec->memory_bytes != UINT64_MAX && ended->status != 0 &&
               ended->memory_kib * 1024 >= spec->memory_bytes / NEAR_OF * NEAR_PARTS) {
        ended->flags |= COMMAND_MEMORY_NEAR;
    }
    if (kills > 0) {
        ended->flags |= COMMAND_MEMORY_LIMIT;
        ended->status = SIGKILL;
    }
}

/* What it was confined by: 0 if by nothing. */
static unsigned pack_layers(const struct sandbox *sandbox, const struct command_spec *spec)
{
    struct sandbox_layers layers;

    if (!sandbox)
        return 0;
    layers = *sandbox_layers(sandbox);
    if (spec->memory_bytes != UINT64_MAX)
        layers.memory = spec->grouped ? SANDBOX_CGROUP : SANDBOX_RLIMIT;
    return sandbox_pack(&layers);
}

/* Gets what is to confine it, if it is to be: as late as can be, for what is left out is as it is now. 0, or
 * fails the call. */
static int confine(muster_call *call, const struct command_spec *spec, const int fds[3],
                   const struct sandbox **ret_sandbox)
{
    struct muster_error refused;

    if (spec->sandbox &&
        confine_command(spec, fds, is_kept(spec) ? self.outputs[0].apart_fd : -1, ret_sandbox, &refused) != 0)
        return muster_call_fail(call, "command: %s", refused.text);
    return 0;
}

/* One that the end of its run kept from beginning. */
static const struct ended cut_short = {.status = SIGTERM, .flags = COMMAND_CUT};

/* Runs it, from its files on. */
static int run(muster_call *call, struct command_spec *spec, struct command_input *input, const int fds[3],
               struct ended *ret_ended)
{
    struct ended ended = {.flags = 0};
    const struct sandbox *sandbox = NULL;
    struct command_child child;
    uint64_t began_ns;
    bool cut;
    int error, code = 0;

    code = command_pace_begin(call, spec->begin_ns, &cut);
    if (cut)
        *ret_ended = cut_short;
    if (code != 0 || cut)
        return code;
    code = confine(call, spec, fds, &sandbox);
    if (code != 0) {
        command_pace_end();
        return code;
    }
    ended.start_s = (double)clock_read_ns(CLOCK_REALTIME) / (double)CLOCK_NS_PER_S;
    began_ns = clock_now_ns();
    spec->grouped = command_memory_begin(spec->memory_bytes);
    error = command_start(spec, fds, sandbox, &child);
    if (error) {
        command_pace_end();
        return muster_call_fail(call, "command: cannot make a process: %s", strerror(error));
    }
    note_command(child.pid);
    code = wait_for(call, spec, input, &child, &ended);
    note_command(0);
    command_pace_end();
    ended.wall_ns = clock_now_ns() - began_ns;
    if (child.error) {
        ended.flags |= COMMAND_NOT_STARTED;
        ended.status = command_refused(spec, &child, fds[STDERR_FILENO]) << 8;
    } else {
        note_limits(spec, &ended);
    }
    note_memory(spec, &ended);
    ended.layers = pack_layers(sandbox, spec);
    *ret_ended = ended;
    return code;
}

/* --- its result */

static msgpack_object integer(int64_t number)
{
    msgpack_object object = {.type = number < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER
                                                : MSGPACK_OBJECT_POSITIVE_INTEGER};

    object.via.i64 = number;
    return object;
}

static int take_result(muster_call *call, const struct command_spec *spec, const struct ended *ended,
                       msgpack_object *ret_result)
{
    int signal = WIFSIGNALED(ended->status) ? WTERMSIG(ended->status) : 0, code = 0;
    unsigned flags = ended->flags;
    msgpack_object *places = msgpack_zone_malloc(call->zone, COMMAND_PLACES * sizeof *places);

    if (!places)
        return muster_call_fail(call, "command: out of memory");
    for (int i = 0; i < 2; i++)
        places[COMMAND_OUT + i] = (msgpack_object){.type = MSGPACK_OBJECT_BIN};
    for (int i = 0; i < 2 && self.outputs[i].made; i++)
        flags |= command_output_is_cut(&self.outputs[i], ended->status != 0) ? COMMAND_NO_ROOM : 0;
    for (int i = 0; i < 2 && code == 0 && self.outputs[i].made; i++)
        code = command_output_take(call, &self.outputs[i], spec->spill_bytes, &places[COMMAND_OUT + i]);
    for (int i = 0; i < 2; i++)
        if (spec->spooled && places[COMMAND_OUT + i].type == MSGPACK_OBJECT_STR)
            flags |= COMMAND_SPOOLED;
    if (code != 0) {
        if (places[COMMAND_OUT].type == MSGPACK_OBJECT_STR)
            unlink(places[COMMAND_OUT].via.str.ptr); /* nobody will */
        return code;
    }
    places[COMMAND_EXIT] = integer(signal ? -1 : WEXITSTATUS(ended->status));
    places[COMMAND_SIGNAL] = integer(signal);
    places[COMMAND_START].type = MSGPACK_OBJECT_FLOAT64;
    places[COMMAND_START].via.f64 = ended->start_s;
    places[COMMAND_WALL] = integer((int64_t)ended->wall_ns);
    places[COMMAND_USER] = integer((int64_t)micros(&ended->usage.ru_utime));
    places[COMMAND_SYSTEM] = integer((int64_t)micros(&ended->usage.ru_stime));
    places[COMMAND_MEMORY] = integer((int64_t)ended->memory_kib);
    places[COMMAND_FLAGS] = integer(flags);
    places[COMMAND_SANDBOX] = integer(ended->layers);
    ret_result->type = MSGPACK_OBJECT_ARRAY;
    ret_result->via.array.ptr = places;
    ret_result->via.array.size = COMMAND_PLACES;
    return ended->status != 0 || (flags & COMMAND_NO_ROOM) ? command_fail_job(call, places) : 0;
}

/* The number of the run that follows this one, 0: none. One that failed waits, and longer each time. */
static uint64_t next_run(struct command_spec *spec, const struct ended *ended, uint64_t run)
{
    if (ended->flags & COMMAND_GAVE_WAY)
        return run;
    if (ended->status == 0 || run == spec->tries || (ended->flags & COMMAND_CUT))
        return 0;
    if (spec->backoff_s > 0)
        spec->begin_ns = call_deadline(spec->backoff_s);
    spec->backoff_s = fmin(2 * spec->backoff_s, COMMAND_BACKOFF_MAX_S);
    return run + 1;
}

/* Its run number *run_number, from 1 on, which becomes the number of the next, 0: there is none. Ensures: its
 * files are closed. */
static int run_with_files(muster_call *call, struct command_spec *spec, uint64_t *run_number,
                          msgpack_object *ret_result)
{
    struct command_input input;
    struct ended ended = cut_short;
    int fds[3] = {-1, -1, -1}, code;
    bool cut = false;

    code = command_input_open(call, spec, self.null_fd, &input);
    if (code != 0)
        return code;
    fds[STDIN_FILENO] = input.given;
    code = open_outputs(call, spec, &fds[STDOUT_FILENO], &cut);
    if (code == 0 && !cut)
        code = command_live_show(call, spec, fds[STDOUT_FILENO]);
    if (code == 0 && !cut)
        code = run(call, spec, &input, fds, &ended);
    if (spec->live_fd >= 0)
        command_live_close(&fds[STDOUT_FILENO]);
    if (code == 0)
        code = command_input_check(call, spec, &input);
    command_input_close(&input);
    if (code == 0) {
        *run_number = next_run(spec, &ended, *run_number);
        code = *run_number > 0 ? 0 : take_result(call, spec, &ended, ret_result);
    }
    close_outputs();
    if (reap() && spec->grouped)
        command_memory_leave();
    return code;
}

int command_run(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    struct command_spec spec;
    uint64_t run_number = 1;
    int code;

    if (self.confined)
        return muster_call_fail(call,
                                "command: this worker is confined by --sandbox, and starts no programs: "
                                "muster exec --sandbox confines those that other workers start");
    code = prepare(call);
    if (code == 0)
        code = command_spec_read(call, argument, self.slot, self.environment, &spec);
    if (code == 0)
        code = command_pace_open(call, spec.pace, self.slot);
    if (code != 0)
        return code;
    while (run_number > 0 && code == 0)
        code = run_with_files(call, &spec, &run_number, ret_result);
    return code;
}
