/* SPDX-License-Identifier: MIT
 *
 * Messages there and back between two processes, over ZeroMQ alone and through shared memory. See
 * bare.h.
 */
#include "lab/bare.h"

#include "base/clock.h"
#include "lab/bare_end.h"
#include "lab/bench_crew.h"

#include <linux/futex.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <zmq.h>

/* --- over ZeroMQ */

/* Sends back what comes, until an empty message. */
static int echo(const struct bare_end *end, struct muster_error *ret_error)
{
    char bytes[BARE_PING_BYTES];
    int size;

    for (;;) {
        if ((size = zmq_recv(end->socket, bytes, sizeof bytes, 0)) < 0)
            return bare_failed("hear the other end of the ping", ret_error);
        if (size == 0)
            return 0;
        if (zmq_send(end->socket, bytes, sizeof bytes, 0) < 0)
            return bare_failed("answer a ping", ret_error);
    }
}

int bare_echo(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    struct bare_end end = {.socket = NULL};
    struct muster_error error;
    int code;

    (void)ret_result;
    if ((code = bare_answer(&end, argument, &error)) == 0)
        code = echo(&end, &error);
    bare_end_close(&end);
    return code ? muster_call_fail(call, "%s", error.text) : 0;
}

static int hear_number(const struct bare_end *end, struct muster_error *ret_error)
{
    uint64_t said = 0;

    if (zmq_recv(end->socket, &said, sizeof said, 0) < 0)
        return bare_failed("hear the other end of the ping", ret_error);
    if (said != end->number)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "somebody else connected to the bare ping");
    return 0;
}

static int ping(const struct bare_end *end, size_t count, uint64_t *ret_ns, struct muster_error *ret_error)
{
    char bytes[BARE_PING_BYTES] = {0};

    for (size_t i = 0; i < count; i++) {
        uint64_t began_ns = clock_now_ns();

        if (zmq_send(end->socket, bytes, sizeof bytes, 0) < 0 ||
            zmq_recv(end->socket, bytes, sizeof bytes, 0) < 0)
            return bare_failed("ping", ret_error);
        ret_ns[i] = clock_now_ns() - began_ns;
    }
    return 0;
}

int bare_ping(muster *crew, enum muster_transport transport, size_t count, uint64_t *ret_ns,
              struct muster_error *ret_error)
{
    struct bare_end end = {.socket = NULL};
    muster_future *call = NULL;
    int code, ended;

    if ((code = bare_listen(&end, ZMQ_DEALER, transport, 1, ret_error)) != 0 ||
        (code = bare_call(&end, crew, BARE_ECHO, &call, ret_error)) != 0)
        goto out;
    if ((code = bare_await(&end, crew, ret_error)) == 0 && (code = hear_number(&end, ret_error)) == 0)
        code = ping(&end, count, ret_ns, ret_error);
    zmq_send(end.socket, "", 0, 0);
out:
    ended = bench_crew_wait(&call, 1, code ? NULL : ret_error);
    bare_end_close(&end);
    return code ? code : ended;
}

/* --- through shared memory */

static const uint64_t PATIENCE_NS = 30 * CLOCK_NS_PER_S; /* for all turns: some seconds */

/* Even: the caller's turn; odd: the other's; the highest bit: it is over. */
enum { OVER = INT32_MIN };

/* Waits, a second at most, while the turn is `value`. */
static void wait_while(atomic_int *turn, int value)
{
    struct timespec second = {.tv_sec = 1};

    syscall(SYS_futex, turn, FUTEX_WAIT, value, &second, NULL, 0);
}

static void pass_to(atomic_int *turn, int value)
{
    atomic_store(turn, value);
    syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int bare_futex_echo(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    atomic_int *turn = bench_crew_page();
    int seen;

    (void)argument, (void)ret_result;
    while ((seen = atomic_load(turn)) != OVER) {
        if (muster_call_cancelled(call))
            return muster_call_fail(call, "cancelled");
        if (seen & 1)
            pass_to(turn, seen + 1);
        else
            wait_while(turn, seen);
    }
    return 0;
}

/* Waits while it is the other side's turn. */
static int await_turn(atomic_int *turn, int value, uint64_t deadline_ns, struct muster_error *ret_error)
{
    while (atomic_load(turn) == value) {
        wait_while(turn, value);
        if (clock_now_ns() > deadline_ns)
            return muster_error_set(ret_error, MUSTER_ETIMEOUT, "the other side of the futex is gone");
    }
    return 0;
}

/* The first turn: the call itself is under way, and it takes this thread to get there. */
static int await_call(muster *crew, atomic_int *turn, uint64_t deadline_ns, struct muster_error *ret_error)
{
    struct pollfd item = {.fd = muster_fd(crew), .events = POLLIN};
    int code = 0;

    pass_to(turn, 1);
    while (!code && atomic_load(turn) == 1) {
        if (clock_now_ns() > deadline_ns)
            return muster_error_set(ret_error, MUSTER_ETIMEOUT, "nobody is on the other side of the futex");
        if (poll(&item, 1, 1) > 0)
            code = muster_dispatch(crew, ret_error);
    }
    return code;
}

int bare_futex(muster *crew, size_t count, uint64_t *ret_ns, struct muster_error *ret_error)
{
    static const msgpack_object nil = {.type = MSGPACK_OBJECT_NIL};
    uint64_t deadline_ns = clock_after(clock_now_ns(), PATIENCE_NS);
    atomic_int *turn = bench_crew_page();
    muster_future *call = NULL;
    int code, ended;

    atomic_store(turn, 0);
    if ((code = bench_crew_call(crew, BARE_FUTEX, &nil, &call, ret_error)) == 0)
        code = await_call(crew, turn, deadline_ns, ret_error);
    for (size_t i = 0; i < count && !code; i++) {
        int mine = 2 * (int)i + 2; /* the number at which it is this side's turn */
        uint64_t began_ns = clock_now_ns();

        pass_to(turn, mine + 1);
        code = await_turn(turn, mine + 1, deadline_ns, ret_error);
        ret_ns[i] = clock_now_ns() - began_ns;
    }
    pass_to(turn, OVER);
    ended = bench_crew_wait(&call, 1, code ? NULL : ret_error);
    return code ? code : ended;
}
