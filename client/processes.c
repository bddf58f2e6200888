/* SPDX-License-Identifier: MIT
 *
 * The model `processes`: a coordinator in a thread of this process, or one that runs in another,
 * and the connection of the caller's thread to it.
 */
#include "client/processes.h"

#include "base/clock.h"
#include "client/forkserver.h"
#include "coordinator/place.h"
#include "proto/descriptors.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    /* How long a coordinator of another process gets to hear that this client leaves. */
    LAST_WORDS_MS = 1000,
};

/* libzmq aborts when it runs out of descriptors, so it must not. */
static int check_descriptors(unsigned workers, struct muster_error *ret_error)
{
    unsigned needed = PROCESSES_OTHER_DESCRIPTORS + PROCESSES_WORKER_DESCRIPTORS * workers, had;

    if (descriptors_count(needed, &had))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (had == needed)
        return 0;
    if (workers == 0)
        return muster_error_set(ret_error, MUSTER_ELIMIT,
                                "a connection needs %u file descriptors and only %u can be had: a higher "
                                "limit (ulimit -n)",
                                needed, had);
    return muster_error_set(
        ret_error, MUSTER_ELIMIT,
        "%u %s %u file descriptors and only %u can be had: fewer workers (-j), or a higher limit (ulimit -n)",
        workers, workers == 1 ? "worker needs" : "workers need", needed, had);
}

static int say_hello(struct processes *p, struct muster_error *ret_error)
{
    const char *user = getenv("USER");
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello =
            {
                .version = PROTO_VERSION,
                .role = PROTO_CLIENT,
                .pid = (uint64_t)getpid(),
                .software = proto_text("libmuster " MUSTER_VERSION),
                .user = proto_text(user ? user : ""),
            },
    };

    if (wire_send(p->mailbox.wire, NULL, &hello) != 0)
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot reach the coordinator");
    return 0;
}

/* To the coordinator of this process. */
static int connect_owner(struct processes *p, struct muster_error *ret_error)
{
    int result = wire_open_dealer(p->context, COORDINATOR_OWNER, &p->mailbox.wire, ret_error);

    if (result == 0)
        result = wire_connect(p->mailbox.wire, COORDINATOR_INPROC, ret_error);
    return result;
}

static int find_endpoint(const char *coordinator, char ret_endpoint[PLACE_ENDPOINT_BYTES],
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

/* Whether somebody listens at an endpoint of ipc, and is this user: ZeroMQ says nothing of either. Where too
 * many are about to connect (EAGAIN) somebody does. */
static int knock(const char *endpoint, struct muster_error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred listener = {.uid = geteuid()};
    socklen_t size = sizeof listener;
    int fd, error;

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
    return 0;
}

/* To one of another process, under a name that nobody had before. */
static int connect_guest(struct processes *p, const char *endpoint, struct muster_error *ret_error)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    uint64_t chance;
    int result;

    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        return muster_error_system(ret_error, errno, "cannot make up a name for a client");
    snprintf(name, sizeof name, "libmuster-%ld-%016llx", (long)getpid(), (unsigned long long)chance);
    result = wire_open_dealer(p->context, name, &p->mailbox.wire, ret_error);
    if (result == 0)
        result = wire_watch(p->mailbox.wire, ret_error);
    if (result == 0)
        result = wire_connect(p->mailbox.wire, endpoint, ret_error);
    return result;
}

