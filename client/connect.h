/* SPDX-License-Identifier: MIT
 *
 * How a client comes to a coordinator: where that listens, whether somebody does, the connection, HELLO
 * and WELCOME. ZeroMQ says nothing of an endpoint where nobody listens, so the socket is tried first.
 * Whatever fails is said with the endpoint that was tried.
 */
#ifndef MUSTER_CLIENT_CONNECT_H
#define MUSTER_CLIENT_CONNECT_H

#include "coordinator/place.h"
#include "proto/wire.h"

/* The endpoint that `coordinator` stands for: itself, or the default place for "default". */
int connect_endpoint(const char *coordinator, char ret_endpoint[PLACE_ENDPOINT_BYTES],
                     struct muster_error *ret_error);

/* 0 when somebody listens at an endpoint of ipc, and is this user (of other kinds it is not known: 0);
 * MUSTER_ELOST when nobody does. *ret_listener, which may be NULL, is the process, as it is numbered here; 0:
 * it is not known. */
int connect_knock(const char *endpoint, pid_t *ret_listener, struct muster_error *ret_error);

/* Connects to the coordinator at the endpoint under a name that nobody had, and waits until then for
 * its WELCOME. MUSTER_ELOST: nobody is there, or answers; another code: it does not want this client.
 * The wire, which notices when the connection breaks, and its context are the caller's. */
int connect_coordinator(const char *endpoint, uint64_t deadline_ns, struct wire_context **ret_context,
                        struct wire **ret_wire, struct proto_welcome *ret_welcome,
                        struct muster_error *ret_error);

/* HELLO, and WELCOME until then, over a wire that is connected. */
int connect_greet(struct wire *wire, uint64_t deadline_ns, struct proto_welcome *ret_welcome,
                  struct muster_error *ret_error);

#endif
