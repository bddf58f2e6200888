/* SPDX-License-Identifier: MIT
 *
 * An endpoint that a coordinator of its own process listens at, which others know beforehand: the
 * socket `daemon/socket` in the user's folder, or what --listen names. A socket of ipc is in a folder
 * of mode 0700 that belongs to the user, and has a lock file beside it with the pid of who listens:
 * binding would silently take the socket from him. What a killed coordinator left is replaced.
 */
#ifndef MUSTER_COORDINATOR_PLACE_H
#define MUSTER_COORDINATOR_PLACE_H

#include "base/error.h"
#include "coordinator/nest.h"
#include "proto/curve.h"

#include <stdbool.h>
#include <stdint.h>

enum { PLACE_ENDPOINT_BYTES = 256 };

/* In the user's folder those of workers begin so; in such a folder, and behind the name of any lock. */
#define PLACE_WORKERS "workers-"
#define PLACE_SOCKET  "socket"
#define PLACE_LOCK    ".lock"

struct place {
    char endpoint[PLACE_ENDPOINT_BYTES];                      /* to bind, or where it was bound */
    char socket[sizeof((struct sockaddr_un *)0)->sun_path];   /* of ipc; else "" */
    char lock[sizeof((struct sockaddr_un *)0)->sun_path + 8]; /* its lock file */
    int folder_fd;                                            /* of ipc: owned; else -1 */
    int lock_fd;  /* likewise; the lock lives as long as it is open */
    bool passing; /* the folder goes with it */
    bool keyed;   /* of tcp: whoever comes needs a key */
};

/* Where clients of this user look for a coordinator unless they are told otherwise. */
int place_default(char ret_endpoint[PLACE_ENDPOINT_BYTES], struct muster_error *ret_error);

/* Whether the endpoint has one of the forms that can be connected to: ipc://PATH, from the root on,
 * tcp://HOST:PORT#KEY, KEY being that of who listens there, and where HOST is 127.0.0.1 or [::1] also without
 * it. 0, or MUSTER_EINVALID or MUSTER_ELIMIT. */
int place_check(const char *endpoint, struct muster_error *ret_error);

/* The same of what can be listened at: without #KEY, and HOST may be *. */
int place_check_listen(const char *endpoint, struct muster_error *ret_error);

/* Takes one that place_check has found right apart: the endpoint alone, and the key. Returns whether it has
 * one. */
bool place_split(const char *endpoint, char ret_address[PLACE_ENDPOINT_BYTES], struct curve_key *ret_key);

/* Takes an endpoint, NULL being the default one, whose folder is made. One of other hosts is keyed.
 * MUSTER_ESTATE when somebody listens there, or when the folder is not this user's alone. */
int place_open(const char *endpoint, struct place *ret_place, struct muster_error *ret_error);

/* Takes the place where workers of a coordinator with this store (store_identity) connect, which is the same
 * each time: in a folder of its own, where what is known of them may be, too. As place_open. Folders of
 * others that never came back are removed. */
int place_open_workers(uint64_t identity, struct place *ret_place, struct muster_error *ret_error);

/* The folder of a place of ipc. */
enum { PLACE_FOLDER_BYTES = sizeof((struct place *)0)->socket };
void place_folder(const struct place *place, char ret_folder[PLACE_FOLDER_BYTES]);

/* Whether a process has taken an endpoint of ipc, though it may not listen there yet. */
bool place_is_taken(const char *endpoint);

/* Lets go of it: when nobody of this process listens there any more. */
void place_close(struct place *place);

/* Whether it is one of ipc. */
bool place_is_local(const struct place *place);

#endif
