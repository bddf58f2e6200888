/* SPDX-License-Identifier: MIT
 *
 * Commands from inside: what the files of worker/command.h share. command.c has the life of one;
 * command_spec.c reads what is asked for; command_pace.c knows when; command_start.c starts the program and
 * command_refused.c says why it could not; command_end.c ends it; command_memory.c limits its memory;
 * command_output.c keeps what it writes, with command_apart.c, and command_live.c lets it go at once.
 */
#ifndef MUSTER_WORKER_COMMAND_INTERNAL_H
#define MUSTER_WORKER_COMMAND_INTERNAL_H

#include "worker/command.h"

#include <limits.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

enum {
    COMMAND_RANGES_MAX = 2,
    COMMAND_FILE_VARIABLE_BYTES = 64,
    COMMAND_OWN_VARIABLES = 2, /* of the environment: those that the worker sets for each command */
};

struct command_range {
    uint64_t offset, size;
};

/* What is to be run. All is borrowed from the argument, the call's zone or the environment. */
struct command_spec {
    char **words; /* NULL-terminated; there is room for one more word in front */
    char **environment;
    const char *dir; /* NULL: the worker's */
    const void *input;
    size_t input_bytes;
    bool has_input;
    const char *input_path; /* of the file, of which it reads these; NULL: none */
    struct command_range ranges[COMMAND_RANGES_MAX];
    unsigned range_count;
    char *file_variable; /* in `environment`, for the path of a file with its input; NULL: is not wanted */
    int64_t nice;
    double timeout_s;                                          /* negative: none */
    const char *pace;                                          /* NULL: none */
    uint64_t tries;                                            /* 0: until it succeeds */
    double backoff_s;                                          /* from its end to its next run */
    uint64_t begin_ns;                                         /* that of its next run, 0: at once */
    struct command_steps steps;                                /* that end it */
    uint64_t memory_bytes, cpu_time_s, open_files, file_bytes; /* UINT64_MAX: no limit */
    int64_t umask;                                             /* -1: the worker's */
    uint64_t ulimits[RLIM_NLIMITS]; /* soft limits, ulimit_count of them; UINT64_MAX: as high as can be */
    unsigned ulimit_count;
    bool privileges;
    unsigned sandbox;              /* as in base/sandbox.h; 0: none */
    bool grouped;                  /* `memory_bytes` is the limit of a cgroup, not of each process */
    const char *tmpdir, *files_in; /* `files_in`: NULL where it is the same */
    int tmpdir_fd;                 /* of `tmpdir`, of a confined command; -1: it is not known */
    bool spooled;                  /* which is the coordinator's: what is left there stays its own */
    uint64_t spill_bytes;
    int out_fd;  /* -1: output is kept, or live */
    int live_fd; /* -1: it is not live */
    uint64_t live_number;
    const char *label, *shown, *told; /* NULL: none */
    size_t label_bytes, shown_bytes, told_bytes;
};

/* Reads a job's argument. `environment` is the worker's, NULL-terminated. 0, or fails the call. */
int command_spec_read(muster_call *call, const msgpack_object *argument, unsigned slot, char **environment,
                      struct command_spec *ret_spec);

/* Fails the call for a command that did not succeed, by the places of its result, which the job has
 * nonetheless: returns CALL_FAILED_VALUED. */
int command_fail_job(muster_call *call, const msgpack_object *places);

/* A program that was started, or not. */
struct sandbox; /* base/sandbox.h */

struct command_child {
    pid_t pid;
    int pidfd;         /* close-on-exec; the caller's */
    int error;         /* errno: it could not be started, and has ended */
    const char *stage; /* what failed then; NULL: to execute it */
    const char *about; /* with what; may be NULL */
};

/* Starts it as the leader of a session of its own, with these as its standard input, output and error, no
 * other descriptor of the worker's, default signals, and SIGKILL when the calling thread ends; confined, if
 * there is a sandbox, and then with no other descriptor at all. 0, or an errno when there could be no process
 * at all. Child and caller are apart when it returns. */
int command_start(const struct command_spec *spec, const int fds[3], const struct sandbox *sandbox,
                  struct command_child *ret_child);

/* Says there why it could not be started. Returns the exit status that a shell would have for it. */
int command_refused(const struct command_spec *spec, const struct command_child *child, int err_fd);

/* Processes that are left of earlier commands. */
struct command_strays {
    const pid_t *pids;
    size_t count;
};

/* Sends a signal (0: none) to all that descends from the command but is no stray. Returns how many there
 * were. */
size_t command_signal(pid_t pid, const struct command_strays *strays, int signal);

/* Ends all that descends from the command: by the signals of the spec, which one that is stopped sees too,
 * and what then lives by force. The command itself is not reaped. */
void command_end(const struct command_spec *spec, const struct command_child *child,
                 const struct command_strays *strays);

/* Makes the worker's cgroup ready for a command with this memory limit (UINT64_MAX: none). Returns whether
 * the command is to join it; if not, there is no limit or no cgroup can be had. */
bool command_memory_begin(uint64_t bytes);

/* In the process that becomes the command. 0, or -1 with errno set. */
int command_memory_join(void);

