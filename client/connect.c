/* SPDX-License-Identifier: MIT
 *
 * How a client comes to a coordinator. See connect.h.
 */
#include "client/connect.h"

#include "base/clock.h"
#include "client/muster.h"
#include "coordinator/keys.h"
#include "proto/descriptors.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Of one connection: sockets, wake-ups, epoll, and room for what the caller opens. */
enum { CONNECT_DESCRIPTORS = 32 };

/* Of an entry of the system's users; of one that is longer, the number is taken. */
enum { USER_ENTRY_BYTES = 4096 };

int connect_endpoint(const char *coordinator, char ret_endpoint[PLACE_ENDPOINT_BYTES],
                     struct muster_error *ret_error)
{
    if (strcmp(coordinator, MUSTER_COORDINATOR_DEFAULT) == 0)
        return place_default(ret_endpoint, ret_error);
    snprintf(ret_endpoint, PLACE_ENDPOINT_BYTES, "%s", coordinator);
    return 0;
}

/* Why nobody can be reached at a socket. */
static int explain(const char *endpoint, int error, struct muster_error *ret_error)
{
    if (error == ENOENT || error == ECONNREFUSED)
        return muster_error_set(ret_error, MUSTER_ELOST,
                                "no coordinator listens at %s%s: 'muster coordinator' starts one", endpoint,
                                error == ENOENT ? "" : " any more");
    if (error == EACCES)
        return muster_error_set(ret_error, MUSTER_ELOST, "%s is closed to this user", endpoint);
    return muster_error_system(ret_error, error, "cannot connect to %s", endpoint);
}

/* ZeroMQ says nothing of either. Where too many are about to connect (EAGAIN) somebody listens. */
int connect_knock(const char *endpoint, pid_t *ret_listener, struct muster_error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred listener = {.uid = geteuid()};
    socklen_t size = sizeof listener;
    int fd, error;

    if (ret_listener)
        *ret_listener = 0;
    if (strncmp(endpoint, "ipc://", strlen("ipc://")) != 0)
        return 0;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return muster_error_system(ret_error, errno, "cannot connect to %s", endpoint);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", endpoint + strlen("ipc://"));
    error = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;
    if (error == 0 && getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &listener, &size) != 0)
        error = errno;
    close(fd);
    if (error != 0 && error != EAGAIN)
        return explain(endpoint, error, ret_error);
    if (listener.uid != geteuid())
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "the coordinator at %s belongs to another user (%u): each has his own",
                                endpoint, (unsigned)listener.uid);
    if (ret_listener)
        *ret_listener = listener.pid;
    return 0;
}

static int reach(struct wire *wire, const char *endpoint, struct muster_error *ret_error)
{
    char address[PLACE_ENDPOINT_BYTES];
    struct curve_key server, secret;
    int result;

    if (!place_split(endpoint, address, &server))
        return wire_connect(wire, address, ret_error);
    result = keys_load(&secret, ret_error);
    if (result == 0)
        result = wire_connect_keyed(wire, address, &secret, &server, ret_error);
    explicit_bzero(&secret, sizeof secret);
    return result;
}

static int open_wire(struct wire_context *context, const char *endpoint, struct wire **ret_wire,
                     struct muster_error *ret_error)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    struct wire *wire;
    uint64_t chance;
    int result;

    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        return muster_error_system(ret_error, errno, "cannot make up a name for a client");
    snprintf(name, sizeof name, "libmuster-%ld-%016llx", (long)getpid(), (unsigned long long)chance);
    if ((result = wire_open_dealer(context, name, &wire, ret_error)) != 0)
        return result;
    if ((result = wire_watch(wire, ret_error)) != 0 || (result = reach(wire, endpoint, ret_error)) != 0) {
        wire_close(wire, 0);
        return result;
    }
    *ret_wire = wire;
    return 0;
}

static bool is_name(const char *name)
{
    return name && *name && strlen(name) <= PROTO_USER_MAX;
}

/* What the user is called: as the environment says, else as the system does, else by number. */
static struct proto_text find_user(char ret_name[PROTO_USER_MAX + 1])
{
    const char *user = getenv("USER");
    char bytes[USER_ENTRY_BYTES];
    struct passwd entry, *found = NULL;

    if (!is_name(user) && getpwuid_r(geteuid(), &entry, bytes, sizeof bytes, &found) == 0 && found)
        user = entry.pw_name;
    if (is_name(user))
        snprintf(ret_name, PROTO_USER_MAX + 1, "%s", user);
    else
        snprintf(ret_name, PROTO_USER_MAX + 1, "%u", (unsigned)geteuid());
    return proto_text(ret_name);
}

static int say_hello(struct wire *wire, struct muster_error *ret_error)
{
    char user[PROTO_USER_MAX + 1];
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello =
            {
                .version = PROTO_VERSION,
                .role = PROTO_CLIENT,
                .pid = (uint64_t)getpid(),
                .software = proto_text("libmuster " MUSTER_VERSION),
                .user = find_user(user),
            },
    };
    int result = wire_send(wire, NULL, &hello);

    if (result ==
        MUSTER_EAGAIN) /* who was there has refused to shake hands, and nothing goes there any more */
        return muster_error_set(ret_error, MUSTER_ELOST, "the coordinator does not answer");
    if (result != 0)
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot reach the coordinator");
    return 0;
}

