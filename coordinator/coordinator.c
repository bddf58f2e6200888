/* SPDX-License-Identifier: MIT
 *
 * A coordinator's life: its parts are made and bound to their endpoints, the thread of loop.c runs with
 * them, and they are let go of. See coordinator.h.
 */
#include "coordinator/coordinator.h"

#include "base/clock.h"
#include "coordinator/books.h"
#include "coordinator/core.h"
#include "coordinator/expected.h"
#include "coordinator/gate.h"
#include "coordinator/guests.h"
#include "coordinator/hosts.h"
#include "coordinator/journal.h"
#include "coordinator/loop.h"
#include "coordinator/post.h"
#include "coordinator/supervisor.h"
#include "proto/shared.h"
#include "proto/threads.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Their own, or the first where workers can connect; NULL: there is none. */
static const struct place *place_for_workers(const struct coordinator_options *options)
{
    if (options->workers_place)
        return options->workers_place;
    for (size_t i = 0; i < options->place_count; i++)
        if (place_is_local(&options->places[i]))
            return &options->places[i];
    return NULL;
}

/* Binds there, and takes the port over that was chosen. */
static int bind_place(struct coordinator *c, struct place *place, struct muster_error *ret_error)
{
    int result = place->keyed ? wire_bind_keyed(c->router, place->endpoint, gate_secret(c->gate), ret_error)
                              : wire_bind(c->router, place->endpoint, ret_error);

    return result == 0 ? wire_endpoint(c->router, place->endpoint, ret_error) : result;
}

static int bind_places(struct coordinator *c, const struct coordinator_options *options,
                       struct muster_error *ret_error)
{
    int result = 0;

    for (size_t i = 0; i < options->place_count && result == 0; i++)
        result = bind_place(c, &options->places[i], ret_error);
    if (result == 0 && options->workers_place)
        result = bind_place(c, options->workers_place, ret_error);
    return result;
}

/* One of loopback. */
static int bind_port(struct coordinator *c, struct muster_error *ret_error)
{
    int result = wire_bind(c->router, "tcp://127.0.0.1:*", ret_error);

    return result == 0 ? wire_endpoint(c->router, c->endpoint, ret_error) : result;
}

static int open_router(struct coordinator *c, struct wire_context *context, struct muster_error *ret_error)
{
    const struct coordinator_options *options = &c->options;
    const struct place *place = place_for_workers(options);
    int result = wire_open_router(context, &c->router, ret_error);

    if (result == 0 && options->place_count > 0)
        result = wire_guard(c->router, options->clients, ret_error);
    if (result == 0)
        result = bind_places(c, options, ret_error);
    if (result == 0 && place)
        strcpy(c->endpoint, place->endpoint);
    else if (result == 0 && options->tcp)
        result = bind_port(c, ret_error);
    else if (result == 0)
        result = wire_bind_listening(c->router, c->endpoint, &c->listen_fd, ret_error);
    if (result == 0 && options->place_count == 0)
        result = wire_bind(c->router, COORDINATOR_INPROC, ret_error);
    if (result == 0)
        post_take_router(c->post, c->router);
    return result;
}

/* A worker of another life is taken over, or was ended for a reason. */
static void note_found(void *context, unsigned slot, const char *name, const char *refused)
{
    struct coordinator *c = context;

    journal_found(c->journal, name, refused);
    if (!refused)
        core_adopt(c->core, clock_now_ns(), slot, name, &c->outbox);
}

static void estrange(void *context, const char *peer)
{
    struct coordinator *c = context;

    wire_forget(c->router, peer, true);
    guests_forget(c->guests, peer);
    gate_leave(c->gate, peer);
}

static struct wire_traffic host_traffic(void *context, int fd, const char *peer)
{
    const struct coordinator *c = context;

    return wire_traffic(c->router, fd, peer);
}

