/* SPDX-License-Identifier: MIT
 *
 * When commands of a run begin, and what becomes of those that run: --delay, --load, --memfree,
 * --memsuspend, --noswap, --timeout N%, and the end of a run before its time. Where a start depends on the
 * clock or the host, no job is handed out before a worker is free to begin it; for what workers have to
 * see while commands run there is the page of worker/pace.h. All on the main thread.
 */
#ifndef MUSTER_CLI_EXEC_PACE_H
#define MUSTER_CLI_EXEC_PACE_H

#include "cli/exec_machine.h"
#include "cli/run_times.h"
#include "worker/pace.h"

#include <stdbool.h>

/* Zeroed: nothing is asked for. */
struct exec_pace_rules {
    double delay_s;
    unsigned load;        /* fewer than so many threads run; 0: any number */
    size_t memfree_bytes; /* that are free where a command begins */
    size_t memsuspend_bytes;
    bool noswap;
    bool halts;               /* --halt: what ended is judged before another command begins */
    unsigned timeout_percent; /* of the median run time */
};

struct exec_pace {
    struct exec_pace_rules rules;
    struct pace_page *page;
    int page_fd;
    char path[32]; /* of the page, for workers */
    int fd;        /* to be polled when a job cannot be had yet: a copy of what is waited for */
    int timer_fd;
    unsigned workers;         /* commands that run at once */
    unsigned places;          /* workers that they may run in */
    uint64_t grace_ns;        /* for what runs, when the run ends before its time */
    uint64_t given, ended;    /* jobs */
    bool awaits_worker;       /* no job was handed out because none is free */
    uint64_t due_ns;          /* of the next start, by rules.delay_s */
    uint64_t end_ns;          /* CLOCK_NEVER; or when what still runs is killed */
    struct exec_machine seen; /* at seen_ns */
    uint64_t seen_ns, since;  /* commands begun since then */
    bool swaps;
    uint64_t ran;           /* commands that ended, */
    double ran_ns;          /* and what they took together */
    struct run_times times; /* of those that succeeded */
};

/* `grace_ms` is what the signals take that end a command. 0 or MUSTER_ESYSTEM. */
int exec_pace_init(struct exec_pace *pace, const struct exec_pace_rules *rules, unsigned workers,
                   uint64_t grace_ms, struct muster_error *ret_error);

/* Commands run in so many workers of a coordinator, of `most` at once; 0: of all. Before the first. */
void exec_pace_share(struct exec_pace *pace, unsigned workers, unsigned most);

/* Takes zeroed ones, too. */
void exec_pace_fini(struct exec_pace *pace);

/* Whether a job may be handed out now; if not, pace->fd tells when to ask again. */
bool exec_pace_admits(struct exec_pace *pace);

/* It was; or there is none yet, and `source_fd` tells when. */
void exec_pace_gave(struct exec_pace *pace);
void exec_pace_awaits(struct exec_pace *pace, int source_fd);

/* A command ended after this time. */
void exec_pace_note(struct exec_pace *pace, uint64_t wall_ns, bool succeeded);

/* How long what is left of so many jobs will take about, from how long others took and how long those that
 * run have; negative: not known. */
double exec_pace_left_s(const struct exec_pace *pace, uint64_t left);

/* Ten times a second at least; `ended` jobs have. */
void exec_pace_tick(struct exec_pace *pace, uint64_t ended);

/* What runs is asked to end. */
void exec_pace_end(struct exec_pace *pace);

/* Whether that has taken too long. */
bool exec_pace_is_over(const struct exec_pace *pace);

#endif