/* Large values go through shared memory where workers can open this process's, and it theirs. */
static int share_memory(struct processes *p, uint64_t host, struct muster_error *ret_error)
{
    if (host == 0 || host != heap_host())
        return 0;
    if (heap_create(HEAP_SHARED, 0, &p->model.heap) != 0 ||
        mappings_create(p->model.heap, true, &p->mappings) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    p->mailbox.mappings = p->mappings;
    p->tasks.outlet.heap = p->model.heap;
    return 0;
}

/* The answer to HELLO, if it has come; else MUSTER_EAGAIN. */
static int take_welcome(struct processes *p, struct muster_error *ret_error)
{
    struct wire_frame *frame;
    int result = wire_receive(p->mailbox.wire, &frame);

    if (result == MUSTER_EAGAIN)
        return result;
    if (result != 0)
        return muster_error_set(ret_error, result, "the coordinator: %s", muster_error_name(result));
    if (frame->error.code != 0) {
        result = muster_error_set(ret_error, frame->error.code, "the coordinator sent %s", frame->error.text);
    } else if (frame->message.type == PROTO_ERROR) {
        result = muster_error_set(ret_error, frame->message.error.code, "%.*s",
                                  (int)frame->message.error.text.size, frame->message.error.text.bytes);
    } else if (frame->message.type != PROTO_WELCOME || frame->message.welcome.version != PROTO_VERSION) {
        result = muster_error_set(ret_error, MUSTER_EVERSION, "the coordinator speaks another version");
    } else {
        p->workers = frame->message.welcome.workers;
        p->keeps = frame->message.welcome.keeps != PROTO_KEEPS_NOTHING;
        p->welcome = true;
        result = share_memory(p, frame->message.welcome.host, ret_error);
    }
    wire_frame_destroy(frame);
    return result;
}

/* Waits for WELCOME until then. */
static int wait_welcome(struct processes *p, uint64_t deadline_ns, struct muster_error *ret_error)
{
    struct wire_poll item = {.wire = p->mailbox.wire};
    int result;

    while ((result = take_welcome(p, ret_error)) == MUSTER_EAGAIN) {
        uint64_t now_ns = clock_now_ns();

        if (now_ns >= deadline_ns)
            return muster_error_set(ret_error, MUSTER_ELOST, "the coordinator does not answer");
        if (wire_wait(&item, 1, clock_poll_ms(now_ns, deadline_ns)) < 0)
            return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot wait for the coordinator");
    }
    return result;
}

static void processes_close(struct model *model, struct task **ended)
{
    struct processes *p = (struct processes *)model;

    processes_end_tasks(p, MUSTER_ECANCELLED, muster_error_name(MUSTER_ECANCELLED), ended);
    if (p->coordinator || p->welcome)
        wire_send(p->mailbox.wire, NULL, &(struct proto_message){.type = PROTO_STOP});
    coordinator_stop(p->coordinator);
    wire_close(p->mailbox.wire, !p->coordinator && p->welcome && !p->mailbox.lost.code ? LAST_WORDS_MS : 0);
    wire_context_destroy(p->context);
    forkserver_stop(p->forkserver);
    mappings_destroy(p->mappings);
    free(p);
}

struct coordinator_options processes_settings(const struct muster_options *options)
{
    return (struct coordinator_options){
        .program = options->worker_program,
        .workers = options->workers,
        .plugins = options->plugins,
        .plugin_count = options->plugin_count,
        .heartbeat_ns = (uint64_t)(options->heartbeat_s * 1e9),
        .memory_bytes = options->memory_bytes,
        .concurrency = options->concurrency,
        .tcp = options->transport == MUSTER_TCP,
        .values_inline = options->transport != MUSTER_IPC,
        .messages_alone = options->transport == MUSTER_IPC_ALONE || options->transport == MUSTER_TCP,
        .pin = options->pin,
        .warm = options->warm,
    };
}

/* Starts a coordinator of its own and waits until it is ready, which it says itself if it fails. */
static int open_own(struct processes *p, const struct muster_options *options,
                    const struct registry *registry, struct muster_error *ret_error)
{
    struct coordinator_options coordinator_options = processes_settings(options);
    int result = check_descriptors(options->workers, ret_error);

    if (result == 0 && options->start != MUSTER_SPAWN) {
        result = forkserver_start(registry, options, &p->forkserver, ret_error);
        coordinator_options.launcher = result == 0 ? forkserver_launcher(p->forkserver) : NULL;
    }
    if (result == 0)
        result = wire_context_create(&p->context, ret_error);
    if (result == 0) /* before there is one: once it runs, it has to be told to stop */
        result = connect_owner(p, ret_error);
    if (result == 0)
        result = coordinator_start(&coordinator_options, p->context, &p->coordinator, ret_error);
    if (result == 0)
        result = say_hello(p, ret_error);
    if (result == 0)
        result = wait_welcome(p, CLOCK_NEVER, ret_error);
    return result;
}

/* Connects to one that runs. */
static int open_other(struct processes *p, const struct muster_options *options,
                      struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), (uint64_t)(options->heartbeat_s * 1e9));
    char *endpoint = p->mailbox.where;
    struct muster_error error;
    int result = check_descriptors(0, ret_error);

    if (result == 0)
        result = find_endpoint(options->coordinator, endpoint, ret_error);
    if (result == 0)
        result = knock(endpoint, ret_error);
    if (result == 0)
        result = wire_context_create(&p->context, ret_error);
    if (result == 0)
        result = connect_guest(p, endpoint, ret_error);
    if (result != 0)
        return result;
    result = say_hello(p, &error);
    if (result == 0)
        result = wait_welcome(p, deadline_ns, &error);
    if (result == MUSTER_ELOST)
        return muster_error_set(ret_error, result,
                                "no coordinator answers at %s: it has ended, or the endpoint is wrong",
                                endpoint);
    if (result != 0)
        return muster_error_set(ret_error, result, "%s: %s", endpoint, error.text);
    return 0;
}

static int processes_open(const struct muster_options *options, const struct registry *registry,
                          struct model **ret_model, struct muster_error *ret_error)
{
    struct processes *p = calloc(1, sizeof *p);
    struct task *none = NULL;
    int result;

    if (!p)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    p->model.ops = &model_processes;
    p->crash_limit = options->crash_limit;
    p->tasks.outlet = (struct stream_outlet){.mailbox = &p->mailbox, .crash_limit = options->crash_limit};
    result =
        options->coordinator ? open_other(p, options, ret_error) : open_own(p, options, registry, ret_error);
    if (result == 0)
        result = wire_open_fd(p->mailbox.wire, ret_error);
    if (result != 0) {
        model_close(&p->model, &none);
        return result;
    }
    *ret_model = &p->model;
    return 0;
}

const struct model_ops model_processes = {
    .open = processes_open,
    .close = processes_close,
    .map = processes_map,
    .submit = processes_submit,
    .cancel = processes_cancel,
    .dispatch = processes_dispatch,
    .fd = processes_fd,
};