/* Where the next life of this coordinator would look for it. */
static void note_host(void *context, uint64_t session, bool here)
{
    struct coordinator *c = context;

    if (c->options.workers_place)
        expected_note(c->options.workers_place->folder_fd, session, here);
}

static void expect_host(void *context, uint64_t session)
{
    struct coordinator *c = context;

    if (!hosts_expect(c->hosts, session))
        note_host(c, session, false);
}

static int create_hosts(struct coordinator *c, const struct coordinator_options *options)
{
    const struct hosts_options hosts_options = {.plugins = options->digests,
                                                .plugin_count = options->plugin_count,
                                                .sandbox = options->sandbox,
                                                .heartbeat_ns = options->heartbeat_ns,
                                                .grace_ns = options->host_grace_ns,
                                                .orphan_ns =
                                                    options->workers_place ? options->orphan_grace_ns : 0,
                                                .state = options->state,
                                                .epoch = options->books ? options->books->epoch : 0,
                                                .traffic = host_traffic,
                                                .note = note_host,
                                                .journal = options->journal,
                                                .estrange = estrange,
                                                .context = c};

    return hosts_create(&hosts_options, c->core, &c->hosts);
}

static int find_withheld(struct coordinator *c, struct muster_error *ret_error)
{
    const struct coordinator_options *options = &c->options;
    int code = withheld_init(&c->withheld, ret_error);

    for (size_t i = 0; i < options->place_count && code == 0; i++)
        code = withheld_add_endpoint(&c->withheld, options->places[i].endpoint, ret_error);
    return code == 0 && options->file ? withheld_add_state(&c->withheld, options->file, ret_error) : code;
}

static int create_parts(struct coordinator *c, struct muster_error *ret_error)
{
    const struct coordinator_options *options = &c->options;
    struct core_options core_options = {
        .workers = options->workers,
        .workers_max = options->workers_max,
        .heartbeat_ns = options->heartbeat_ns,
        .host = options->values_inline || options->books || options->sandbox ? 0 : heap_host(),
        .warm = options->warm,
        .ahead = options->ahead,
        .owner = options->stop_fd ? NULL : COORDINATOR_OWNER,
        .memory_bytes = options->host_bytes,
        .keeps = options->books ? options->books->keeps : PROTO_KEEPS_NOTHING,
        .epoch = options->books ? options->books->epoch : 0,
        .clients = options->clients + (options->books && options->clients), /* the ledger is one, too */
        .functions = options->functions,
    };
    unsigned places = options->workers_max > options->workers ? options->workers_max : options->workers;
    struct supervisor_options supervisor_options = {
        .launcher = options->launcher,
        .program = options->program,
        .endpoint = c->endpoint,
        .workers = places,
        .plugins = options->plugins,
        .plugin_count = options->plugin_count,
        .kept = withheld_texts(&c->withheld),
        .kept_count = c->withheld.count,
        .memory_bytes = options->memory_bytes,
        .sandbox = options->sandbox,
        .concurrency = options->concurrency,
        .lends = core_options.host != 0,
        .pin = options->pin,
        .folder = options->workers_place ? c->folder : NULL,
        .orphan_grace_ns = options->workers_place ? options->orphan_grace_ns : 0,
    };
    bool slots = options->concurrency <= 1 && !options->messages_alone && !options->workers_place;
    int result;

    if (outbox_init(&c->outbox) != 0 || outbox_init(&c->spare) != 0 ||
        mappings_create(NULL, true, &c->mappings) != 0 || core_create(&core_options, &c->core) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "coordinator: out of memory");
    if (options->books && books_create(options->books, c->core, places, &c->books) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "coordinator: out of memory");
    if (options->joinable && create_hosts(c, options) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "coordinator: out of memory");
    result = post_create(places, slots, &c->post, ret_error);
    if (result == 0)
        result = guests_create(&c->guests, ret_error);
    if (options->workers_place)
        place_folder(options->workers_place, c->folder);
    return result == 0 ? supervisor_create(&supervisor_options, &c->supervisor, ret_error) : result;
}

