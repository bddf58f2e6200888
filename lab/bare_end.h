/* SPDX-License-Identifier: MIT
 *
 * The two ends of a bare connection over ZeroMQ: the caller's, which listens, and those of the
 * crew's processes, which are called with the endpoint and a number, connect, and say the number.
 */
#ifndef MUSTER_LAB_BARE_END_H
#define MUSTER_LAB_BARE_END_H

#include "client/muster.h"
#include "coordinator/nest.h"

enum { BARE_ENDPOINT_BYTES = 256 };

/* All 0 is an end that is not open. */
struct bare_end {
    void *context, *socket; /* ZeroMQ's */
    struct nest nest;       /* of the side that listens, over ipc */
    bool has_nest;
    char endpoint[BARE_ENDPOINT_BYTES]; /* of the side that listens */
    uint64_t number;                    /* by which both sides know each other */
};

/* Listens for `peers` of them; `type` is ZeroMQ's. Whatever this returns, bare_end_close is due. */
int bare_listen(struct bare_end *end, int type, enum muster_transport transport, unsigned peers,
                struct muster_error *ret_error);

/* Calls a function of the crew, which is to answer there. */
int bare_call(const struct bare_end *end, muster *crew, const char *function, muster_future **ret_call,
              struct muster_error *ret_error);

/* Waits until somebody who was called has something to say. The caller has to: before that, the call
 * itself is under way, and it takes the caller's thread to get there. */
int bare_await(const struct bare_end *end, muster *crew, struct muster_error *ret_error);

/* In such a function: connects, as a DEALER. Whatever this returns, bare_end_close is due. */
int bare_answer(struct bare_end *end, const msgpack_object *argument, struct muster_error *ret_error);

/* Says that ZeroMQ could not do this. Returns MUSTER_ESYSTEM. */
int bare_failed(const char *what, struct muster_error *ret_error);

void bare_end_close(struct bare_end *end);

#endif
