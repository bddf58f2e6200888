/* SPDX-License-Identifier: MIT
 *
 * The options of all verbs, from the words of a command line to checked numbers. Every
 * error names the option, what it got and what it takes.
 */
#ifndef MUSTER_CLI_OPTIONS_H
#define MUSTER_CLI_OPTIONS_H

#include "cli/arguments.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/terms.h"
#include "client/muster.h"
#include "coordinator/withheld.h"
#include "lab/compare.h"
#include "worker/worker.h"

enum verb {
    VERB_MAP,
    VERB_COMPARE,
    VERB_ADVISE,
    VERB_LAB,
    VERB_BENCH,
    VERB_FUNCTIONS,
    VERB_WORKER,
    VERB_COORDINATOR,
    VERB_KEY,
    VERB_STATUS, /* from here on: those that ask a coordinator */
    VERB_JOBS,
    VERB_RESULTS,
    VERB_WAIT,
    VERB_CANCEL,
    VERB_RETRY,
    VERB_FORGET,
    VERB_WORKERS,
    VERB_SCALE,
    VERB_DRAIN,
    VERB_STOP,
    VERB_SUBMIT, /* or submit to one */
};

enum { OPTIONS_PLUGINS_MAX = 64, OPTIONS_LISTEN_MAX = 16 };

struct registry; /* jobs/registry.h */

struct options {
    bool help;                /* asked for; nothing else is checked then */
    const char *const *words; /* those that are no options, before the arguments */
    size_t word_count;
    const char *function; /* the first of them; NULL when there is none */

    enum arguments_family family;
    const char *const *items; /* words or files after `:::` or `::::` */
    size_t item_count;

    struct muster_options open;
    unsigned chunk_jobs;
    double timeout_s;
    unsigned retries;
    struct terms terms;
    uint64_t halt_failures;
    bool halt_now;
    bool unordered;
    bool detach;
    enum output_format format;
    enum progress_wish progress;
    const char *stats;

    enum muster_model models[COMPARE_MODELS_MAX];
    size_t model_count;
    unsigned rounds;  /* lab and bench: 0 when none are given */
    bool peers;       /* bench: other systems, too */
    bool timeline;    /* draw who worked and who waited */
    const char *html; /* write a page there; NULL: none */

    uint64_t jobs; /* advise: that are to be run; 0: many */
    double time_s; /* advise: to measure for; 0: its default */
    bool run;      /* advise: do what is advised */

    bool dry_run;

    const char *folder; /* for files that measurements need; NULL: the usual one */

    const char *listen[OPTIONS_LISTEN_MAX]; /* coordinator: endpoints, listen_count of them */
    size_t listen_count;
    bool keys;                /* coordinator: tcp on loopback needs keys, too */
    const char *state;        /* coordinator: file of its store; NULL: in memory */
    uint64_t state_limit;     /* bytes of it; 0: not said */
    uint64_t orphan_grace_ns; /* with it: how long its workers outlive it */
    uint64_t host_grace_ns;   /* how long another host may be away */
    bool verbose;

    /* Of the verbs that ask a coordinator. */
    unsigned states;         /* jobs: bits of enum batch_state; 0: all */
    const char *user, *name; /* jobs: only of this; NULL: of all */
    uint64_t limit;          /* jobs: at most so many; 0: all */
    bool follow;             /* results: until the batch is over */
    bool now;                /* cancel, stop */
    bool failed, all;        /* retry: which jobs */
    bool ended;              /* forget: all batches that have */
    double older_s;          /* forget: for so long */
    bool off, wait;          /* drain */

    struct worker_options worker;
    const char *check_plugin;
    bool symbols; /* worker: look up names */

    const char *plugins[OPTIONS_PLUGINS_MAX];
    const char *kept[WITHHELD_MAX]; /* worker: from jobs that are confined */
};

/* Reads a command line whose argv[0] is the verb. Reorders argv, which, as the options point
 * into it, must outlive them. 0 or MUSTER_EINVALID. */
int options_parse(struct options *options, enum verb verb, int argc, char **argv,
                  struct muster_error *ret_error);

/* Loads the plug-ins. Each is tried in a process of its own first: it may crash as it loads. */
int options_load_plugins(const struct options *options, struct registry *registry,
                         struct muster_error *ret_error);

#endif