/* Signals are the caller's: the thread blocks them all. An errno value. */
static int start_thread(struct coordinator *c)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&c->thread, NULL, loop_run, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

/* A place for its socket, where it is not given one. */
static int settle(struct coordinator *c, struct muster_error *ret_error)
{
    int result;

    if (place_for_workers(&c->options))
        return 0;
    result = nest_init(&c->nest, ret_error);
    if (result == 0 && c->options.scratch)
        result = nest_note(&c->nest, c->options.scratch, ret_error);
    if (result != 0 || c->options.tcp)
        return result;
    strcpy(c->endpoint, c->nest.endpoint);
    return nest_listen(&c->nest, &c->listen_fd, ret_error);
}

/* Programs that are started anew are children of the thread, so only copies start ahead of it. They start
 * threads at the same time as this process then: each would find room for its own, and not for both. */
static bool may_launch_ahead(const struct coordinator *c)
{
    const unsigned here = 1 + THREADS_OF_ZMQ, of_worker = 2 + THREADS_OF_ZMQ, all = here + of_worker;

    return c->options.launcher && c->listen_fd >= 0 && c->options.ahead == 1 && !c->options.warm &&
           threads_count(all) == all;
}

int coordinator_create(const struct coordinator_options *options, struct coordinator **ret_coordinator,
                       struct muster_error *ret_error)
{
    struct coordinator *c = calloc(1, sizeof *c);
    int result;

    if (!c)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "coordinator: out of memory");
    c->options = *options;
    c->journal = options->journal;
    c->gate = options->gate;
    c->probe_ns = CLOCK_NEVER;
    c->stop_fd = options->stop_fd ? options->stop_fd : -1;
    c->listen_fd = -1;
    result = settle(c, ret_error);
    if (result == 0)
        result = find_withheld(c, ret_error);
    if (result == 0)
        result = create_parts(c, ret_error);
    if (result != 0) {
        coordinator_stop(c);
        return result;
    }
    if (may_launch_ahead(c))
        loop_launch(c);
    *ret_coordinator = c;
    return 0;
}

int coordinator_start(struct coordinator *c, struct wire_context *context, struct muster_error *ret_error)
{
    int result = open_router(c, context, ret_error), error;

    if (result == 0 && c->options.workers_place) /* last: who fails here ends workers that it has adopted */
        result = supervisor_adopt(c->supervisor, note_found, c, ret_error);
    if (result != 0)
        return result;
    if (c->options.workers_place)
        expected_list(c->options.workers_place->folder_fd, expect_host, c);
    error = start_thread(c);
    if (error != 0)
        return muster_error_system(ret_error, error, "cannot start the coordinator's thread");
    c->running = true;
    return 0;
}

const char *coordinator_endpoint(const struct coordinator *coordinator)
{
    return coordinator->endpoint;
}

const char *coordinator_scratch(const struct coordinator *coordinator)
{
    return coordinator->nest.folder[0] ? coordinator->nest.folder : NULL;
}

/* What the thread would have ended. */
static void end_parts(struct coordinator *c)
{
    guests_destroy(c->guests);
    supervisor_destroy(c->supervisor);
    post_destroy(c->post);
    wire_close(c->router, 0);
}

int coordinator_stop(struct coordinator *c)
{
    int code;

    if (!c)
        return 0;
    if (c->running)
        pthread_join(c->thread, NULL);
    else
        end_parts(c);
    code = c->code;
    books_destroy(c->books);
    hosts_destroy(c->hosts);
    core_destroy(c->core);
    mappings_destroy(c->mappings);
    outbox_fini(&c->outbox);
    outbox_fini(&c->spare);
    if (c->listen_fd >= 0)
        close(c->listen_fd);
    if (c->nest.socket[0])
        nest_fini(&c->nest);
    withheld_fini(&c->withheld);
    free(c);
    return code;
}
