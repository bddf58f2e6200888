/* SPDX-License-Identifier: MIT
 *
 * What a `muster *` points to: opened and used by muster.c, and by all that submits jobs.
 */
#ifndef MUSTER_CLIENT_HANDLE_H
#define MUSTER_CLIENT_HANDLE_H

#include "client/futures.h"
#include "client/model.h"

#include <limits.h>

struct muster {
    struct muster_options options; /* defaults filled in */
    struct registry *registry;     /* owned */
    struct model *model;           /* owned; NULL once it closes */
    struct futures *futures;       /* a reference */
    unsigned workers;              /* of muster_workers once it closes */
    char *scratch;                 /* of muster_scratch; owned */
    char program[PATH_MAX];        /* of workers, where the caller names none */
};

/* Whether a model can be opened with them; then the defaults are filled in. 0, MUSTER_EINVALID, or
 * MUSTER_ELIMIT. */
int handle_check_options(const struct muster_options *options, struct muster_options *ret_options,
                         struct muster_error *ret_error);

/* Whether one job may have so much time and so many retries: 0 or MUSTER_EINVALID. */
int handle_check_limits(const struct muster *m, double timeout_s, unsigned retries,
                        struct muster_error *ret_error);

#endif