/* When the command has ended: at least so many bytes were used at once by all of it, and so many of its
 * processes were killed for the limit. */
uint64_t command_memory_end(uint64_t *ret_kills);

/* The cgroup is not used again: it is removed, or left to what is still in it. */
void command_memory_leave(void);

/* Removes the cgroup of a worker that is about to end. Async-signal-safe. */
void command_memory_remove(void);

/* The run's pace at `path`, until another is asked for; NULL: none. 0, or fails the call. */
int command_pace_open(muster_call *call, const char *path, unsigned slot);
void command_pace_close(void);

/* Waits until a command may begin, not before `begin_ns`, which others can see then, until command_pace_end;
 * *ret_cut: it may not, for the run ends. 0 or MUSTER_ECANCELLED. */
int command_pace_begin(muster_call *call, uint64_t begin_ns, bool *ret_cut);
void command_pace_end(void);

/* Whether the run ends: no command may begin. */
bool command_pace_is_cut(void);

enum command_verdict {
    COMMAND_RUNS,
    COMMAND_HAS_ENDED,
    /* It is to be ended: */
    COMMAND_IS_LATE,
    COMMAND_GIVES_WAY, /* and runs again */
    COMMAND_IS_CUT,    /* with the run */
    COMMAND_IS_CANCELLED,
};

struct command_input;

/* Waits for its end, feeding it, or for a reason to end it: anything but COMMAND_RUNS. */
enum command_verdict command_await(muster_call *call, const struct command_spec *spec,
                                   struct command_input *input, const struct command_child *child,
                                   const struct command_strays *strays);

/* Borrowed descriptors, until it is closed. */
struct command_apart {
    int fd;       /* of the worker's own folder; -1: there is none */
    int names_fd; /* of the one that it is in */
    bool in_own;  /* which is `own` */
};

/* A file that a command writes to. Zeroed: there is none. */
struct command_output {
    int fd; /* above 2, open when `made`; appended to */
    bool made;
    char folder[PATH_MAX]; /* where it is */
    char own[PATH_MAX];    /* where it gets a name, which is made for that; "": in `folder` */
    char name[PATH_MAX];   /* "": it has none, as is usual */
    int name_fd;           /* owned; the folder that it has it in; -1: it is a path */
    char given[PATH_MAX];  /* the one that was given away last; "": none, or its taker is done with it */
    uint64_t batch;        /* 0: the taker removes it; or it is left in a folder of this batch */
    int root_fd;           /* of `folder`; -1: by its path */
    int apart_fd;          /* where it was made, as of command_apart; -1: in `folder` */
};

/* Opens the folders for output of confined commands, made if they are not there: `own`, a folder in `folder`,
 * "" for none, and in that the worker's. `root_fd` is that of `folder`, from before all jobs; -1: by its
 * path. They are open, and where they are stays mounted, until command_apart_close. What workers that
 * were killed have left in `folder` is removed the first time, if none is made in `own`. 0, or an errno. */
int command_apart_open(int root_fd, const char *folder, const char *own, struct command_apart *ret_folders);
void command_apart_close(void);

/* Likewise, as the worker ends or goes on elsewhere: also with what jobs have put there. */
void command_apart_fini(void);

/* The coordinator's folder for large output; NULL: it has none. */
const char *command_spool(void);

/* Makes those of a command, new: what a command before has written to is closed. Where a confined one's
 * folder finds no room, it waits for some, for a while; *ret_cut: not to its end, for the run ends, and there
 * are none. 0, MUSTER_ECANCELLED, or fails the call. */
int command_outputs_open(muster_call *call, struct command_output outputs[2], const struct command_spec *spec,
                         uint64_t batch, bool *ret_cut);

/* Gets what was written, as a bin, or gives the file away, as a str. 0, or fails the call. */
int command_output_take(muster_call *call, struct command_output *output, uint64_t spill_bytes,
                        msgpack_object *ret_value);

/* Where no room is left, waits for the taker of the file that was given away last, for a while, and not when
 * the run ends. 0, or MUSTER_ECANCELLED. */
int command_output_await_room(muster_call *call, struct command_output *output);

/* Whether what was written may be cut short, for no room is left: what did not fit ends with a block. */
bool command_output_is_cut(const struct command_output *output, bool failed);

/* Lets go of it. */
void command_output_close(struct command_output *output);

/* A descriptor that is to be one that this worker inherited becomes close-on-exec. 0, or fails the call. */
int command_inherited(muster_call *call, int fd);

/* Where it writes that says so itself, or into pipes of its own, in command_live_close's care. 0, or fails
 * the call. */
int command_live_inherit(muster_call *call, const struct command_spec *spec, int ret_fds[2]);
int command_live_open(muster_call *call, const struct command_spec *spec, unsigned slot, int ret_fds[2]);

/* Takes -1. */
void command_live_close(const int fds[2]);

/* Writes what is to be read before its output, which goes to `out_fd`. 0, or fails the call. */
int command_live_show(muster_call *call, const struct command_spec *spec, int out_fd);

/* 0, or -1 with errno set. */
int command_write_all(int fd, const char *bytes, size_t size);

/* A copy of the descriptor that is close-on-exec and above 2, instead of it; takes -1. */
int command_above_standard(int fd);

#endif
