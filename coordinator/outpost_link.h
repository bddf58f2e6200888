/* SPDX-License-Identifier: MIT
 *
 * The connection of an outpost to its coordinator: made once, with this user's key; joined when the
 * coordinator has said so; lost when it breaks, is refused, or the coordinator is silent. Those that take a
 * link take NULL, too. The outpost's thread.
 */
#ifndef MUSTER_COORDINATOR_OUTPOST_LINK_H
#define MUSTER_COORDINATOR_OUTPOST_LINK_H

#include "coordinator/outpost.h"
#include "proto/wire.h"

struct outpost_link;

/* What a connection is to go on with; what it came to when it is joined. */
struct outpost_session {
    uint64_t session; /* of these workers, not 0 */
    uint64_t state;   /* whose they are; 0: nobody's yet */
    uint32_t epoch;
    uint32_t hold_ms;    /* how long they go on without a connection */
    uint32_t connection; /* which of the session it is */
};

/* Begins to connect, and asks to join, with these workers that are here already. The options are borrowed. */
int outpost_link_open(struct wire_context *context, const struct outpost_options *options,
                      const struct outpost_session *session, const struct proto_resident *residents,
                      uint32_t resident_count, struct outpost_link **ret_link,
                      struct muster_error *ret_error);

/* Closes it; `leave` tells the coordinator first. */
void outpost_link_close(struct outpost_link *link);
void outpost_link_leave(struct outpost_link *link);

/* NULL of NULL. */
struct wire *outpost_link_wire(const struct outpost_link *link);

bool outpost_link_is_joined(const struct outpost_link *link);

/* Of one that is. */
const struct outpost_session *outpost_link_session(const struct outpost_link *link);

/* The next message that is for the outpost or a worker of it, the caller's to destroy; NULL: it
 * is joined from now on; MUSTER_EAGAIN: there is none now. Any other code: the link is lost, for this reason;
 * MUSTER_ELOST and MUSTER_ESTATE may pass. */
int outpost_link_receive(struct outpost_link *link, struct wire_frame **ret_frame,
                         struct muster_error *ret_error);

/* To the coordinator, from the outpost or from its worker `name`. What does not go through with the link. */
void outpost_link_send(struct outpost_link *link, const struct proto_message *message);
void outpost_link_pass(struct outpost_link *link, const char *name, const struct proto_message *message);

/* Says that this host is there, if it is time to. */
void outpost_link_beat(struct outpost_link *link, uint64_t now_ns);

/* When outpost_link_tick is due; it returns as outpost_link_receive does, but never MUSTER_EAGAIN. */
uint64_t outpost_link_deadline(const struct outpost_link *link);
int outpost_link_tick(struct outpost_link *link, uint64_t now_ns, struct muster_error *ret_error);

#endif
