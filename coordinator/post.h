/* SPDX-License-Identifier: MIT
 *
 * Messages to and from the coordinator's peers, by the wire or, for a worker that was launched with
 * one, through its slot (proto/slots.h): a CHUNK or STOP goes there when the worker has taken what was in it
 * before, which an idle one has. What it is sent otherwise waits until it is connected, where its HELLO came
 * by the slot. To its user there is one stream of messages with each peer, in order. The coordinator's
 * thread.
 */
#ifndef MUSTER_COORDINATOR_POST_H
#define MUSTER_COORDINATOR_POST_H

#include "proto/wire.h"

struct post;

/* `slots`: whether workers get one. */
int post_create(unsigned workers, bool slots, struct post **ret_post, struct muster_error *ret_error);

/* Before any message: the wire that the others go by, which is borrowed. */
void post_take_router(struct post *post, struct wire *router);

/* Takes NULL. */
void post_destroy(struct post *post);

/* Makes a slot for the worker `name` that is about to be launched in the place 1..workers. Returns
 * its descriptor, the caller's to close, or -1: it gets none. */
int post_open(struct post *post, unsigned place, const char *name);

/* The worker of that place is dead or was not launched, and all it left was received. */
void post_close(struct post *post, unsigned place);

/* What workers ring, and what is readable then; to be waited for between post_sleep and post_wake.
 * -1: there are no slots. */
int post_bell(const struct post *post);

/* As wire_send. */
int post_send(struct post *post, const char *peer, const struct proto_message *message);

/* The same to a worker of another host, through the peer `host`. */
int post_send_via(struct post *post, const char *host, const char *worker,
                  const struct proto_message *message);

/* As wire_receive. */
int post_receive(struct post *post, struct wire_frame **ret_frame);

/* What the dead worker of a place left in its slot; MUSTER_EAGAIN when that is nothing. */
int post_receive_last(struct post *post, unsigned place, struct wire_frame **ret_frame);

/* From now on, workers ring. Returns whether the caller may sleep: nothing lies in a slot, unless it
 * comes behind something that will come by the wire. */
bool post_sleep(struct post *post);

/* `rung`: the bell is readable. */
void post_wake(struct post *post, bool rung);

#endif
