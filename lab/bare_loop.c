/* SPDX-License-Identifier: MIT
 *
 * The bare dispatch loop over ZeroMQ and msgpack-c. See bare.h.
 */
#include "lab/bare.h"

#include "base/clock.h"
#include "lab/bare_end.h"
#include "lab/bench_crew.h"

#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum { NAME_BYTES = 8 /* ZeroMQ makes names of 5 bytes up */ };

/* What both sides write and read messages with. */
struct codec {
    msgpack_sbuffer buffer;
    msgpack_unpacked unpacked;
};

static void codec_init(struct codec *codec)
{
    msgpack_sbuffer_init(&codec->buffer);
    msgpack_unpacked_init(&codec->unpacked);
}

static void codec_fini(struct codec *codec)
{
    msgpack_unpacked_destroy(&codec->unpacked);
    msgpack_sbuffer_destroy(&codec->buffer);
}

/* Functions that pack an integer for each job: all that they call becomes part of them, so that an integer
 * costs its few stores and no call with a length that only the callee's caller knows. It is worth a quarter
 * of the loop's speed. */
#define PACKS_INTEGERS __attribute__((flatten))

/* [first, [integer, ...]], of which the integers are still to come. The packer is a variable of the
 * caller's, so that the compiler sees what it writes with. */
static inline void pack_start(struct codec *codec, msgpack_packer *packer, uint64_t first, uint32_t count)
{
    msgpack_sbuffer_clear(&codec->buffer);
    msgpack_packer_init(packer, &codec->buffer, msgpack_sbuffer_write);
    msgpack_pack_array(packer, 2);
    msgpack_pack_uint64(packer, first);
    msgpack_pack_array(packer, count);
}

/* The integers of a message, valid until the next; NULL when it is something else. */
static const msgpack_object_array *unpack(struct codec *codec, zmq_msg_t *message)
{
    const msgpack_object *pair = &codec->unpacked.data;
    size_t offset = 0;

    if (msgpack_unpack_next(&codec->unpacked, zmq_msg_data(message), zmq_msg_size(message), &offset) !=
            MSGPACK_UNPACK_SUCCESS ||
        pair->type != MSGPACK_OBJECT_ARRAY || pair->via.array.size != 2 ||
        pair->via.array.ptr[1].type != MSGPACK_OBJECT_ARRAY)
        return NULL;
    return &pair->via.array.ptr[1].via.array;
}

/* --- a worker */

/* Answers chunks until an empty message. */
PACKS_INTEGERS
static int work(const struct bare_end *end, struct codec *codec, struct muster_error *ret_error)
{
    const msgpack_object_array *jobs;
    msgpack_packer packer;
    zmq_msg_t message;
    int code = 0;

    zmq_msg_init(&message);
    while (!code) {
        if (zmq_msg_recv(&message, end->socket, 0) < 0) {
            code = bare_failed("hear of work", ret_error);
            break;
        }
        if (zmq_msg_size(&message) == 0)
            break;
        if (!(jobs = unpack(codec, &message))) {
            code = muster_error_set(ret_error, MUSTER_EPROTOCOL, "the bare loop got what is no chunk");
            break;
        }
        pack_start(codec, &packer, codec->unpacked.data.via.array.ptr[0].via.u64, jobs->size);
        for (uint32_t i = 0; i < jobs->size; i++)
            msgpack_pack_uint64(&packer, jobs->ptr[i].via.u64 * 2 + 1);
        if (zmq_send(end->socket, codec->buffer.data, codec->buffer.size, 0) < 0)
            code = bare_failed("answer", ret_error);
    }
    zmq_msg_close(&message);
    return code;
}

int bare_worker(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    struct bare_end end = {.socket = NULL};
    struct muster_error error;
    struct codec codec;
    int code;

    (void)ret_result;
    codec_init(&codec);
    if ((code = bare_answer(&end, argument, &error)) == 0)
        code = work(&end, &codec, &error);
    codec_fini(&codec);
    bare_end_close(&end);
    return code ? muster_call_fail(call, "%s", error.text) : 0;
}

/* --- the dispatcher */

struct name {
    char bytes[NAME_BYTES];
    int size;
};

struct dispatcher {
    const struct bare_loop *loop;
    struct bare_end end;
    struct codec codec;
    struct name *names; /* of the workers */
    uint64_t jobs, sent, done, sum;
};

/* Until a worker has said its number; somebody else who connects is not listened to. */
static int hear_worker(const struct bare_end *end, muster *crew, struct name *ret_name,
                       struct muster_error *ret_error)
{
    struct name name = {.size = 0};
    uint64_t said;
    int code;

    do {
        said = 0;
        if ((code = bare_await(end, crew, ret_error)) != 0)
            return code;
        if ((name.size = zmq_recv(end->socket, name.bytes, NAME_BYTES, 0)) < 0 ||
            zmq_recv(end->socket, &said, sizeof said, 0) < 0)
            return bare_failed("hear its workers", ret_error);
    } while (said != end->number || name.size > NAME_BYTES);
    *ret_name = name;
    return 0;
}

