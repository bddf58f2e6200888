/* SPDX-License-Identifier: MIT
 *
 * Who of those that come over tcp with a key is let in, and what he may say: the allow-list as it is now,
 * read again whenever its file changes, and the clients that came with one of its keys. The loop's thread.
 */
#ifndef MUSTER_COORDINATOR_GATE_H
#define MUSTER_COORDINATOR_GATE_H

#include "proto/wire.h"

struct gate;

/* Reads the secret key and the allow-list, and opens the context's door. Lines of the list that are none are
 * an error here; later they are logged, and let nobody in. */
int gate_open(struct wire_context *context, struct gate **ret_gate, struct muster_error *ret_error);

/* Takes NULL. */
void gate_close(struct gate *gate);

const struct curve_key *gate_secret(const struct gate *gate);
unsigned gate_count(const struct gate *gate); /* keys that are allowed */

/* Somebody knocks: gate_answer is to be called. NULL of NULL. */
struct wire *gate_door(const struct gate *gate);
void gate_answer(struct gate *gate);

/* Readable when gate_refresh is to be called: the list may have changed. -1 of NULL. */
int gate_fd(const struct gate *gate);
void gate_refresh(struct gate *gate);

/* Whether gate_refresh is to be called though the descriptor says nothing: the list is a link to another
 * folder, its folder was moved and another is in its place, or it was changed on another host. To be asked as
 * somebody knocks, for each message with a key, and at the deadline, which is never while nobody is in: once
 * a second that has the file looked at, but for who knocks. */
bool gate_is_stale(struct gate *gate, uint64_t now_ns, bool knocked);
uint64_t gate_deadline(const struct gate *gate);

/* Whether the message may be taken: NULL, or why not; `works`: the peer is a worker of the core's. What a
 * HELLO says of who submits becomes the name that is allowed, valid until the list changes. */
const char *gate_check(struct gate *gate, struct wire_frame *frame, bool works);

/* The client of a HELLO that came with a key has been welcomed. 0 or MUSTER_ENOMEM. */
int gate_enter(struct gate *gate, const struct wire_frame *frame, bool *ret_confined);

/* A client has left. Takes names that did not come with a key. */
void gate_leave(struct gate *gate, const char *name);

/* The next client, after the one of that name (NULL: the first): who came with a key. NULL: no more. */
const char *gate_next(const struct gate *gate, const char *name);

/* Whether a client's key has no longer what it had when he came. */
bool gate_is_withdrawn(const struct gate *gate, const char *name);

#endif
