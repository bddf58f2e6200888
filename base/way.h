/* SPDX-License-Identifier: MIT
 *
 * The way that a path leads, a name at a time and over all links, as the kernel goes it: whoever may write to
 * one of the folders on it can have the path lead elsewhere.
 */
#ifndef MUSTER_BASE_WAY_H
#define MUSTER_BASE_WAY_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

struct way {
    char folder[PATH_MAX]; /* gone to, from / on and without links; "" is / */
    char entry[PATH_MAX];  /* the path of what is gone to next, in it; it may be a link */
    struct stat status;    /* of that */
    char rest[PATH_MAX];   /* the names behind that */
    unsigned links;
};

enum { WAY_END = -1 };

/* Of a path from / on. 0 or ENAMETOOLONG. */
int way_begin(struct way *way, const char *path);

/* Goes to the entry, or where that leads, if there was one, and looks at the next. 0; WAY_END: there is none,
 * `folder` is what the path names; ENOENT: that of this name is not there; or another errno, about `entry`,
 * such as ELOOP. After anything but 0 it is at its end. */
int way_step(struct way *way);

/* At its end: the path without links, as far as there is something, and then as it was given, with no slash
 * behind it. False: it is too long. */
bool way_path(const struct way *way, char ret_path[PATH_MAX]);

#endif
