/* SPDX-License-Identifier: MIT
 *
 * muster coordinator: workers that the clients of a user share, until a signal ends it. The main thread
 * starts the coordinator's thread and waits for it; whatever is said meanwhile is said there.
 */
#include "coordinator/coordinator.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/size.h"
#include "cli/confined.h"
#include "cli/digest.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "client/handle.h"
#include "client/processes.h"
#include "coordinator/books.h"
#include "coordinator/gate.h"
#include "coordinator/journal.h"
#include "coordinator/notify.h"
#include "coordinator/place.h"
#include "coordinator/store.h"
#include "jobs/registry.h"
#include "proto/spool.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/resource.h>

enum {
    CLIENT_DESCRIPTORS = 3, /* of one client: connection, pidfd, and the connection of a stranger */
    CLIENTS_LEAST = 8,      /* fewer are not worth a start */

    /* What is kept in memory has so much of it at most, and so has what clients have on their way: half
     * is left for workers. */
    MEMORY_SHARE = 4,
};

/* To end in order: a disk that is busy takes seconds to sync. Of systemd it has 90 s. */
static const uint64_t END_GRACE_NS = 30 * CLOCK_NS_PER_S;

struct daemon {
    struct options options;
    struct place places[OPTIONS_LISTEN_MAX];
    size_t place_count;
    struct registry *registry;
    struct wire_context *context;
    struct gate *gate;   /* owned; NULL: no place is keyed */
    unsigned keys;       /* that it let in at its start; the list is the coordinator's from then on */
    struct store *store; /* owned */
    struct spool spool;
    struct digests digests;     /* of plug-ins, for workers of other hosts */
    struct place workers_place; /* where they may outlive it; its folder_fd is -1: they do not */
    int interrupt_fd;
};

static int require_function(const void *registry, const char *name, struct muster_error *ret_error)
{
    const muster_function *function;
    struct muster_error error;
    int code = registry_require(registry, name, &function, &error);

    return code ? muster_error_set(ret_error, code,
                                   "%s, at the coordinator; plug-ins are loaded as it starts: 'muster "
                                   "coordinator --plugin FILE'",
                                   error.text)
                : 0;
}

/* Raises the limit of descriptors as far as clients, and workers that they ask for, may need it; libzmq
 * does not bear to run out of them. Clients come first. */
static int count_peers(unsigned workers, unsigned *ret_clients, unsigned *ret_workers_max,
                       struct muster_error *ret_error)
{
    rlim_t fixed = PROCESSES_OTHER_DESCRIPTORS + PROCESSES_WORKER_DESCRIPTORS * (rlim_t)workers;
    rlim_t wanted = fixed + CLIENT_DESCRIPTORS * (rlim_t)PROTO_CLIENTS_MAX, more;
    rlim_t most = wanted + PROCESSES_WORKER_DESCRIPTORS * (rlim_t)(PROTO_WORKERS_MAX - workers);
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < most) {
        limit.rlim_cur = limit.rlim_max < most ? limit.rlim_max : most;
        setrlimit(RLIMIT_NOFILE, &limit);
        getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur < fixed + CLIENT_DESCRIPTORS * CLIENTS_LEAST)
        return muster_error_set(
            ret_error, MUSTER_ELIMIT,
            "%u workers and some clients need %llu file descriptors, and %llu can be had: "
            "fewer workers (-j), or a higher limit (ulimit -n)",
            workers, (unsigned long long)(fixed + CLIENT_DESCRIPTORS * CLIENTS_LEAST),
            (unsigned long long)limit.rlim_cur);
    *ret_clients = limit.rlim_cur >= wanted ? PROTO_CLIENTS_MAX
                                            : (unsigned)((limit.rlim_cur - fixed) / CLIENT_DESCRIPTORS);
    more = limit.rlim_cur > wanted ? (limit.rlim_cur - wanted) / PROCESSES_WORKER_DESCRIPTORS : 0;
    *ret_workers_max = more < PROTO_WORKERS_MAX - workers ? workers + (unsigned)more : PROTO_WORKERS_MAX;
    return 0;
}

