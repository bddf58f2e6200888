/* SPDX-License-Identifier: MIT
 *
 * Wires that need keys: CURVE's side of ZeroMQ, and the door at which its threads ask who may come in
 * (ZAP, https://rfc.zeromq.org/spec/27). See wire.h and curve.h.
 *
 * The key that a peer proved to have travels with each of its messages as their "User-Id", which is set
 * by the answer at the door and by nobody else.
 */
#include "proto/curve.h"
#include "proto/wire_internal.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

/* How long a stranger has to prove his key; what he sends meanwhile is kept in memory. */
enum { HANDSHAKE_MS = 5000 };

/* A host that is gone without a word is noticed by the kernel after IDLE_S + PROBES * PROBE_S: two minutes.
 */
enum { IDLE_S = 60, PROBE_S = 10, PROBES = 6 };

static const char DOOR[] = "inproc://zeromq.zap.01";

void wire_prepare(void)
{
    if (sodium_init() < 0)
        return; /* ZeroMQ tries, too, and it is for it to say */
}

/* --- keys */

void curve_write(const struct curve_key *key, char ret_text[CURVE_TEXT_BYTES])
{
    sodium_bin2hex(ret_text, CURVE_TEXT_BYTES, key->bytes, sizeof key->bytes);
}

bool curve_read(const char *text, size_t size, struct curve_key *ret_key)
{
    struct curve_key key;
    size_t bytes;

    if (size != CURVE_TEXT_BYTES - 1 ||
        sodium_hex2bin(key.bytes, sizeof key.bytes, text, size, NULL, &bytes, NULL) != 0 ||
        bytes != sizeof key.bytes)
        return false;
    *ret_key = key;
    return true;
}

bool curve_equal(const struct curve_key *a, const struct curve_key *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* libzmq's functions for keys write them as Z85. */
enum { Z85_BYTES = CURVE_KEY_BYTES / 4 * 5 + 1 };

static int no_curve(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "libzmq was built without CURVE: it has no keys");
}

int curve_make(struct curve_key *ret_secret, struct muster_error *ret_error)
{
    char public[Z85_BYTES], secret[Z85_BYTES];

    if (zmq_curve_keypair(public, secret) != 0)
        return no_curve(ret_error);
    zmq_z85_decode(ret_secret->bytes, secret);
    sodium_memzero(secret, sizeof secret);
    return 0;
}

int curve_public(const struct curve_key *secret, struct curve_key *ret_public, struct muster_error *ret_error)
{
    char public[Z85_BYTES], text[Z85_BYTES];
    int result;

    zmq_z85_encode(text, secret->bytes, sizeof secret->bytes);
    result = zmq_curve_public(public, text);
    sodium_memzero(text, sizeof text);
    if (result != 0)
        return no_curve(ret_error);
    zmq_z85_decode(ret_public->bytes, public);
    return 0;
}

/* --- sockets */

static int set_key(const struct wire *wire, int option, const struct curve_key *key)
{
    return zmq_setsockopt(wire->socket, option, key->bytes, sizeof key->bytes);
}

static int set_number(const struct wire *wire, int option, int number)
{
    return zmq_setsockopt(wire->socket, option, &number, sizeof number);
}

static int watch_host(const struct wire *wire)
{
    return set_number(wire, ZMQ_TCP_KEEPALIVE, 1) || set_number(wire, ZMQ_TCP_KEEPALIVE_IDLE, IDLE_S) ||
           set_number(wire, ZMQ_TCP_KEEPALIVE_INTVL, PROBE_S) ||
           set_number(wire, ZMQ_TCP_KEEPALIVE_CNT, PROBES);
}

/* ZeroMQ copies a socket's options as it binds, so each endpoint has its own. */
int wire_bind_keyed(struct wire *wire, const char *endpoint, const struct curve_key *secret,
                    struct muster_error *ret_error)
{
    int result;

    if (set_number(wire, ZMQ_CURVE_SERVER, 1) || set_key(wire, ZMQ_CURVE_SECRETKEY, secret) ||
        set_number(wire, ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS) || watch_host(wire))
        return no_curve(ret_error);
    result = wire_bind(wire, endpoint, ret_error);
    set_number(wire, ZMQ_CURVE_SERVER, 0);
    wire->keyed = true;
    return result;
}

