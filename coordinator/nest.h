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

/* The user's folder, muster-UID, in XDG_RUNTIME_DIR if that is set, else in TMPDIR, else in /tmp; so short
 * that sockets in its folders have room. *ret_variable (may be NULL): what could name another. */
enum { NEST_HOME_BYTES = sizeof((struct sockaddr_un *)0)->sun_path - sizeof "/XXXXXX/socket" + 1 };
int nest_home(char ret_home[NEST_HOME_BYTES], const char **ret_variable, struct muster_error *ret_error);

/* Opens the user's folder, making it first if there is none. */
int nest_open_home(int *ret_fd, struct muster_error *ret_error);

/* Opens a folder that must belong to this user and be closed to others. */
int nest_open_folder(const char *path, int *ret_fd, struct muster_error *ret_error);

/* Makes a folder in the user's. */
int nest_init(struct nest *nest, struct muster_error *ret_error);

/* Removes the folder and lets go of the lock. */
void nest_fini(struct nest *nest);

#endif
