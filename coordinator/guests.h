/* SPDX-License-Identifier: MIT
 *
 * The processes of clients, watched by pidfds: one that dies says nothing, and what it submitted would
 * be worked on for nobody. A death is told a moment late: what the client sent before, that it leaves for
 * instance, may not have been read yet. Watching costs nothing until one dies. One thread uses it.
 */
#ifndef MUSTER_COORDINATOR_GUESTS_H
#define MUSTER_COORDINATOR_GUESTS_H

#include "base/error.h"
#include "proto/limits.h"

#include <sys/types.h>

struct guests;

/* 0, MUSTER_ENOMEM, or MUSTER_ESYSTEM. */
int guests_create(struct guests **ret_guests, struct muster_error *ret_error);

/* Takes NULL. */
void guests_destroy(struct guests *guests);

/* Watches the process of a client under the client's name; one that is watched already is left as it is.
 * 0; MUSTER_ELOST when there is no such process; MUSTER_ENOMEM; MUSTER_ESYSTEM. */
int guests_watch(struct guests *guests, const char *name, pid_t pid);

/* It has left. Takes names that are not watched. */
void guests_forget(struct guests *guests, const char *name);

/* Readable when guests_next_dead is to be called: a client has died, or the moment after that is over. */
int guests_fd(const struct guests *guests);

/* The name of one that has died and had its moment, which is forgotten; MUSTER_EAGAIN when there is none. */
int guests_next_dead(struct guests *guests, char ret_name[PROTO_PEER_NAME_MAX + 1]);

#endif
