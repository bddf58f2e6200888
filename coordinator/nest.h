/* SPDX-License-Identifier: MIT
 *
 * Where a coordinator's ipc socket is. Binding an ipc path silently takes it from whoever
 * had it, and any user may connect to a socket in an open folder: so each coordinator makes
 * up a name of its own, in a folder of mode 0700 that belongs to the user, and holds a lock
 * on it. Names whose lock nobody holds are left-overs of killed coordinators; the next one
 * to start removes them.
 */
#ifndef MUSTER_COORDINATOR_NEST_H
#define MUSTER_COORDINATOR_NEST_H

#include "base/error.h"

#include <limits.h>
#include <stdbool.h>
#include <sys/un.h>

struct nest {
    char socket[sizeof((struct sockaddr_un *)0)->sun_path];
    char endpoint[sizeof((struct sockaddr_un *)0)->sun_path + 16]; /* "ipc://SOCKET" */
    int lock_fd;           /* owned, of SOCKET.lock; the lock lives as long as it is open */
    char folder[PATH_MAX]; /* that nest_note made up; "": none */
};

/* The user's folder, muster-UID, in XDG_RUNTIME_DIR if that is set, else in TMPDIR, else in /tmp; so short
 * that sockets of daemons (place.h) have room in it. *ret_variable (may be NULL): what could name another. */
enum { NEST_HOME_BYTES = sizeof((struct sockaddr_un *)0)->sun_path - sizeof "/daemon/socket" + 1 };
int nest_home(char ret_home[NEST_HOME_BYTES], const char **ret_variable, struct muster_error *ret_error);

/* Opens the user's folder, making it first if there is none. */
int nest_open_home(int *ret_fd, struct muster_error *ret_error);

/* Opens a folder that must belong to this user and be closed to others. MUSTER_ENOTFOUND: it is not there. */
int nest_open_folder(const char *path, int *ret_fd, struct muster_error *ret_error);

/* Takes the lock on an open folder or file, which `path` names. MUSTER_ESTATE: another process has had it for
 * ten seconds. */
int nest_lock(int fd, const char *path, struct muster_error *ret_error);

/* The same of a folder that it opens. MUSTER_ENOTFOUND: it is not there, or was removed by who had the lock.
 * Folders are taken for left over until they are locked: who made it makes it again then, so many times. */
enum { NEST_TRIES = 100 };
int nest_lock_folder(const char *path, int *ret_fd, struct muster_error *ret_error);

/* Takes a name in the user's folder. Waits for nobody. What is left of those whose processes were killed is
 * removed, with the folders that they noted. */
int nest_init(struct nest *nest, struct muster_error *ret_error);

/* Makes up the path of a folder in `parent`, a path from / on, which nobody guesses, and notes it; who needs
 * it makes it, for this user alone. It goes with all that is in it at nest_fini, or, where this process was
 * killed, with its lock: the name tells of the lock, so that no other can have it removed. 0 or
 * MUSTER_ESYSTEM. */
int nest_note(struct nest *nest, const char *parent, struct muster_error *ret_error);

/* Makes the socket, where connections wait until *ret_fd, the caller's, is taken over by who accepts them. */
int nest_listen(const struct nest *nest, int *ret_fd, struct muster_error *ret_error);

/* Removes socket and lock, and the folder that it noted. Should somebody make files in it just now, the lock
 * stays, for the next muster. */
void nest_fini(struct nest *nest);

#endif
