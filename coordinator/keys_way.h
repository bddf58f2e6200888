/* SPDX-License-Identifier: MIT
 *
 * Who may put another file in the place of one: whoever may write a folder on the way to it, with all that
 * links lead over. As in ssh, what is above the home folder is not looked at. A folder like /tmp, in which
 * each can remove what is his own, is well where the next step of the way is the user's, or root's.
 */
#ifndef MUSTER_COORDINATOR_KEYS_WAY_H
#define MUSTER_COORDINATOR_KEYS_WAY_H

#include "base/error.h"

#include <sys/stat.h>

/* Whether nobody else may have made what is there, or has any of the rights `closed` to it: 0, or
 * MUSTER_ESTATE. */
int keys_check_owner(const struct stat *status, const char *path, mode_t closed,
                     struct muster_error *ret_error);

/* Of a path from / on. 0; MUSTER_ENOTFOUND when the way is well as far as there is one; MUSTER_ESTATE, and
 * the error names what others can write or own. */
int keys_check_way(const char *path, struct muster_error *ret_error);

#endif
