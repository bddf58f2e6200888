/* SPDX-License-Identifier: MIT
 *
 * Answers that peers of a router have asked for and not received. See wire.h. What else peers are sent is
 * bounded by windows and credit; whoever asks, and does not read what he is told, would have ZeroMQ keep all
 * of it, which counts messages and not their bytes.
 *
 * An answer is counted from its post until ZeroMQ has no more use for it, which its thread tells: it touches
 * the count of bytes and that of references, nothing else. The table is the router's thread's.
 */
#include "proto/wire_internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

/* Out of memory, an element is not added, and its hh.tbl is NULL; the default is to exit. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* Bytes that one peer may be owed when he is sent an answer more: the largest answers have some 2 MB, and a
 * client of ours waits for one before it asks for the next. */
enum { OWED_BYTES_MAX = 16 << 20 };

/* What ZeroMQ and this file need for a message, about. */
enum { MESSAGE_BYTES = 512 };

/* Peers that are owed nothing and stay in the table. */
enum { IDLE_MAX = 64 };

struct owed {
    char name[PROTO_PEER_NAME_MAX + 1];
    atomic_size_t bytes;
    atomic_uint references; /* of the table, and of each message */
    UT_hash_handle hh;
};

/* A message that is counted, behind one that is sent in its stead. */
struct owed_part {
    zmq_msg_t part; /* owned */
    struct owed *owed;
    size_t bytes;
};

static void unref(struct owed *owed)
{
    if (atomic_fetch_sub(&owed->references, 1) > 1)
        return;
    TAKE_OVER(owed);
    free(owed);
}

static void forget(struct wire *router, struct owed *owed)
{
    HASH_DEL(router->owed, owed);
    HAND_OVER(owed);
    unref(owed);
}

void owed_forget_all(struct wire *router)
{
    struct owed *owed, *next;

    HASH_ITER(hh, router->owed, owed, next)
        forget(router, owed);
}

static void forget_idle(struct wire *router)
{
    struct owed *owed, *next;

    HASH_ITER(hh, router->owed, owed, next)
        if (atomic_load(&owed->bytes) == 0)
            forget(router, owed);
}

static struct owed *add(struct wire *router, const char *peer)
{
    struct owed *owed = calloc(1, sizeof *owed);

    if (!owed)
        return NULL;
    memcpy(owed->name, peer, strnlen(peer, PROTO_PEER_NAME_MAX));
    atomic_init(&owed->references, 1);
    if (HASH_COUNT(router->owed) >= IDLE_MAX)
        forget_idle(router);
    HASH_ADD_STR(router->owed, name, owed);
    if (owed->hh.tbl)
        return owed;
    free(owed);
    return NULL;
}

/* ZeroMQ's thread, or the router's when it could not be sent. */
static void settle(void *bytes, void *hint)
{
    struct owed_part *counted = hint;

    (void)bytes;
    TAKE_OVER(counted);
    zmq_msg_close(&counted->part);
    atomic_fetch_sub(&counted->owed->bytes, counted->bytes);
    unref(counted->owed);
    free(counted);
}

int owed_count(struct wire *router, const char *peer, void *part)
{
    struct owed_part *counted;
    struct owed *owed;

    HASH_FIND_STR(router->owed, peer, owed);
    if (!owed && !(owed = add(router, peer)))
        return MUSTER_ENOMEM;
    if (atomic_load(&owed->bytes) > OWED_BYTES_MAX)
        return MUSTER_ELOST;
    counted = malloc(sizeof *counted);
    if (!counted)
        return MUSTER_ENOMEM;
    zmq_msg_init(&counted->part);
    zmq_msg_move(&counted->part, part);
    counted->owed = owed;
    counted->bytes = zmq_msg_size(&counted->part) + MESSAGE_BYTES;
    atomic_fetch_add(&owed->bytes, counted->bytes);
    atomic_fetch_add(&owed->references, 1);
    HAND_OVER(counted);
    if (zmq_msg_init_data(part, zmq_msg_data(&counted->part), zmq_msg_size(&counted->part), settle,
                          counted) == 0)
        return 0;
    zmq_msg_init(part); /* the message is as good as not sent */
    settle(NULL, counted);
    return MUSTER_ENOMEM;
}
