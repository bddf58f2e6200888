/* SPDX-License-Identifier: MIT
 *
 * The model `processes`: a coordinator in a thread of this process, and the connection of the
 * caller's thread to it.
 */
#include "client/processes.h"

#include "client/forkserver.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* Descriptors of one worker: pidfd, flight recorder, connection; one more while it is
     * replaced. And of all else: sockets, wake-ups, the lock, epoll. */
    WORKER_DESCRIPTORS = 4,
    OTHER_DESCRIPTORS = 32,
};

/* libzmq aborts when it runs out of descriptors, so it must not. */
static int check_descriptors(unsigned workers, struct muster_error *ret_error)
{
    unsigned needed = OTHER_DESCRIPTORS + WORKER_DESCRIPTORS * workers, had = 0;
    int *fds = calloc(needed, sizeof *fds), error = 0;

    if (!fds)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    while (had < needed && error == 0) {
        fds[had] = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fds[had] < 0)
            error = errno;
        else
            had++;
    }
    for (unsigned i = 0; i < had; i++)
        close(fds[i]);
    free(fds);
    if (error == 0)
        return 0;
    return muster_error_set(
        ret_error, MUSTER_ELIMIT,
        "%u workers need %u file descriptors and only %u can be had: fewer workers (-j), or a "
        "higher limit (ulimit -n)",
        workers, needed, had);
}

static int connect_client(struct processes *p, struct muster_error *ret_error)
{
    struct proto_message hello = {
        .type = PROTO_HELLO,
        .hello =
            {
                .version = PROTO_VERSION,
                .role = PROTO_CLIENT,
                .pid = (uint64_t)getpid(),
                .software = proto_text("libmuster " MUSTER_VERSION),
            },
    };
    int result;

    result = wire_open_dealer(p->context, COORDINATOR_OWNER, &p->mailbox.wire, ret_error);
    if (result == 0)
        result = wire_connect(p->mailbox.wire, COORDINATOR_INPROC, ret_error);
    if (result == 0)
        result = wire_open_fd(p->mailbox.wire, ret_error);
    if (result == 0 && wire_send(p->mailbox.wire, NULL, &hello) != 0)
        result = muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot reach the coordinator");
    return result;
}

static int wait_welcome(struct processes *p, struct muster_error *ret_error)
{
    struct wire_poll item = {.wire = p->mailbox.wire};

    for (;;) {
        struct wire_frame *frame;
        int result = wire_receive(p->mailbox.wire, &frame);

        if (result == MUSTER_EAGAIN) {
            if (wire_wait(&item, 1, -1) < 0)
                return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot wait for the coordinator");
            continue;
        }
        if (result != 0)
            return muster_error_set(ret_error, result, "the coordinator: %s", muster_error_name(result));
        if (frame->message.type == PROTO_ERROR)
            result = muster_error_set(ret_error, frame->message.error.code, "%.*s",
                                      (int)frame->message.error.text.size, frame->message.error.text.bytes);
        else if (frame->message.type != PROTO_WELCOME)
            result = MUSTER_EAGAIN;
        wire_frame_destroy(frame);
        if (result != MUSTER_EAGAIN)
            return result;
    }
}

static void processes_close(struct model *model, struct task **ended)
{
    struct processes *p = (struct processes *)model;

    processes_end_tasks(p, MUSTER_ECANCELLED, muster_error_name(MUSTER_ECANCELLED), ended);
    if (p->coordinator) {
        wire_send(p->mailbox.wire, NULL, &(struct proto_message){.type = PROTO_STOP});
        coordinator_stop(p->coordinator);
    }
    wire_close(p->mailbox.wire, 0);
    wire_context_destroy(p->context);
    forkserver_stop(p->forkserver);
    free(p);
}

static int processes_open(const struct muster_options *options, const struct registry *registry,
                          struct model **ret_model, struct muster_error *ret_error)
{
    struct processes *p = calloc(1, sizeof *p);
    struct coordinator_options coordinator_options = {
        .program = options->worker_program,
        .workers = options->workers,
        .plugins = options->plugins,
        .plugin_count = options->plugin_count,
        .heartbeat_ns = (uint64_t)(options->heartbeat_s * 1e9),
        .memory_bytes = options->memory_bytes,
        .concurrency = options->concurrency,
        .pin = options->pin,
        .warm = options->warm,
    };
    struct task *none = NULL;
    int result;

    if (!p)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    p->model.ops = &model_processes;
    p->crash_limit = options->crash_limit;
    p->tasks.outlet = (struct stream_outlet){.mailbox = &p->mailbox, .crash_limit = options->crash_limit};
    result = check_descriptors(options->workers, ret_error);
    if (result == 0 && options->start == MUSTER_FORK) {
        result = forkserver_start(registry, options->memory_bytes, options->concurrency, &p->forkserver,
                                  ret_error);
        coordinator_options.launcher = result == 0 ? forkserver_launcher(p->forkserver) : NULL;
    }
    if (result == 0)
        result = wire_context_create(&p->context, ret_error);
    if (result == 0)
        result = coordinator_start(&coordinator_options, p->context, &p->coordinator, ret_error);
    if (result == 0)
        result = connect_client(p, ret_error);
    if (result == 0)
        result = wait_welcome(p, ret_error);
    if (result != 0) {
        processes_close(&p->model, &none);
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