static int open_places(struct daemon *d, struct muster_error *ret_error)
{
    size_t wanted = d->options.listen_count ? d->options.listen_count : 1;
    bool keyed = d->options.keys;
    int code = 0;

    while (d->place_count < wanted && !code) {
        code = place_open(d->options.listen[d->place_count], &d->places[d->place_count], ret_error);
        d->place_count += code == 0;
        keyed |= code == 0 && d->places[d->place_count - 1].keyed;
    }
    for (size_t i = 0; i < d->place_count; i++) /* with one of tcp, all are */
        d->places[i].keyed = keyed && !place_is_local(&d->places[i]);
    return code;
}

/* Where others may come from, they need keys. */
static int open_gate(struct daemon *d, struct muster_error *ret_error)
{
    struct muster_error why;
    int code;

    for (size_t i = 0; i < d->place_count; i++) {
        if (!d->places[i].keyed || d->gate)
            continue;
        code = gate_open(d->context, &d->gate, &why);
        if (code)
            return muster_error_set(ret_error, code, "%s needs keys: %s", d->places[i].endpoint, why.text);
        d->keys = gate_count(d->gate);
    }
    return 0;
}

static void announce_keyed(const struct daemon *d, const struct place *place)
{
    struct curve_key public;
    char key[CURVE_TEXT_BYTES] = "";

    if (curve_public(gate_secret(d->gate), &public, NULL) == 0)
        curve_write(&public, key);
    log_error("the coordinator listens at %s#%s, for those who have the key%s that %s allowed",
              place->endpoint, key, d->keys == 1 ? "" : "s", d->keys == 1 ? "is" : "are");
}

static bool is_in_store(void *context, uint64_t batch)
{
    const struct store_request request = {.operation = STORE_FIND, .batch = batch};
    struct store *store = context;
    struct pollfd answer = {.fd = store_fd(store), .events = POLLIN};
    struct store_done *done;
    bool found;

    if (store_submit(store, &request) != 0)
        return true;
    while (!(done = store_take(store)))
        poll(&answer, 1, -1);
    found = done->code != MUSTER_ENOTFOUND;
    store_done_free(done);
    return found;
}

static int open_store(struct daemon *d, struct muster_error *ret_error)
{
    int code = store_create(d->options.state, &d->store, ret_error);

    if (d->options.state_limit == 0 && !d->options.state)
        d->options.state_limit = memory_bytes() / MEMORY_SHARE;
    if (!code)
        store_limit(d->store, d->options.state_limit);
    if (!code)
        code = spool_open(&d->spool, d->options.state, ret_error);
    if (!code)
        spool_sweep(&d->spool, is_in_store, d->store);
    if (!code && setenv(PROTO_SPOOL_VARIABLE, d->spool.path, 1) != 0)
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (!code && d->options.state && d->options.orphan_grace_ns > 0)
        code = place_open_workers(store_identity(d->store), &d->workers_place, ret_error);
    return code;
}

static void announce(const struct daemon *d, unsigned workers)
{
    char status[PLACE_ENDPOINT_BYTES + 64], limit[SIZE_TEXT_BYTES];

    for (size_t i = 0; i < d->place_count; i++)
        if (d->places[i].keyed)
            announce_keyed(d, &d->places[i]);
        else
            log_error("the coordinator listens at %s%s", d->places[i].endpoint,
                      place_is_local(&d->places[i]) ? ""
                                                    : ", where any user of this host may run jobs as you");
    if (d->options.state)
        log_error("%u worker%s; batches and results are kept in %s", workers, workers == 1 ? "" : "s",
                  d->options.state);
    else
        log_error("%u worker%s; keeps nothing on disk: what waits is lost when it ends; %s at most", workers,
                  workers == 1 ? "" : "s", size_text(d->options.state_limit, limit));
    snprintf(status, sizeof status, "READY=1\nSTATUS=%u worker%s at %s", workers, workers == 1 ? "" : "s",
             d->places[0].endpoint);
    notify_send(status);
}

