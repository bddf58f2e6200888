/* SPDX-License-Identifier: MIT
 *
 * The caller's end of the connection to a coordinator: messages go to whoever opened the batch
 * that they are about, so that a map and single jobs share the connection. When it fails, all
 * that use it learn the same reason. The caller's thread.
 */
#ifndef MUSTER_CLIENT_MAILBOX_H
#define MUSTER_CLIENT_MAILBOX_H

#include "coordinator/place.h"
#include "proto/shared.h"
#include "proto/wire.h"

#include <uthash.h>

/* A batch; embedded in what it belongs to. */
struct mail_route {
    uint64_t ticket;
    /* Takes the frame, a well-formed message that is about the ticket. What results refer to in
     * shared memory is taken until mailbox_release, or not (mailbox_refers). */
    void (*take)(struct mail_route *route, struct wire_frame *frame);
    UT_hash_handle hh;
};

struct mailbox {
    struct wire *wire;                /* owned */
    char where[PLACE_ENDPOINT_BYTES]; /* an endpoint, for people; "" for the coordinator of this process */
    struct mail_route *routes;        /* by ticket; not owned */
    uint64_t last_ticket;
    struct mappings *mappings; /* of what results refer to; borrowed; NULL: they do not */
    struct muster_error lost;  /* why nothing is sent and heard any more; code 0: it is */
};

/* Gives the route, whose `take` is set, a ticket of its own. 0 or MUSTER_ENOMEM. */
int mailbox_add(struct mailbox *mailbox, struct mail_route *route);

/* Messages about it are passed over from now on. */
void mailbox_remove(struct mailbox *mailbox, struct mail_route *route);

/* Sends a message. 0, or the code with which the mailbox is lost. */
int mailbox_send(struct mailbox *mailbox, const struct proto_message *message);

/* Whether references of this frame are taken: all of a RESULTS message, or, with why in frame->taken, none.
 */
bool mailbox_refers(const struct mailbox *mailbox, const struct wire_frame *frame);

/* Takes the frame of a RESULTS message, and releases the references that are taken. */
void mailbox_release(const struct mailbox *mailbox, struct wire_frame *frame);

/* Receives one message, if there is one, and hands it over. Returns whether there was one. */
bool mailbox_receive(struct mailbox *mailbox);

/* From now on it is lost, for this reason unless there was one before. */
void mailbox_lose(struct mailbox *mailbox, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
