/* SPDX-License-Identifier: MIT
 *
 * Commands: the function `command`, which runs a program as a child of the worker and returns how it
 * ended, what it used and what it wrote. jobs/fn_command.c lists it for those who submit; only workers
 * run it, one command at a time in each, whatever else they run meanwhile.
 *
 * Its argument is a map:
 *   "argv"        [str...]: a program, found in PATH, and its arguments, without a shell; or
 *   "shell", "line"   str, str: SHELL -c LINE
 *   "stdin"       bin or str: its standard input; or an array of a path, and of one or two pairs of an
 *                 offset and a size: these ranges of that file; without it, /dev/null
 *   "as_file"     bool: that is no standard input, but a file whose path it has as PARALLEL_TMP
 *   "env"         [str...]: "NAME=VALUE", added to the worker's environment
 *   "only_env"    bool: it has these alone, and PARALLEL_JOBSLOT and MUSTER_WORKER, which are the worker's
 *   "dir"         str: its working directory
 *   "umask"       int: its mask of modes
 *   "ulimits"     [int or nil...]: its soft limits, by the number of the resource, as far as they can be
 *                 had; nil: as high as can be
 *   "nice"        int: added to its niceness
 *   "timeout"     seconds, after which it is ended with all that descends from it
 *   "termseq"     [int...]: a signal and milliseconds to wait, and so on; what then lives is killed.
 *                 Default: command_steps_usual
 *   "tries"       int: a command that fails, or is ended, runs again, so often in all; 0: until it
 *                 succeeds. The result is that of the last run
 *   "backoff"     seconds, COMMAND_BACKOFF_MAX_S at most, before it runs again after it failed, twice as many
 *                 each time; its worker waits
 *   "fails"       says nothing: stores of an older muster have it
 *   "pace"        str: where the pace of the run is shared (worker/pace.h); who submitted it may be gone
 *   "memory"      bytes, COMMAND_MEMORY_MIN at least: a limit of all its processes together, by a cgroup;
 *                 where there can be none, of each of them (RLIMIT_DATA)
 *   "file_size"   bytes, "cpu_time" seconds, "open_files": limits of each of its processes
 *   "privileges"  bool, default false: it may gain some, by set-user-ID programs
 *   "sandbox"     str: it is confined, as these words say, which sandbox_parse reads (base/sandbox.h)
 *   "tmpdir"      str: where files with its output are made; default: the coordinator's folder for them
 *                 (proto/spool.h), else $TMPDIR, or /tmp
 *   "files_in"    str: a folder, for this user alone, where those of them that have names are; made by the
 *                 first who needs it, in a folder that is there. Default: "tmpdir"
 *   "spill"       output above so many bytes is left in a file
 *   "stdout"      int: a descriptor that the worker has inherited: it writes there, and to the worker's
 *                 standard error; or
 *   "live"        [int, number]: a socket that the worker has inherited, SOCK_SEQPACKET: it writes into two
 *                 pipes, whose other ends are sent there first, in a struct command_live
 *   "label"       str: what is in the first of the pipes before anything else
 *   "shown", "told"   str: written before it starts, where it writes to; to the worker's standard error
 *   "note"        anything that who submits it wants to find there again
 * Members that the argument does not have are those of what all jobs of its batch have in common
 * (call->common), a map of the same; "env" is of both, the argument's own before. In "argv", "line", "env",
 * "label", "shown" and "told" the three bytes COMMAND_SLOT stand for the number of the worker, which the
 * command also has as PARALLEL_JOBSLOT.
 *
 * Its result is an array, whose places are enum command_place: exit status (-1: ended by a signal), signal
 * (0: none), start (CLOCK_REALTIME, seconds), wall time (ns), user and system CPU time (us), peak memory
 * (KiB: of its largest process, or more where a cgroup tells of all), flags, standard output, standard error,
 * and the layers of its sandbox, as sandbox_pack writes them; output and error
 * these are bin, or a str: the path of a file, which is the taker's to remove unless flags say else; with
 * "stdout" or "live" they are empty. A job whose command fails, or is ended, or may have lost output, has
 * failed, and has this result nonetheless; its text ends in the last line of standard error. One that failed
 * without a result could run no command.
 */
#ifndef MUSTER_WORKER_COMMAND_H
#define MUSTER_WORKER_COMMAND_H

#include "jobs/muster_job.h"
#include "jobs/registry.h"
#include "proto/flight.h"

#define COMMAND_SLOT "\1%\2"

enum {
    COMMAND_STEPS_MAX = 32,        /* signals of "termseq" */
    COMMAND_SPILL_BYTES = 1 << 20, /* where the job says nothing */
    COMMAND_BACKOFF_MAX_S = 3600,  /* of a pause between two runs */
    COMMAND_MEMORY_MIN = 8 << 20,  /* to execute takes up to 6 MiB of arguments, in the worker's memory */
    COMMAND_LABEL_MAX = 4 << 20,   /* the kernel lets a command have 2 MiB of arguments */
};

/* With it come, by SCM_RIGHTS, the ends of the pipes for standard output and standard error. */
struct command_live {
    uint64_t number;
    uint32_t slot, label_bytes;
};

/* The signals that end a command, and how long the effect of each is waited for. */
struct command_steps {
    size_t count;
    struct {
        int signal;
        uint32_t wait_ms;
    } steps[COMMAND_STEPS_MAX];
};

/* Where nothing else is asked for: what GNU parallel does. */
extern const struct command_steps command_steps_usual;

enum command_place {
    COMMAND_EXIT,
    COMMAND_SIGNAL,
    COMMAND_START,
    COMMAND_WALL,
    COMMAND_USER,
    COMMAND_SYSTEM,
    COMMAND_MEMORY,
    COMMAND_FLAGS,
    COMMAND_OUT,
    COMMAND_ERR,
    COMMAND_SANDBOX,
    COMMAND_PLACES,
};

enum command_flag {
    COMMAND_TIMED_OUT = 1,
    COMMAND_NOT_STARTED = 2,   /* exit status 127: not found, 126: any other reason; standard error has it */
    COMMAND_MEMORY_NEAR = 4,   /* it failed, and a process of it had come near its limit */
    COMMAND_CPU_LIMIT = 8,     /* it was ended by it */
    COMMAND_MEMORY_LIMIT = 16, /* the kernel killed some process of it for the limit of its cgroup; it counts
                                * as killed, whatever the others made of that */
    COMMAND_FILE_LIMIT = 32,   /* it was ended by it */
    COMMAND_NO_ROOM = 64,      /* its output may be cut short: the file system is full */
    COMMAND_GAVE_WAY = 128,    /* it was ended, and runs again: in no result */
    COMMAND_CUT = 256,         /* it was ended with the run, or did not begin: it has no outcome */
    COMMAND_SPOOLED = 512,     /* files with its output are the coordinator's, who removes them */
};

/* Which worker this is, from 1 on, and where the supervisor looks for the command that runs; borrowed,
 * may be NULL. Before the first command; one that is `confined` starts none. */
void command_init(unsigned slot, struct flight_page *flight, bool confined);

/* Removes what is left of files for output. */
void command_fini(void);

muster_function_run command_run;

/* As registry_find; `command` is the one that runs commands. */
const muster_function *command_find(const struct registry *registry, const char *name, size_t size);

/* Whether it is the one that command_find returns for `command`; NULL is not. */
bool command_is(const muster_function *function);

/* Before this process is killed: kills all that descends from it, if it has run commands, and keeps the
 * command that runs from having an outcome. Async-signal-safe. */
void command_kill_all(void);

#endif