/* The answer to HELLO, if it has come; else MUSTER_EAGAIN. */
static int take_welcome(struct wire *wire, struct proto_welcome *ret_welcome, struct muster_error *ret_error)
{
    struct wire_frame *frame;
    int result = wire_receive(wire, &frame);

    if (result == MUSTER_EAGAIN)
        return result;
    if (result != 0)
        return muster_error_set(ret_error, result, "the coordinator: %s", muster_error_name(result));
    if (frame->error.code != 0)
        result = muster_error_set(ret_error, frame->error.code, "the coordinator sent %s", frame->error.text);
    else if (frame->message.type == PROTO_ERROR)
        result = muster_error_set(ret_error, frame->message.error.code, "%.*s",
                                  (int)frame->message.error.text.size, frame->message.error.text.bytes);
    else if (frame->message.type != PROTO_WELCOME || frame->message.welcome.version != PROTO_VERSION)
        result = muster_error_set(ret_error, MUSTER_EVERSION, "the coordinator speaks another version");
    else
        *ret_welcome = frame->message.welcome;
    wire_frame_destroy(frame);
    return result;
}

int connect_greet(struct wire *wire, uint64_t deadline_ns, struct proto_welcome *ret_welcome,
                  struct muster_error *ret_error)
{
    struct wire_poll item = {.wire = wire};
    int result = say_hello(wire, ret_error);

    while (result == 0 && (result = take_welcome(wire, ret_welcome, ret_error)) == MUSTER_EAGAIN) {
        uint64_t now_ns = clock_now_ns();

        if (now_ns >= deadline_ns)
            return muster_error_set(ret_error, MUSTER_ELOST, "the coordinator does not answer");
        result = 0;
        if (wire_wait(&item, 1, clock_poll_ms(now_ns, deadline_ns)) < 0)
            return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot wait for the coordinator");
    }
    return result;
}

static void explain_silence(const char *endpoint, struct muster_error *ret_error)
{
    char address[PLACE_ENDPOINT_BYTES];
    struct curve_key server;
    bool keyed = place_split(endpoint, address, &server);

    muster_error_set(ret_error, MUSTER_ELOST,
                     "no coordinator answers at %s: it has ended, or the endpoint is wrong%s", endpoint,
                     keyed                                 ? ", or the key behind the # is not its"
                     : strncmp(endpoint, "tcp://", 6) == 0 ? ", or lacks its key: tcp://HOST:PORT#KEY"
                                                           : "");
}

/* This side's key did not get in. */
static int explain_refusal(const char *endpoint, struct muster_error *ret_error)
{
    char text[CURVE_TEXT_BYTES] = "KEY";
    struct curve_key secret, public;

    if (keys_load(&secret, NULL) == 0 && curve_public(&secret, &public, NULL) == 0)
        curve_write(&public, text);
    explicit_bzero(&secret, sizeof secret);
    return muster_error_set(ret_error, MUSTER_EDENIED,
                            "the coordinator at %s does not accept this key; its keeper allows it with "
                            "'muster key allow %s submit NAME'",
                            endpoint, text);
}

/* As connect_coordinator, in a context that is there. */
static int connect_within(struct wire_context *context, const char *endpoint, uint64_t deadline_ns,
                          struct wire **ret_wire, struct proto_welcome *ret_welcome,
                          struct muster_error *ret_error)
{
    struct muster_error why;
    struct wire *wire;
    int result = open_wire(context, endpoint, &wire, ret_error);

    if (result != 0)
        return result;
    result = connect_greet(wire, deadline_ns, ret_welcome, &why);
    if (result == 0) {
        *ret_wire = wire;
        return 0;
    }
    if (result == MUSTER_ELOST && wire_is_refused(wire))
        result = explain_refusal(endpoint, ret_error);
    else if (result == MUSTER_ELOST)
        explain_silence(endpoint, ret_error);
    else
        muster_error_set(ret_error, result, "%s: %s", endpoint, why.text);
    wire_close(wire, 0);
    return result;
}

int connect_coordinator(const char *endpoint, uint64_t deadline_ns, struct wire_context **ret_context,
                        struct wire **ret_wire, struct proto_welcome *ret_welcome,
                        struct muster_error *ret_error)
{
    struct wire_context *context;
    int result;

    if ((result = descriptors_check(CONNECT_DESCRIPTORS, "a connection needs", "", ret_error)) != 0 ||
        (result = connect_knock(endpoint, NULL, ret_error)) != 0 ||
        (result = wire_context_create(&context, ret_error)) != 0)
        return result;
    result = connect_within(context, endpoint, deadline_ns, ret_wire, ret_welcome, ret_error);
    if (result == 0)
        *ret_context = context;
    else
        wire_context_destroy(context);
    return result;
}