int wire_connect_keyed(struct wire *wire, const char *endpoint, const struct curve_key *secret,
                       const struct curve_key *server, struct muster_error *ret_error)
{
    struct curve_key public;
    int result = curve_public(secret, &public, ret_error);

    if (result != 0)
        return result;
    if (set_key(wire, ZMQ_CURVE_SERVERKEY, server) || set_key(wire, ZMQ_CURVE_PUBLICKEY, &public) ||
        set_key(wire, ZMQ_CURVE_SECRETKEY, secret) || watch_host(wire))
        return no_curve(ret_error);
    return wire_connect(wire, endpoint, ret_error);
}

/* Without a door ZeroMQ would let everybody in: whoever comes over tcp, which has an address, has a key, or
 * that of nobody. */
void wire_take_key(void *part, struct received *received)
{
    const char *user = zmq_msg_gets(part, "User-Id"), *address = zmq_msg_gets(part, "Peer-Address");
    bool local = !address || strncmp(address, WIRE_LOCAL, sizeof WIRE_LOCAL - 1) == 0;

    received->keyed = user || !local;
    if (!user || !curve_read(user, strlen(user), &received->key))
        memset(&received->key, 0, sizeof received->key);
}

/* --- the door */

int wire_open_door(struct wire_context *context, struct wire **ret_door, struct muster_error *ret_error)
{
    int result = wire_open_socket(context, ZMQ_REP, ret_door, ret_error);

    if (result != 0)
        return result;
    result = wire_bind(*ret_door, DOOR, ret_error);
    if (result != 0)
        wire_close(*ret_door, 0);
    return result;
}

/* The frames of a request, and of an answer as far as they are the same. */
enum { VERSION, REQUEST_ID, REQUEST_DOMAIN, ADDRESS, ROUTING_ID, MECHANISM, CREDENTIALS, REQUEST_FRAMES };

static bool is_text(zmq_msg_t *part, const char *text)
{
    return zmq_msg_size(part) == strlen(text) && memcmp(zmq_msg_data(part), text, strlen(text)) == 0;
}

/* Who asks to be let in. What stands for a name is the router's own. */
static bool read_request(zmq_msg_t *parts, int count, struct wire_stranger *ret_stranger)
{
    size_t size;

    if (count != REQUEST_FRAMES || !is_text(&parts[VERSION], "1.0") || !is_text(&parts[MECHANISM], "CURVE") ||
        zmq_msg_size(&parts[CREDENTIALS]) != CURVE_KEY_BYTES)
        return false;
    *ret_stranger = (struct wire_stranger){.address = ""};
    memcpy(ret_stranger->key.bytes, zmq_msg_data(&parts[CREDENTIALS]), CURVE_KEY_BYTES);
    size = zmq_msg_size(&parts[ADDRESS]);
    if (size < sizeof ret_stranger->address)
        memcpy(ret_stranger->address, zmq_msg_data(&parts[ADDRESS]), size);
    return true;
}

static void send_text(struct wire *door, const char *text, int flags)
{
    TEMP_FAILURE_RETRY(zmq_send(door->socket, text, strlen(text), flags | ZMQ_DONTWAIT));
}

static void answer(struct wire *door, zmq_msg_t *request_id, const struct curve_key *key)
{
    char text[CURVE_TEXT_BYTES] = "";

    if (key)
        curve_write(key, text);
    send_text(door, "1.0", ZMQ_SNDMORE);
    TEMP_FAILURE_RETRY(zmq_msg_send(request_id, door->socket, ZMQ_SNDMORE | ZMQ_DONTWAIT));
    send_text(door, key ? "200" : "400", ZMQ_SNDMORE);
    send_text(door, key ? "" : "this key is not allowed", ZMQ_SNDMORE);
    send_text(door, text, ZMQ_SNDMORE); /* "User-Id" */
    send_text(door, "", 0);             /* no further properties */
}

int wire_answer_door(struct wire *door, wire_admit *admit, void *context)
{
    zmq_msg_t parts[REQUEST_FRAMES];
    struct wire_stranger stranger;
    int count;

    for (int i = 0; i < REQUEST_FRAMES; i++)
        zmq_msg_init(&parts[i]);
    count = wire_receive_parts(door, parts, REQUEST_FRAMES);
    if (count >= 0)
        answer(door, &parts[REQUEST_ID],
               read_request(parts, count, &stranger) && admit(context, &stranger) ? &stranger.key : NULL);
    for (int i = 0; i < REQUEST_FRAMES; i++)
        zmq_msg_close(&parts[i]);
    return count < 0 ? count : 0;
}
