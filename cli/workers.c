/* SPDX-License-Identifier: MIT
 *
 * muster workers, scale, drain and stop: the coordinator's own side.
 */
#include "cli/ask.h"

#include "base/clock.h"
#include "cli/table.h"

#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

/* Takes the maps of workers. */
struct crew {
    struct ask *ask;
    struct table table;
    bool hosts; /* some are of other hosts: a column says of which */
};

/* --- workers */

static void add_worker(struct crew *crew, const msgpack_object *map)
{
    struct table *table = &crew->table;
    uint64_t batch = fact_count(map, "batch"), since_ms = fact_count(map, "since_ms");
    uint64_t now_ms = clock_read_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS;
    char state[16], text[FACT_BYTES], host[PROTO_HOST_NAME_MAX + 1];

    table_add(table, "%" PRIu64, fact_count(map, "worker"));
    table_add(table, "%s", fact_text(map, "state", state, sizeof state));
    table_add(table, "%" PRIu64, fact_count(map, "pid"));
    table_add(table, "%s", fact_short(fact_count(map, "jobs"), text));
    snprintf(text, sizeof text, batch ? "%" PRIu64 : "-", batch);
    table_add(table, "%s", text);
    table_add(table, "%s", since_ms ? fact_duration(now_ms > since_ms ? now_ms - since_ms : 0, text) : "-");
    fact_text(map, "host", host, sizeof host);
    if (crew->hosts)
        table_add(table, "%s", host[0] ? host : "-");
}

/* All of them come at once. */
static void head(struct crew *crew, const msgpack_object_array *maps)
{
    static const char *const headings[] = {"worker", "state", "process", "jobs", "batch", "for", "host"};
    const size_t columns = sizeof headings / sizeof *headings;
    char host[PROTO_HOST_NAME_MAX + 1];

    for (uint32_t i = 0; i < maps->size; i++)
        crew->hosts |= fact_text(&maps->ptr[i], "host", host, sizeof host)[0] != '\0';
    table_init(&crew->table, headings, crew->hosts ? columns : columns - 1);
    crew->table.left = 1U << 1 | 1U << 6;
}

static int take_workers(void *context, const msgpack_object *value, struct muster_error *ret_error)
{
    struct crew *crew = context;
    int code = 0;

    if (value->type != MSGPACK_OBJECT_ARRAY)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "%s: the coordinator sent no list of workers",
                                remote_endpoint(crew->ask->remote));
    head(crew, &value->via.array);
    for (uint32_t i = 0; i < value->via.array.size && code == 0; i++) {
        const msgpack_object *map = &value->via.array.ptr[i];

        if (crew->ask->json) {
            code = ask_write(crew->ask, map, ret_error);
            continue;
        }
        if (table_is_full(&crew->table) && table_print(&crew->table, &crew->ask->output))
            code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        else
            add_worker(crew, map);
    }
    return code;
}

static int workers(struct ask *ask, struct muster_error *ret_error)
{
    struct crew crew = {.ask = ask};
    int code;

    code = ask_batch(ask, PROTO_REQUEST_WORKERS, 0, 0, take_workers, &crew, ret_error);
    if (code == 0 && !ask->json && table_print(&crew.table, &ask->output))
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return code;
}

int verb_workers(int argc, char **argv)
{
    return ask_verb(VERB_WORKERS, argc, argv, workers);
}

/* --- scale */

/* For those who read JSON: that it was done. */
static int say_done(struct ask *ask, const char *key, uint64_t number, struct muster_error *ret_error)
{
    if (ask->json && output_text(&ask->output, "{\"%s\":%" PRIu64 "}\n", key, number))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return 0;
}

static int scale(struct ask *ask, struct muster_error *ret_error)
{
    int code = ask_batch(ask, PROTO_REQUEST_SCALE, 0, ask->number, NULL, NULL, ret_error);

    return code ? code : say_done(ask, "workers", ask->number, ret_error);
}

int verb_scale(int argc, char **argv)
{
    return ask_verb(VERB_SCALE, argc, argv, scale);
}

/* --- drain */

static int take_busy(void *context, const msgpack_object *map, struct muster_error *ret_error)
{
    (void)ret_error;
    *(bool *)context = fact_flag(map, "busy");
    return 0;
}

/* Until no worker has a job: asked for now and then, since nobody tells of it. */
static int wait_drained(struct ask *ask, struct muster_error *ret_error)
{
    enum { PAUSE_FIRST_MS = 20, PAUSE_MS = 500 };
    int code, pause_ms = PAUSE_FIRST_MS;
    bool busy = false;

    for (;;) {
        code = ask_batch(ask, PROTO_REQUEST_STATUS, 0, 0, take_busy, &busy, ret_error);
        if (code || !busy)
            return code;
        poll(NULL, 0, pause_ms);
        pause_ms = 2 * pause_ms < PAUSE_MS ? 2 * pause_ms : PAUSE_MS;
    }
}

static int drain(struct ask *ask, struct muster_error *ret_error)
{
    int code = ask_batch(ask, PROTO_REQUEST_DRAIN, 0, !ask->options.off, NULL, NULL, ret_error);

    if (code == 0 && ask->options.wait)
        code = wait_drained(ask, ret_error);
    return code ? code : say_done(ask, "draining", !ask->options.off, ret_error);
}

int verb_drain(int argc, char **argv)
{
    return ask_verb(VERB_DRAIN, argc, argv, drain);
}

/* --- stop */

static int take_pid(void *context, const msgpack_object *map, struct muster_error *ret_error)
{
    uint64_t pid = fact_count(map, "pid");

    (void)ret_error;
    *(pid_t *)context = pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
    return 0;
}

/* Returns when the coordinator has ended: its process, where that is known to be the one with its number
 * here; else its connection. */
static int stop(struct ask *ask, struct muster_error *ret_error)
{
    enum { SOON = 1, NOW = 2 };
    pid_t pid = 0;
    int fd = -1, code = ask_batch(ask, PROTO_REQUEST_STATUS, 0, 0, take_pid, &pid, ret_error);

    if (code)
        return code;
    if (pid > 0 && pid == remote_listener(ask->remote))
        fd = pidfd_open(pid, 0);
    code = ask_batch(ask, PROTO_REQUEST_STOP, 0, ask->options.now ? NOW : SOON, NULL, NULL, ret_error);
    if (code == 0)
        code = remote_wait_end(ask->remote, CLOCK_NEVER, ret_error);
    if (code == 0 && fd >= 0)
        poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
    if (fd >= 0)
        close(fd);
    return code ? code : say_done(ask, "process", (uint64_t)pid, ret_error);
}

int verb_stop(int argc, char **argv)
{
    return ask_verb(VERB_STOP, argc, argv, stop);
}
