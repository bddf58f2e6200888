/* SPDX-License-Identifier: MIT
 *
 * What the core decided and somebody else carries out: messages to send, workers to spawn
 * and to kill. Filled by one handler call, emptied before the next. Tests read it instead of
 * carrying it out.
 */
#ifndef MUSTER_COORDINATOR_OUTBOX_H
#define MUSTER_COORDINATOR_OUTBOX_H

#include "coordinator/store_request.h"
#include "proto/limits.h"
#include "proto/messages.h"

#include <msgpack.h>

enum outbox_kind {
    OUTBOX_SEND,  /* `message` to `peer` */
    OUTBOX_SPAWN, /* a worker for `slot`, under the name `peer` */
    OUTBOX_KILL,  /* the worker of `slot` and its process group, with SIGKILL */
    /* What the values in the payload of `message` refer to in shared memory: nobody else will. */
    OUTBOX_RELEASE,
    /* When all that was sent to clients ahead of this is on disk, core_committed is to be told of `number`:
     * a RESULT of the worker `peer`, which has the slot. */
    OUTBOX_KEEP,
    OUTBOX_SCALE, /* `number` workers shall run */
    OUTBOX_DRAIN, /* 1: no job starts; 0: they start again */
    OUTBOX_STOP,  /* the coordinator ends: 1, when the jobs that run have; 2, now */
    OUTBOX_CORE,  /* `message` to the core, from the ledger; of a SUBMIT, jobs in `ended` are over already */
    OUTBOX_FORWARD, /* `message` to the core, from the client `peer` of the ledger's */
    OUTBOX_STORE,   /* `request` to the store, whose payload `message` holds */
};

struct outbox_item {
    enum outbox_kind kind;
    unsigned slot;
    char peer[PROTO_PEER_NAME_MAX + 1];
    uint64_t number;
    struct proto_message message; /* holds a reference on its payload; texts live in `zone` */
    const struct store_request *request;
    const char *user;         /* whose the batch is, of a SUBMIT to the core */
    const struct span *ended; /* in order, not touching each other */
    uint32_t ended_count;
};

struct outbox {
    struct outbox_item *items; /* owned */
    size_t count, capacity;
    msgpack_zone zone; /* what messages point to */
    bool failed;       /* memory ran out: something was not put in; nothing can be relied on */
};

/* 0 or MUSTER_ENOMEM. */
int outbox_init(struct outbox *outbox);

/* Takes one that is all zero, too. */
void outbox_fini(struct outbox *outbox);

/* Drops all items and what they refer to. */
void outbox_clear(struct outbox *outbox);

/* Puts a message in, taking a reference on its payload. Texts and arrays must live in
 * outbox->zone or outlive the next outbox_clear. */
void outbox_send(struct outbox *outbox, const char *peer, const struct proto_message *message);
void outbox_spawn(struct outbox *outbox, unsigned slot, const char *name);
void outbox_kill(struct outbox *outbox, unsigned slot);

void outbox_keep(struct outbox *outbox, unsigned slot, const char *worker, uint64_t number);

/* Takes a reference on the payload. */
void outbox_release(struct outbox *outbox, const struct slice *payload);

/* OUTBOX_SCALE, OUTBOX_DRAIN or OUTBOX_STOP. */
void outbox_order(struct outbox *outbox, enum outbox_kind kind, uint64_t number);

/* From the ledger, as outbox_send; see coordinator/ledger.h. */
void outbox_core(struct outbox *outbox, const struct proto_message *message);

/* What this client sent, which is the core's to deal with. */
void outbox_forward(struct outbox *outbox, const char *client, const struct proto_message *message);

/* As outbox_core with a SUBMIT of this user's batch, of which these jobs have ended before; both are copied.
 */
void outbox_core_submit(struct outbox *outbox, const struct proto_message *message, const char *user,
                        const struct spans *ended);

/* Copies the request, and takes a reference on its payload. What else it points to must live in
 * outbox->zone or outlive the next outbox_clear. */
void outbox_store(struct outbox *outbox, const struct store_request *request);

/* Memory until the next outbox_clear; NULL (and `failed`) when there is none. */
void *outbox_alloc(struct outbox *outbox, size_t bytes);

/* Copies of texts until the next outbox_clear. */
struct proto_text outbox_copy(struct outbox *outbox, const struct proto_text *text);
struct proto_text outbox_text(struct outbox *outbox, const char *text);

#endif