/* Serves until a signal comes. */
static int serve(struct daemon *d, const struct muster_options *checked, struct muster_error *ret_error)
{
    const struct core_functions functions = {.require = require_function, .context = d->registry};
    const struct journal journal = {.verbose = d->options.verbose};
    const struct books_store access = {.submit = store_submit,
                                       .fd = store_fd,
                                       .take = store_take,
                                       .done_free = store_done_free,
                                       .store = d->store};
    struct books_options books = {.store = &access,
                                  .keeps = d->options.state ? PROTO_KEEPS_ON_DISK : PROTO_KEEPS_IN_MEMORY,
                                  .epoch = store_epoch(d->store),
                                  .functions = &functions,
                                  .spool = &d->spool};
    struct coordinator_options options = processes_settings(checked);
    struct coordinator *coordinator = NULL;
    int code;

    options.places = d->places;
    options.place_count = d->place_count;
    options.gate = d->gate;
    options.stop_fd = d->interrupt_fd;
    options.functions = &functions;
    options.journal = &journal;
    options.joinable = true;
    options.host_grace_ns = d->options.host_grace_ns;
    options.digests = d->digests.plugins;
    options.books = &books;
    options.file = d->options.state;
    options.workers_place = place_is_local(&d->workers_place) ? &d->workers_place : NULL;
    options.orphan_grace_ns = d->options.orphan_grace_ns;
    if (options.workers_place)
        options.state = store_identity(d->store);
    else if (getrandom(&options.state, sizeof options.state, 0) != sizeof options.state)
        return muster_error_system(ret_error, errno, "cannot make up a number");
    code = count_peers(options.workers, &options.clients, &options.workers_max, ret_error);
    books.clients = options.clients;
    books.promise_max = memory_bytes() / MEMORY_SHARE;
    options.host_bytes = memory_bytes();
    if (code == 0)
        code = coordinator_create(&options, &coordinator, ret_error);
    if (code == 0)
        code = coordinator_start(coordinator, d->context, ret_error);
    if (code) {
        coordinator_stop(coordinator);
        return code;
    }
    announce(d, options.workers);
    code = coordinator_stop(coordinator);
    return code ? muster_error_set(ret_error, code, "the coordinator has failed: %s", muster_error_name(code))
                : 0;
}

static int run(struct daemon *d, struct muster_error *ret_error)
{
    struct muster_options checked;
    int code;

    d->options.open.worker_program = program_path();
    interrupt_give(END_GRACE_NS, "its disk, or a worker,");
    if ((code = handle_check_options(&d->options.open, &checked, ret_error)) ||
        (code = interrupt_start(&d->interrupt_fd, ret_error)))
        return code;
    if (!(d->registry = registry_create()))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if ((code = options_load_plugins(&d->options, d->registry, ret_error)) ||
        (code = digest_plugins(&d->options, &d->digests, ret_error)) || (code = open_places(d, ret_error)) ||
        (code = open_store(d, ret_error)) || (code = wire_context_create(&d->context, ret_error)) ||
        (code = open_gate(d, ret_error)))
        return code;
    return serve(d, &checked, ret_error);
}

int verb_coordinator(int argc, char **argv)
{
    struct daemon d = {.interrupt_fd = -1, .spool.folder_fd = -1, .workers_place.folder_fd = -1};
    struct muster_error error;
    int code;

    if (options_parse(&d.options, VERB_COORDINATOR, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (d.options.help)
        return help_print(argv[0]);
    code = confined_begin(d.options.open.sandbox, &error);
    if (!code)
        code = run(&d, &error);
    gate_close(d.gate);
    wire_context_destroy(d.context);
    place_close(&d.workers_place); /* each of these ahead of what the next coordinator needs to get there */
    spool_close(&d.spool);
    store_destroy(d.store);
    for (size_t i = 0; i < d.place_count; i++)
        place_close(&d.places[i]);
    registry_destroy(d.registry);
    if (code)
        return plain_error(&error);
    return interrupt_signal() == 0 || interrupt_signal() == SIGTERM ? 0 : STATUS_SIGNAL + interrupt_signal();
}
