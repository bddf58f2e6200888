/* SPDX-License-Identifier: MIT
 *
 * muster status: a coordinator, or one of its batches, a fact a line.
 */
#include "base/clock.h"
#include "cli/ask.h"
#include "coordinator/store_request.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A line: what, and the fact. 0 or MUSTER_ENOMEM. */
__attribute__((format(printf, 3, 4))) static int line(struct ask *ask, const char *what, const char *format,
                                                      ...)
{
    char text[2 * PROTO_TEXT_MAX];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return output_text(&ask->output, "%-11s%s\n", what, text);
}

static int text_line(struct ask *ask, const char *what, const msgpack_object *map, const char *key)
{
    char text[PROTO_TEXT_MAX + 1];

    fact_text(map, key, text, sizeof text);
    return text[0] ? line(ask, what, "%s", text) : 0;
}

static int when_line(struct ask *ask, const char *what, const msgpack_object *map, const char *key)
{
    char text[FACT_BYTES];

    return fact_count(map, key) ? line(ask, what, "%s", fact_when(fact_count(map, key), text)) : 0;
}

/* How long something has been, or was. */
static uint64_t since_ms(uint64_t begin_ms, uint64_t end_ms)
{
    uint64_t now_ms = clock_read_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS;

    end_ms = end_ms ? end_ms : now_ms;
    return end_ms > begin_ms ? end_ms - begin_ms : 0;
}

/* "5 queued, 2 running" out of a map of counts: those that it has. */
static int states_line(struct ask *ask, const msgpack_object *map)
{
    static const char *const names[] = {
#define X(name, number, text) text,
        STORE_STATE_MAP(X)
#undef X
    };
    const msgpack_object *counts = fact_find(map, "batches");
    char text[512] = "";
    size_t used = 0;

    for (size_t i = 0; counts && i < sizeof names / sizeof *names; i++) {
        if (fact_find(counts, names[i]))
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%" PRIu64 " %s", used ? ", " : "",
                                     fact_count(counts, names[i]), names[i]);
    }
    return line(ask, "batches", "%s", used ? text : "-");
}

static int print_coordinator(struct ask *ask, const msgpack_object *map)
{
    static const char *const keeps[] = {"nothing", "in memory: lost when it ends", "on disk"};
    uint64_t kept = fact_count(map, "keeps"), epoch = fact_count(map, "epoch");
    uint64_t started_ms = fact_count(map, "started_ms");
    char software[64], when[FACT_BYTES], since[FACT_BYTES], starts[48] = "";
    int code;

    if (epoch > 0)
        snprintf(starts, sizeof starts, "; start %" PRIu64 " with this file", epoch);
    fact_text(map, "software", software, sizeof software);
    code = line(ask, "endpoint", "%s", remote_endpoint(ask->remote)) ||
           line(ask, "process", "%" PRIu64 ", %s", fact_count(map, "pid"), software) ||
           line(ask, "up", "%s, since %s%s", fact_duration(since_ms(started_ms, 0), since),
                fact_when(started_ms, when), starts) ||
           line(ask, "keeps", "%s", kept < 3 ? keeps[kept] : "?") ||
           line(ask, "workers", "%" PRIu64 ", %" PRIu64 " ready%s", fact_count(map, "workers"),
                fact_count(map, "workers_ready"),
                fact_flag(map, "draining") ? "; draining: no job starts" : "") ||
           line(ask, "clients", "%" PRIu64, fact_count(map, "clients")) || states_line(ask, map);
    return code ? MUSTER_ENOMEM : 0;
}

/* "10, 11 (any)" out of [[10, 1], [11, 2]]. */
static int after_line(struct ask *ask, const msgpack_object *map)
{
    const msgpack_object *after = fact_find(map, "after");
    char text[PROTO_AFTER_MAX * 32] = "";
    size_t used = 0;

    if (!after || after->type != MSGPACK_OBJECT_ARRAY)
        return 0;
    for (uint32_t i = 0; i < after->via.array.size && used + 32 < sizeof text; i++) {
        const msgpack_object *pair = &after->via.array.ptr[i];

        if (pair->type != MSGPACK_OBJECT_ARRAY || pair->via.array.size != 2 ||
            pair->via.array.ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
            pair->via.array.ptr[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
            continue;
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%" PRIu64 "%s", used ? ", " : "",
                             pair->via.array.ptr[0].via.u64,
                             pair->via.array.ptr[1].via.u64 == PROTO_AFTER_ANY ? " (however it ends)" : "");
    }
    return used ? line(ask, "after", "%s", text) : 0;
}

/* "1000: 900 succeeded, 2 failed, 8 running" */
static int jobs_line(struct ask *ask, const msgpack_object *map)
{
    static const char *const keys[] = {"succeeded", "failed", "cancelled", "running"};
    char text[256];
    size_t used = (size_t)snprintf(text, sizeof text, "%" PRIu64, fact_count(map, "total"));
    const char *separator = ": ";

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        uint64_t count = fact_count(map, keys[i]);

        if (count == 0)
            continue;
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%" PRIu64 " %s", separator, count, keys[i]);
        separator = ", ";
    }
    return line(ask, "jobs", "%s", text);
}

static int ended_line(struct ask *ask, const msgpack_object *map)
{
    uint64_t submitted_ms = fact_count(map, "submitted_ms"), ended_ms = fact_count(map, "ended_ms");
    char when[FACT_BYTES], took[FACT_BYTES];

    if (ended_ms == 0)
        return 0;
    return line(ask, "ended", "%s, after %s", fact_when(ended_ms, when),
                fact_duration(since_ms(submitted_ms, ended_ms), took));
}

static int print_batch(struct ask *ask, const msgpack_object *map)
{
    uint64_t origin = fact_count(map, "origin");
    int code = line(ask, "batch", "%" PRIu64, fact_count(map, "batch")) ||
               text_line(ask, "name", map, "name") || text_line(ask, "function", map, "function") ||
               text_line(ask, "user", map, "user") || text_line(ask, "state", map, "state") ||
               text_line(ask, "why", map, "text") || jobs_line(ask, map) ||
               line(ask, "priority", "%" PRId64, fact_integer(map, "priority")) || after_line(ask, map) ||
               (origin && line(ask, "retries", "batch %" PRIu64, origin)) ||
               when_line(ask, "submitted", map, "submitted_ms") ||
               when_line(ask, "begins", map, "begin_ms") || ended_line(ask, map);

    return code ? MUSTER_ENOMEM : 0;
}

static int take(void *context, const msgpack_object *map, struct muster_error *ret_error)
{
    struct ask *ask = context;
    int code;

    if (ask->json)
        return ask_write(ask, map, ret_error);
    code = ask->batch_count > 0 ? print_batch(ask, map) : print_coordinator(ask, map);
    return code ? muster_error_set(ret_error, code, "out of memory") : 0;
}

static int status(struct ask *ask, struct muster_error *ret_error)
{
    uint64_t batch = ask->batch_count > 0 ? ask->batches[0] : 0;

    return ask_batch(ask, PROTO_REQUEST_STATUS, batch, 0, take, ask, ret_error);
}

int verb_status(int argc, char **argv)
{
    return ask_verb(VERB_STATUS, argc, argv, status);
}