/* One after another: a call that is made when others run goes to a process that has none. */
static int call_workers(struct dispatcher *d, muster_future **calls, struct muster_error *ret_error)
{
    int code = 0;

    for (unsigned i = 0; i < d->loop->workers && !code; i++)
        if ((code = bare_call(&d->end, d->loop->crew, BARE_WORKER, &calls[i], ret_error)) == 0)
            code = hear_worker(&d->end, d->loop->crew, &d->names[i], ret_error);
    return code;
}

/* The next chunk, if there is one, to a worker. */
PACKS_INTEGERS
static int send_chunk(struct dispatcher *d, unsigned worker, struct muster_error *ret_error)
{
    uint64_t left = d->jobs - d->sent;
    uint32_t count = left < d->loop->chunk ? (uint32_t)left : d->loop->chunk;
    const struct name *name = &d->names[worker];
    msgpack_packer packer;

    if (count == 0)
        return 0;
    pack_start(&d->codec, &packer, d->sent, count);
    for (uint32_t i = 0; i < count; i++)
        msgpack_pack_uint64(&packer, d->sent + i);
    d->sent += count;
    if (zmq_send(d->end.socket, name->bytes, (size_t)name->size, ZMQ_SNDMORE) < 0 ||
        zmq_send(d->end.socket, d->codec.buffer.data, d->codec.buffer.size, 0) < 0)
        return bare_failed("send work", ret_error);
    return 0;
}

/* The next result; says which worker it is from, which is none when it is nobody of ours. */
static int receive_result(struct dispatcher *d, unsigned *ret_worker, struct muster_error *ret_error)
{
    const msgpack_object_array *results;
    zmq_msg_t message;
    struct name name;
    unsigned worker = 0;
    int code = 0;

    zmq_msg_init(&message);
    if ((name.size = zmq_recv(d->end.socket, name.bytes, NAME_BYTES, 0)) < 0 ||
        zmq_msg_recv(&message, d->end.socket, 0) < 0) {
        code = bare_failed("hear a result", ret_error);
        goto out;
    }
    while (worker < d->loop->workers && (d->names[worker].size != name.size ||
                                         memcmp(d->names[worker].bytes, name.bytes, (size_t)name.size) != 0))
        worker++;
    *ret_worker = worker;
    if (worker == d->loop->workers)
        goto out;
    if (!(results = unpack(&d->codec, &message))) {
        code = muster_error_set(ret_error, MUSTER_EPROTOCOL, "the bare loop got what is no result");
        goto out;
    }
    for (uint32_t i = 0; i < results->size; i++)
        d->sum += results->ptr[i].via.u64;
    d->done += results->size;
out:
    zmq_msg_close(&message);
    return code;
}

static int dispatch(struct dispatcher *d, struct muster_error *ret_error)
{
    unsigned worker = 0;
    int code = 0;

    for (unsigned i = 0; i < d->loop->workers * d->loop->ahead && !code; i++)
        code = send_chunk(d, i % d->loop->workers, ret_error);
    while (!code && d->done < d->jobs) {
        code = receive_result(d, &worker, ret_error);
        if (!code && worker < d->loop->workers)
            code = send_chunk(d, worker, ret_error);
    }
    if (!code && d->sum != d->jobs * d->jobs) /* of 1 + 3 + 5 + ... */
        code = muster_error_set(ret_error, MUSTER_ESTATE, "the bare loop's results are wrong");
    return code;
}

static void dismiss_workers(struct dispatcher *d)
{
    for (unsigned i = 0; i < d->loop->workers; i++)
        if (zmq_send(d->end.socket, d->names[i].bytes, (size_t)d->names[i].size, ZMQ_SNDMORE) >= 0)
            zmq_send(d->end.socket, "", 0, 0);
}

int bare_loop_run(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const struct bare_loop *loop = context;
    struct dispatcher d = {.loop = loop, .jobs = jobs};
    muster_future **calls = calloc(loop->workers, sizeof(muster_future *));
    uint64_t began_ns = 0, ended_ns = 0;
    int code, ended;

    d.names = calloc(loop->workers, sizeof *d.names);
    codec_init(&d.codec);
    if (!d.names || !calls) {
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        goto out;
    }
    code = bare_listen(&d.end, ZMQ_ROUTER, loop->transport, loop->workers, ret_error);
    if (code || (code = call_workers(&d, calls, ret_error)) != 0)
        goto out;
    began_ns = clock_now_ns();
    code = dispatch(&d, ret_error);
    ended_ns = clock_now_ns();
    dismiss_workers(&d);
out:
    ended = calls ? bench_crew_wait(calls, loop->workers, code ? NULL : ret_error) : 0;
    bare_end_close(&d.end);
    codec_fini(&d.codec);
    free(d.names);
    free(calls);
    if (code || ended)
        return code ? code : ended;
    *ret_ns = ended_ns - began_ns;
    return 0;
}
