/* SPDX-License-Identifier: MIT
 *
 * The options of `muster exec`, GNU parallel 20221122's by name and meaning, and behind them the
 * command and its input sources. Options end where the command begins.
 */
#ifndef MUSTER_CLI_EXEC_OPTIONS_H
#define MUSTER_CLI_EXEC_OPTIONS_H

#include "cli/exec_fill.h"
#include "cli/exec_halt.h"
#include "cli/exec_limits.h"
#include "cli/exec_pace.h"
#include "cli/exec_pipe.h"
#include "cli/exec_resume.h"
#include "cli/exec_termseq.h"
#include "cli/progress.h"
#include "cli/sources.h"
#include "cli/template.h"
#include "cli/terms.h"
#include "client/muster.h"

/* What of the output of a job is never mixed with another's. */
enum exec_group {
    EXEC_GROUP_JOBS,
    EXEC_GROUP_LINES,
    EXEC_GROUP_NOTHING, /* it writes to standard output itself */
};

struct exec_options {
    bool help;          /* asked for; nothing else is checked then */
    bool line_length;   /* the same; --max-line-length-allowed */
    char *const *words; /* the command line, borrowed; words[0] is the verb */
    int word_count;

    const char *const *command; /* words; command_count may be 0: each row is a command of its own */
    size_t command_count;

    const char *word_separator, *file_separator; /* instead of ::: and ::::; NULL: these */
    struct source_spec *source_list;             /* owned */
    char *delimiter;                             /* owned: of -d */
    struct sources_spec sources;                 /* its `sources` are these */
    struct template_rules rules;
    struct exec_fill_options fill;
    struct exec_pipe_options pipe;

    struct terms terms;         /* with a coordinator */
    struct muster_options open; /* its `workers` are as many as commands run at once, about */
    bool detach;                /* leave the jobs to the coordinator */
    unsigned most_running;      /* at a coordinator: commands at once; 0: as many as it has workers */
    const char **variables;     /* --env: their names; owned, variable_count of them */
    size_t variable_count;
    bool keep_order;
    bool dry_run;
    unsigned quotes; /* --shellquote, so many times: the commands of a dry run as words */
    bool ask;        /* -p: before each command */
    bool verbose;    /* -v: each command before what it wrote */
    bool trace;      /* -t: each command on standard error, before it starts */
    enum exec_group group;
    bool records;          /* -o json */
    bool files;            /* --files: the path of what a job wrote, instead of it */
    unsigned groups_given; /* a bit for each of them that was asked for */
    const char *tag;       /* a template; NULL: none */
    const char *joblog;
    bool joblog_append; /* +FILE */
    enum exec_resume_mode resume;
    const char *results;
    const char *stats;
    const char *folder; /* --wd */
    const char *temporary_folder;
    double timeout_s;
    struct exec_pace_rules pace;
    uint64_t tries; /* --retries: so often in all; 0: until it succeeds */
    double backoff_s;
    bool has_termseq;
    struct command_steps termseq;
    int nice;
    struct exec_limits limits;
    struct exec_halt halt;
    enum progress_wish progress;
    bool bar; /* in its line */
};

/* Reads a command line whose argv[0] is the verb; argv must outlive the options. 0, MUSTER_EINVALID, or
 * MUSTER_ENOMEM; the options are to be given to exec_options_fini in any case. */
int exec_options_parse(struct exec_options *options, int argc, char **argv, struct muster_error *ret_error);
void exec_options_fini(struct exec_options *options);

#endif
