/* SPDX-License-Identifier: MIT
 *
 * A job file: named steps that wait for each other, in TOML or JSON (docs/JOBFILES.md). Each step becomes
 * a command line of `muster map` or `muster exec`, so that what an option means is said in one place.
 * Nothing here talks to a coordinator.
 */
#ifndef MUSTER_CLI_JOBFILE_H
#define MUSTER_CLI_JOBFILE_H

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    JOBFILE_BYTES_MAX = 4 << 20, /* more arguments than fit stand in a file of their own */
    JOBFILE_STEPS_MAX = 10000,
    JOBFILE_RANGE_MAX = 10000, /* of commands, for which it is written out */
};

/* What a step waits for: another one, or a batch that the coordinator has. */
struct jobfile_after {
    char *name;     /* owned; NULL: it is a batch */
    uint64_t batch; /* its number */
    bool any;       /* until it has ended, however it did */
    size_t step;    /* the place of that of this name, when it was found */
};

struct jobfile_step {
    const char *name; /* the file's */
    unsigned line;    /* where it begins; 0: not known */
    char **words;     /* owned: the command line from its verb on, but for what it waits for */
    size_t word_count, word_room;
    struct jobfile_after *after; /* owned */
    size_t after_count;
};

struct jobfile {
    const char *name;  /* what errors call it; borrowed */
    const char *place; /* folder of the files that it names, with a slash; "": the current one; borrowed */
    json_t *root;      /* owned */
    struct jobfile_step *steps; /* owned, in the order of the file */
    size_t count;
    size_t *order;              /* owned: places of steps, each behind those that it waits for */
    struct jobfile_line *lines; /* owned, of its tables; line_count of them */
    size_t line_count, line_room;
};

enum jobfile_format { JOBFILE_TOML, JOBFILE_JSON };

/* By the name's end; of other names, and "-", by the text's beginning. */
enum jobfile_format jobfile_format(const char *name, const char *text, size_t size);

/* Reads and checks all of it: 0; MUSTER_EINVALID with what is wrong, and where; MUSTER_ELIMIT; or
 * MUSTER_ENOMEM. The names must outlive it. */
int jobfile_read(const char *name, const char *place, enum jobfile_format format, const char *text,
                 size_t size, struct jobfile *ret_file, struct muster_error *ret_error);

/* Takes one that is zeroed, too. */
void jobfile_fini(struct jobfile *file);

/* An error of a step: "NAME:LINE: step 'a': ". */
int jobfile_fail(const struct jobfile *file, const struct jobfile_step *step, struct muster_error *ret_error,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* jobfile_step.c: what one table says, into a zeroed step. */
int jobfile_step_read(const struct jobfile *file, json_t *table, struct jobfile_step *step,
                      struct muster_error *ret_error);
void jobfile_step_fini(struct jobfile_step *step);

/* jobfile_order.c: finds what steps wait for, and in what order they are submitted. */
int jobfile_sort(struct jobfile *file, struct muster_error *ret_error);

#endif
