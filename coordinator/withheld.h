/* SPDX-License-Identifier: MIT
 *
 * What is kept from jobs that are confined (struct sandbox_leave), as workers are told it: the user's folders
 * for sockets, state and keys, wherever they are and whoever uses them, and what a coordinator has elsewhere.
 */
#ifndef MUSTER_COORDINATOR_WITHHELD_H
#define MUSTER_COORDINATOR_WITHHELD_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { WITHHELD_MAX = 64 }; /* places that a coordinator listens at, with their locks, and a dozen others */

struct withheld {
    char *texts[WITHHELD_MAX]; /* owned */
    size_t count;
};

/* The user's folders. 0 or MUSTER_ENOMEM; then there is nothing to be freed. */
int withheld_init(struct withheld *withheld, struct muster_error *ret_error);

/* The socket of an endpoint, which may have none, and its lock. 0, MUSTER_ENOMEM or MUSTER_ELIMIT. */
int withheld_add_endpoint(struct withheld *withheld, const char *endpoint, struct muster_error *ret_error);

/* The file of a store, with what SQLite and the spool have beside it. Likewise. */
int withheld_add_state(struct withheld *withheld, const char *file, struct muster_error *ret_error);

/* As workers take them: `count`, borrowed. */
const char *const *withheld_texts(const struct withheld *withheld);

void withheld_fini(struct withheld *withheld);

/* The user's folder for state, ${XDG_STATE_HOME:-~/.local/state}/muster, which may not be there. False where
 * neither variable names one, or its path is too long. */
bool withheld_state_folder(char ret_folder[PATH_MAX]);

#endif
