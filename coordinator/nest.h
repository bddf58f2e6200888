/* SPDX-License-Identifier: MIT
 *
 * The folder that holds a coordinator's ipc socket. Binding an ipc path silently takes it
 * from whoever had it, and any user may connect to a socket in an open folder: so each
 * coordinator makes a folder of its own, of mode 0700, inside one that belongs to the user,
 * and holds a lock on it. Folders whose lock nobody holds are left-overs of killed
 * coordinators; the next one to start removes them.
 */
#ifndef MUSTER_COORDINATOR_NEST_H
#define MUSTER_COORDINATOR_NEST_H

#include "base/error.h"

#include <sys/un.h>

struct nest {
    char folder[sizeof((struct sockaddr_un *)0)->sun_path];
    char endpoint[sizeof((struct sockaddr_un *)0)->sun_path + 16]; /* "ipc://FOLDER/socket" */
    int lock_fd; /* owned; the lock lives as long as it is open */
};

/* In XDG_RUNTIME_DIR if that is set, else in TMPDIR, else in /tmp. */
int nest_init(struct nest *nest, struct muster_error *ret_error);

/* Removes the folder and lets go of the lock. */
void nest_fini(struct nest *nest);

#endif
