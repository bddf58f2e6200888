/* SPDX-License-Identifier: MIT
 *
 * A connection to a coordinator that keeps batches, for those who ask about them or tell it something:
 * REQUEST and ANSWER (proto/PROTOCOL.md), and messages about batches that are attached to. It runs no
 * jobs. Whatever the other side sends is checked: a message that is malformed, or not what was asked
 * for, ends the connection with an error that names the endpoint. One thread.
 */
#ifndef MUSTER_CLIENT_REMOTE_H
#define MUSTER_CLIENT_REMOTE_H

#include "proto/limits.h"
#include "proto/wire.h"

struct remote;

/* Connects to the coordinator at an endpoint, or with "default" to that at the default place. */
int remote_open(const char *coordinator, struct remote **ret_remote, struct muster_error *ret_error);

/* Takes NULL. */
void remote_close(struct remote *remote);

const char *remote_endpoint(const struct remote *remote);

/* The process that listens at its endpoint, as it is numbered here; 0: not known, as of those of tcp. */
pid_t remote_listener(const struct remote *remote);

/* Whether the connection broke. */
bool remote_is_lost(const struct remote *remote);

/* Whether the coordinator keeps batches on disk: then they are there again when it is. */
bool remote_keeps(const struct remote *remote);

/* Connects anew, when the connection broke (MUSTER_ELOST), to the coordinator that is there now. Nothing
 * comes any more of what was asked before. 0; MUSTER_ELOST: none is there yet; another code: it is not the
 * one that was there, with the same file. */
int remote_return(struct remote *remote, struct muster_error *ret_error);

/* The coordinator refused something, about a batch or (0) in general: sets the error to that code, and to
 * what it said, with the endpoint and the batch. Returns the code. */
int remote_refused(const struct remote *remote, uint64_t batch, int code, struct proto_text why,
                   struct muster_error *ret_error);

/* Takes the value of one ANSWER, valid during the call. 0, or an error with its text, which ends the
 * question. */
typedef int remote_take(void *context, const msgpack_object *value, struct muster_error *ret_error);

/* Asks, and takes the answer: `take`, unless it is NULL, is called for each of its parts. The ticket of the
 * request is filled in. Returns what the coordinator answered, with its text, or what `take` returned.
 * MUSTER_ETIMEOUT where the coordinator is silent to everything for some seconds. */
int remote_ask(struct remote *remote, const struct proto_request *request, remote_take *take, void *context,
               struct muster_error *ret_error);

/* Asks to be told about a batch: its ticket is filled in. What comes of it is got with remote_next. */
int remote_attach(struct remote *remote, const struct proto_attach *attach, uint64_t *ret_ticket,
                  struct muster_error *ret_error);

/* A batch that was attached to, to know it by. Zeroed, it is any. */
struct remote_batch {
    char function[PROTO_FUNCTION_NAME_MAX + 1];
    enum proto_arguments kind;
    int64_t first;
    uint64_t total; /* jobs known so far, */
    bool sealed;    /* and there are no more */
};

/* The answer to an attachment: 0, and *known is the batch; MUSTER_ESTATE when that was another one before. */
int remote_recognize(const struct remote *remote, struct remote_batch *known,
                     const struct proto_attached *attached, struct muster_error *ret_error);

/* Says that so much of what came is done with. */
int remote_consumed(struct remote *remote, uint64_t ticket, uint64_t bytes, struct muster_error *ret_error);

/* The next ATTACHED, ARGUMENTS, RESULTS or ENDED of any attachment, or the ERROR that ends one. Waits for
 * it until then, 0: not at all. MUSTER_ETIMEOUT: there was none; any other error ends the connection. The
 * caller destroys the frame. */
int remote_next(struct remote *remote, uint64_t deadline_ns, struct wire_frame **ret_frame,
                struct muster_error *ret_error);

/* Waits until then for the coordinator to close the connection. 0, MUSTER_ETIMEOUT or MUSTER_ESYSTEM. */
int remote_wait_end(struct remote *remote, uint64_t deadline_ns, struct muster_error *ret_error);

#endif
