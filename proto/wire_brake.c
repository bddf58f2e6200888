/* SPDX-License-Identifier: MIT
 *
 * Has ZeroMQ's thread wait while a guarded router looks at what it has read. See wire_receive.c. It reads the
 * smallest messages two to three times as fast as they can be received from it, and what it has read is
 * counted nowhere; while it waits, peers do by the kernel's means.
 *
 * ZeroMQ has no call for that. Its thread frees what it has sent, by a function of ours where the sender says
 * so: a message to ourselves, over a socket in the kernel's memory, has it come there and wait.
 */
#include "proto/wire_internal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>
#include <zmq.h>

struct wire_brake {
    struct wire *near, *far; /* owned: the message goes from here to there */
    pthread_mutex_t lock;    /* of: */
    bool on;
    pthread_cond_t released;
    atomic_uint references; /* of the wire, and of each message */
    bool pulled;            /* the router's thread's */
};

static void unref(struct wire_brake *brake)
{
    if (atomic_fetch_sub(&brake->references, 1) > 1)
        return;
    pthread_cond_destroy(&brake->released);
    pthread_mutex_destroy(&brake->lock);
    free(brake);
}

/* ZeroMQ's thread; or whoever closes a socket, when it is not on. */
static void wait_for_release(void *bytes, void *hint)
{
    struct wire_brake *brake = hint;

    (void)bytes;
    TAKE_OVER(brake);
    pthread_mutex_lock(&brake->lock);
    while (brake->on)
        pthread_cond_wait(&brake->released, &brake->lock);
    pthread_mutex_unlock(&brake->lock);
    unref(brake);
}

static int connect_ends(struct wire_brake *brake, struct wire_context *context,
                        struct muster_error *ret_error)
{
    char endpoint[64];
    uint64_t number;
    int result;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "the kernel has no random numbers");
    snprintf(endpoint, sizeof endpoint, "ipc://@muster-%016llx", (unsigned long long)number);
    result = wire_open_socket(context, ZMQ_PAIR, &brake->far, ret_error);
    if (result == 0)
        result = wire_open_socket(context, ZMQ_PAIR, &brake->near, ret_error);
    if (result == 0)
        result = wire_bind(brake->far, endpoint, ret_error);
    return result == 0 ? wire_connect(brake->near, endpoint, ret_error) : result;
}

int brake_create(struct wire_context *context, struct wire_brake **ret_brake, struct muster_error *ret_error)
{
    struct wire_brake *brake = calloc(1, sizeof *brake);
    int result;

    if (!brake)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "ZeroMQ socket: out of memory");
    pthread_mutex_init(&brake->lock, NULL);
    pthread_cond_init(&brake->released, NULL);
    atomic_init(&brake->references, 1);
    result = connect_ends(brake, context, ret_error);
    if (result == 0)
        *ret_brake = brake;
    else
        brake_destroy(brake);
    return result;
}

void brake_destroy(struct wire_brake *brake)
{
    if (!brake)
        return;
    brake_release(brake);
    wire_close(brake->near, 0);
    wire_close(brake->far, 0);
    unref(brake);
}

static void set(struct wire_brake *brake, bool on)
{
    pthread_mutex_lock(&brake->lock);
    brake->on = on;
    pthread_cond_broadcast(&brake->released);
    pthread_mutex_unlock(&brake->lock);
}

void brake_pull(struct wire_brake *brake)
{
    static char nothing[1];
    zmq_msg_t message;

    if (!brake)
        return;
    while (zmq_msg_init(&message) == 0 && zmq_msg_recv(&message, brake->far->socket, ZMQ_DONTWAIT) >= 0)
        zmq_msg_close(&message);
    zmq_msg_close(&message);
    if (zmq_msg_init_data(&message, nothing, sizeof nothing, wait_for_release, brake) != 0)
        return; /* out of memory: what there is is looked at */
    atomic_fetch_add(&brake->references, 1);
    set(brake, true);
    HAND_OVER(brake);
    brake->pulled = TEMP_FAILURE_RETRY(zmq_msg_send(&message, brake->near->socket, ZMQ_DONTWAIT)) >= 0;
    if (brake->pulled)
        return;
    set(brake, false);
    zmq_msg_close(&message);
}

bool brake_is_pulled(const struct wire_brake *brake)
{
    return brake && brake->pulled;
}

void brake_release(struct wire_brake *brake)
{
    if (!brake_is_pulled(brake))
        return;
    set(brake, false);
    brake->pulled = false;
}
