/* SPDX-License-Identifier: MIT
 *
 * The model `processes`: a coordinator in a thread of this process, or one that runs in another,
 * and the connection of the caller's thread to it.
 */
#include "client/processes.h"

#include "base/clock.h"
#include "client/connect.h"
#include "client/forkserver.h"
#include "proto/descriptors.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* How long a coordinator of another process gets to hear that this client leaves. */
    LAST_WORDS_MS = 1000,
};

static int check_descriptors(unsigned workers, struct muster_error *ret_error)
{
    char who[32];

    snprintf(who, sizeof who, "%u %s", workers, workers == 1 ? "worker needs" : "workers need");
    return descriptors_check(PROCESSES_OTHER_DESCRIPTORS + PROCESSES_WORKER_DESCRIPTORS * workers, who,
                             "fewer workers (-j), or ", ret_error);
}

/* To the coordinator of this process. */
static int connect_owner(struct processes *p, struct muster_error *ret_error)
{
    int result = wire_open_dealer(p->context, COORDINATOR_OWNER, &p->mailbox.wire, ret_error);

    if (result == 0)
        result = wire_connect(p->mailbox.wire, COORDINATOR_INPROC, ret_error);
    return result;
}

static int pack_farewell(struct processes *p, struct muster_error *ret_error)
{
    if (wire_pack(&(struct proto_message){.type = PROTO_STOP}, &p->farewell) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return 0;
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

/* What the coordinator said of itself. */
static int take_welcome(struct processes *p, const struct proto_welcome *welcome,
                        struct muster_error *ret_error)
{
    p->workers = p->model.workers = welcome->workers;
    p->keeps = welcome->keeps;
    p->epoch = welcome->epoch;
    p->welcome = true;
    p->tasks.outlet.window_bytes = processes_window(p);
    return share_memory(p, welcome->host, ret_error);
}

static void processes_close(struct model *model, struct task **ended)
{
    struct processes *p = (struct processes *)model;

    processes_end_tasks(p, MUSTER_ECANCELLED, muster_error_name(MUSTER_ECANCELLED), ended);
    if (p->farewell && (p->coordinator || p->welcome))
        wire_post(p->mailbox.wire, NULL, &p->farewell);
    wire_parcel_destroy(p->farewell);
    coordinator_stop(p->coordinator);
    forkserver_end(p->forkserver); /* meanwhile */
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
        .sandbox = options->sandbox,
        .concurrency = options->concurrency,
        .tcp = options->transport == MUSTER_TCP,
        .values_inline = options->transport != MUSTER_IPC,
        .messages_alone = options->transport == MUSTER_IPC_ALONE || options->transport == MUSTER_TCP,
        .pin = options->pin,
        .warm = options->warm,
        .scratch = options->scratch,
    };
}

/* Its workers start while ZeroMQ does. */
static int start_own(struct processes *p, const struct coordinator_options *options,
                     struct muster_error *ret_error)
{
    int result = coordinator_create(options, &p->coordinator, ret_error);

    if (result == 0)
        result = wire_context_create(&p->context, ret_error);
    if (result == 0) /* before it runs: then it has to be told to stop */
        result = connect_owner(p, ret_error);
    if (result == 0)
        result = coordinator_start(p->coordinator, p->context, ret_error);
    if (result != 0) {
        coordinator_stop(p->coordinator);
        p->coordinator = NULL;
    }
    return result;
}

/* Starts a coordinator of its own and waits until it is ready, which it says itself if it fails. */
static int open_own(struct processes *p, const struct muster_options *options,
                    const struct registry *registry, struct muster_error *ret_error)
{
    struct coordinator_options coordinator_options = processes_settings(options);
    struct proto_welcome welcome;
    int result = check_descriptors(options->workers, ret_error);

    if (result == 0)
        result = pack_farewell(p, ret_error);
    if (result == 0 && options->start != MUSTER_SPAWN) {
        result = forkserver_start(registry, options, &p->forkserver, ret_error);
        coordinator_options.launcher = result == 0 ? forkserver_launcher(p->forkserver) : NULL;
    }
    coordinator_options.ahead = options->start == MUSTER_FORK_CLEAN; /* by map and exec: jobs follow */
    if (result == 0)
        result = start_own(p, &coordinator_options, ret_error);
    if (result == 0) {
        p->model.scratch = coordinator_scratch(p->coordinator);
        result = connect_greet(p->mailbox.wire, CLOCK_NEVER, &welcome, ret_error);
    }
    return result ? result : take_welcome(p, &welcome, ret_error);
}

/* Connects to one that runs. */
static int open_other(struct processes *p, const struct muster_options *options,
                      struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), (uint64_t)(options->heartbeat_s * 1e9));
    struct proto_welcome welcome;
    int result = connect_endpoint(options->coordinator, p->mailbox.where, ret_error);

    if (result == 0)
        result = pack_farewell(p, ret_error);
    if (result == 0)
        result = connect_coordinator(p->mailbox.where, deadline_ns, &p->context, &p->mailbox.wire, &welcome,
                                     ret_error);
    return result ? result : take_welcome(p, &welcome, ret_error);
}

/* Whether it is the one that was there before, with what that kept. */
static int check_return(const struct processes *p, const struct proto_welcome *welcome,
                        struct muster_error *ret_error)
{
    if (welcome->keeps == PROTO_KEEPS_ON_DISK && welcome->epoch >= p->epoch)
        return 0;
    return muster_error_set(
        ret_error, MUSTER_ESTATE,
        "%s: another coordinator has come, which does not have the state file of the last", p->mailbox.where);
}

int processes_return(struct processes *p, struct muster_error *ret_error)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), PROCESSES_RETURN_MS * CLOCK_NS_PER_MS);
    struct wire_context *context;
    struct proto_welcome welcome;
    struct wire *wire;
    int result = connect_coordinator(p->mailbox.where, deadline_ns, &context, &wire, &welcome, ret_error);

    if (result != 0)
        return result;
    if ((result = check_return(p, &welcome, ret_error)) != 0 ||
        (result = wire_open_fd(wire, ret_error)) != 0 ||
        (result = take_welcome(p, &welcome, ret_error)) != 0) {
        wire_close(wire, 0);
        wire_context_destroy(context);
        return result;
    }
    processes_fail_tasks(p, p->mailbox.lost.code, p->mailbox.lost.text);
    wire_close(p->mailbox.wire, 0);
    wire_context_destroy(p->context);
    p->mailbox.wire = wire;
    p->mailbox.lost.code = 0;
    p->context = context;
    p->model.connection++;
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
    p->away_ns = options->away_s > 0 ? (uint64_t)(options->away_s * 1e9) : 0;
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
