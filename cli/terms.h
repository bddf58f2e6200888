/* SPDX-License-Identifier: MIT
 *
 * The terms on which a batch is run where others are, too: what it is called, what it waits for, and how
 * many run beside each other. map, exec and job files share them, by name and meaning.
 */
#ifndef MUSTER_CLI_TERMS_H
#define MUSTER_CLI_TERMS_H

#include "client/muster.h"
#include "proto/limits.h"

struct terms {
    const char *name; /* NULL: none */
    struct muster_after after[PROTO_AFTER_MAX];
    unsigned after_count;
    uint64_t begin_ms; /* since 1970; 0: at once */
    int priority;
    unsigned most_running; /* 0: as many as there is room for */
    unsigned cpus;         /* of a job; 0: 1 */
    uint64_t memory_bytes; /* of a job; 0: not said */
    double backoff_s;
};

/* Readers of values: 0, or MUSTER_EINVALID with what was expected. */
int terms_take_name(struct terms *terms, const char *text, struct muster_error *ret_error);
/* "12", "12:ok", "12:any", and several with commas; adds to those that there are. */
int terms_take_after(struct terms *terms, const char *text, struct muster_error *ret_error);
int terms_take_begin(struct terms *terms, const char *text, struct muster_error *ret_error);
int terms_take_priority(struct terms *terms, const char *text, struct muster_error *ret_error);

/* Whether they can be kept: only a coordinator of several batches (`shared`) lets one wait. 0 or
 * MUSTER_EINVALID. */
int terms_check(const struct terms *terms, bool shared, struct muster_error *ret_error);

/* Puts them into a batch, which borrows from them. */
void terms_apply(const struct terms *terms, struct muster_batch *batch);

#endif
