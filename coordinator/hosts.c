/* SPDX-License-Identifier: MIT
 *
 * Other hosts, from the coordinator's side. See hosts.h.
 */
#include "coordinator/hosts.h"

#include "base/clock.h"
#include "base/sandbox.h"
#include "coordinator/core_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How much older than others a measurement of a clock may become until another one takes its place, however
 * good it was: clocks of two hosts drift apart by some 50 us in a second at most. */
static const uint64_t OFFSET_AGE_NS = 10 * CLOCK_NS_PER_S;

/* A host is given up after PROTO_BEATS of these, which is before the core gives up a worker that its PING
 * does not reach: that would be blamed on a job. */
enum { BEATS_OF_HEARTBEAT = 5 };

struct host {
    char peer[PROTO_PEER_NAME_MAX + 1]; /* "": nobody has this place in the table */
    char name[PROTO_HOST_NAME_MAX + 1];
    int fd; /* of its connection, as of a frame */
    uint64_t heard_ns;
    uint64_t pinged_ns; /* the nonce of the PING that is not answered; 0: none */
    /* What its clock shows when this one shows 0, by the quickest answer of late; and when that was, and how
     * long it took. */
    uint64_t offset_ns; /* modulo 2^64: less than 0 as well */
    uint64_t measured_ns, travel_ns;
};

struct hosts {
    struct hosts_options options;
    struct core *core; /* borrowed */
    uint64_t beat_ms;
    unsigned used;                      /* of the table, those behind are free */
    struct host table[PROTO_HOSTS_MAX]; /* the number of a host is its place here, from 1 */
};

int hosts_create(const struct hosts_options *options, struct core *core, struct hosts **ret_hosts)
{
    struct hosts *hosts = calloc(1, sizeof *hosts);

    if (!hosts)
        return MUSTER_ENOMEM;
    hosts->options = *options;
    hosts->core = core;
    hosts->beat_ms = options->heartbeat_ns / BEATS_OF_HEARTBEAT / CLOCK_NS_PER_MS;
    if (hosts->beat_ms < 1)
        hosts->beat_ms = 1;
    if (hosts->beat_ms > PROTO_BEAT_MS_MAX)
        hosts->beat_ms = PROTO_BEAT_MS_MAX;
    *ret_hosts = hosts;
    return 0;
}

void hosts_destroy(struct hosts *hosts)
{
    free(hosts);
}

static unsigned number_of(const struct hosts *hosts, const struct host *host)
{
    return (unsigned)(host - hosts->table) + 1;
}

static struct host *find(struct hosts *hosts, const char *peer)
{
    for (unsigned i = 0; i < hosts->used; i++)
        if (hosts->table[i].peer[0] && strcmp(hosts->table[i].peer, peer) == 0)
            return &hosts->table[i];
    return NULL;
}

bool hosts_has(const struct hosts *hosts, const char *peer)
{
    for (unsigned i = 0; hosts && i < hosts->used; i++)
        if (hosts->table[i].peer[0] && strcmp(hosts->table[i].peer, peer) == 0)
            return true;
    return false;
}

static void refuse(struct outbox *outbox, const char *peer, int code, const char *text)
{
    outbox_send(outbox, peer,
                &(struct proto_message){.type = PROTO_ERROR,
                                        .error = {.code = code, .text = outbox_text(outbox, text)}});
}

/* --- who may join */

static bool has_plugin(const struct proto_plugin *plugins, unsigned count, const struct proto_plugin *wanted)
{
    for (unsigned i = 0; i < count; i++)
        if (plugins[i].digest.size == wanted->digest.size &&
            memcmp(plugins[i].digest.bytes, wanted->digest.bytes, wanted->digest.size) == 0)
            return true;
    return false;
}

/* A plug-in that only one of both has. */
static int check_plugins(const struct hosts_options *options, const struct proto_join *join,
                         struct muster_error *ret_error)
{
    for (unsigned i = 0; i < options->plugin_count; i++)
        if (!has_plugin(join->plugins, join->plugin_count, &options->plugins[i]))
            return muster_error_set(
                ret_error, MUSTER_EINVALID,
                "the plug-in %.*s of the coordinator, SHA-256 %.12s..., is not among those "
                "of this host: --plugin FILE with the same bytes is needed",
                (int)options->plugins[i].name.size, options->plugins[i].name.bytes,
                options->plugins[i].digest.bytes);
    for (unsigned i = 0; i < join->plugin_count; i++)
        if (!has_plugin(options->plugins, options->plugin_count, &join->plugins[i]))
            return muster_error_set(
                ret_error, MUSTER_EINVALID,
                "the plug-in %.*s, SHA-256 %.12s..., is not among those of the coordinator",
                (int)join->plugins[i].name.size, join->plugins[i].name.bytes, join->plugins[i].digest.bytes);
    return 0;
}

/* A host may confine its workers more, and not less. */
static int check_sandbox(const struct hosts_options *options, const struct proto_text *text,
                         struct muster_error *ret_error)
{
    const unsigned openings = SANDBOX_NET | SANDBOX_HOME;
    char words[SANDBOX_WORDS_BYTES] = "";
    unsigned sandbox = 0;

    if (text->size >= sizeof words)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "no sandbox has such words");
    memcpy(words, text->bytes, text->size);
    if (text->size > 0 && sandbox_parse(strcmp(words, "on") == 0 ? "" : words, &sandbox, ret_error) != 0)
        return ret_error->code;
    if (!options->sandbox || (sandbox && (options->sandbox & SANDBOX_STRICT) <= (sandbox & SANDBOX_STRICT) &&
                              (sandbox & openings & ~options->sandbox) == 0))
        return 0;
    sandbox_words(options->sandbox, words);
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "workers of the coordinator are confined: --sandbox%s%s is needed",
                            words[0] ? "=" : "", words);
}

static int check_join(const struct hosts *hosts, const struct proto_join *join,
                      struct muster_error *ret_error)
{
    static const char software[] = "muster " MUSTER_VERSION;
    int result;

    if (join->version != PROTO_VERSION || join->software.size != strlen(software) ||
        memcmp(join->software.bytes, software, join->software.size) != 0)
        return muster_error_set(
            ret_error, MUSTER_EVERSION,
            "the coordinator is %s with protocol version %d, and this host has another one", software,
            PROTO_VERSION);
    if ((result = check_plugins(&hosts->options, join, ret_error)) != 0)
        return result;
    return check_sandbox(&hosts->options, &join->sandbox, ret_error);
}

static void name_host(struct host *host, const struct proto_join *join)
{
    snprintf(host->name, sizeof host->name, "%.*s", (int)join->host.size,
             join->host.size ? join->host.bytes : "");
    for (char *c = host->name; *c; c++) /* it is written to terminals */
        if (*c < '!' || *c > '~')
            *c = '?';
    if (!host->name[0])
        snprintf(host->name, sizeof host->name, "?");
}

static void ping(struct host *host, uint64_t now_ns, struct outbox *outbox)
{
    host->pinged_ns = now_ns;
    outbox_send(outbox, host->peer, &(struct proto_message){.type = PROTO_PING, .ping = {.nonce = now_ns}});
}

static void join(struct hosts *hosts, uint64_t now_ns, const struct wire_frame *frame, struct outbox *outbox)
{
    const struct proto_join *message = &frame->message.join;
    const char *peer = frame->peer;
    struct host *host = hosts->table;
    struct muster_error error;
    char what[64];
    unsigned places;

    if (check_join(hosts, message, &error) != 0) {
        refuse(outbox, peer, error.code, error.text);
        return;
    }
    while (host < hosts->table + PROTO_HOSTS_MAX && host->peer[0])
        host++;
    if (host == hosts->table + PROTO_HOSTS_MAX) {
        refuse(outbox, peer, MUSTER_ELIMIT, "too many hosts have joined");
        return;
    }
    *host = (struct host){.fd = frame->fd, .heard_ns = now_ns};
    if (hosts->used < number_of(hosts, host))
        hosts->used = number_of(hosts, host);
    snprintf(host->peer, sizeof host->peer, "%s", peer);
    name_host(host, message);
    outbox_send(
        outbox, peer,
        &(struct proto_message){.type = PROTO_JOINED,
                                .joined = {.version = PROTO_VERSION, .beat_ms = (uint32_t)hosts->beat_ms}});
    ping(host, now_ns, outbox); /* answered ahead of all that its workers say */
    places = core_join(hosts->core, now_ns, number_of(hosts, host), host->name, message->workers, outbox);
    snprintf(what, sizeof what, "joins with %u worker%s%s", places, places == 1 ? "" : "s",
             places < message->workers ? ", for there is room for no more" : "");
    journal_host(hosts->options.journal, host->name, what);
}

/* --- the end of a connection */

static void part(struct hosts *hosts, uint64_t now_ns, struct host *host, const char *reason,
                 struct outbox *outbox)
{
    char text[sizeof((struct worker_exit *)0)->reason];
    unsigned number = number_of(hosts, host);

    snprintf(text, sizeof text, "its host %s is lost: %s", host->name, reason);
    journal_host(hosts->options.journal, host->name, reason);
    host->peer[0] = '\0';
    while (hosts->used > 0 && !hosts->table[hosts->used - 1].peer[0])
        hosts->used--;
    core_part(hosts->core, now_ns, number, text, outbox);
}

void hosts_lose(struct hosts *hosts, uint64_t now_ns, const char *peer, const char *reason,
                struct outbox *outbox)
{
    struct host *host = hosts ? find(hosts, peer) : NULL;

    if (host)
        part(hosts, now_ns, host, reason, outbox);
}

/* It is told: it may be alive, and comes back then. */
static void give_up(struct hosts *hosts, uint64_t now_ns, struct host *host, int code, const char *reason,
                    struct outbox *outbox)
{
    refuse(outbox, host->peer, code, reason);
    hosts->options.estrange(hosts->options.context, host->fd, host->peer);
    part(hosts, now_ns, host, reason, outbox);
}

/* --- what a host says */

/* Where half of the way there and back was at the moment that it told; the quickest answer is the one with
 * the least that is not known of that. */
static void measure(struct host *host, uint64_t now_ns, const struct proto_beat *beat)
{
    uint64_t travel_ns = now_ns - host->pinged_ns;

    if (host->measured_ns && travel_ns > host->travel_ns && now_ns - host->measured_ns < OFFSET_AGE_NS)
        return;
    host->offset_ns = beat->clock_ns - (host->pinged_ns + travel_ns / 2);
    host->travel_ns = travel_ns;
    host->measured_ns = now_ns;
}

static void beat(struct host *host, uint64_t now_ns, const struct proto_beat *message, struct outbox *outbox)
{
    if (message->nonce == 0) {
        ping(host, now_ns, outbox);
    } else if (message->nonce == host->pinged_ns) {
        measure(host, now_ns, message);
        host->pinged_ns = 0;
    }
}

static void exited(struct hosts *hosts, uint64_t now_ns, const struct host *host,
                   const struct proto_exited *message, struct outbox *outbox)
{
    unsigned slot = core_slot_at(hosts->core, number_of(hosts, host), message->place);
    struct worker_exit exit = {.slot = slot,
                               .killed = message->killed,
                               .executing = message->executing,
                               .timed_out = message->timed_out,
                               .chunk = message->chunk,
                               .index = message->index,
                               .progress = message->progress};

    if (slot == 0)
        return; /* the host was lost for a while, or says what it likes */
    snprintf(exit.reason, sizeof exit.reason, "%.*s (host %s)", (int)message->reason.size,
             message->reason.size ? message->reason.bytes : "", host->name);
    if (!core_expects_exit(hosts->core, slot))
        journal_exit(hosts->options.journal, &exit);
    core_worker_exited(hosts->core, now_ns, &exit, outbox);
}

static void hear(struct hosts *hosts, uint64_t now_ns, struct host *host, const struct wire_frame *frame,
                 struct outbox *outbox)
{
    const struct proto_message *message = &frame->message;

    if (frame->error.code != 0)
        give_up(hosts, now_ns, host, MUSTER_EPROTOCOL, frame->error.text, outbox);
    else if (message->type == PROTO_BEAT)
        beat(host, frame->received_ns, &message->beat, outbox);
    else if (message->type == PROTO_EXITED)
        exited(hosts, now_ns, host, &message->exited, outbox);
    else if (message->type == PROTO_STOP)
        part(hosts, now_ns, host, "leaves", outbox);
    else
        give_up(hosts, now_ns, host, MUSTER_EPROTOCOL, "a host does not send this message", outbox);
}

/* A moment of the host's clock, by this one. */
static void set_back(uint64_t *ns, uint64_t offset_ns)
{
    if (*ns != 0)
        *ns -= offset_ns;
}

/* What was reported by now was, whatever the clocks say. */
static void correct_times(const struct host *host, struct wire_frame *frame)
{
    struct proto_outcome *outcome = &frame->message.result.outcome;
    uint64_t offset_ns = host->offset_ns, ahead_ns;

    if (outcome->reported_ns == 0)
        return;
    ahead_ns = outcome->reported_ns - offset_ns - frame->received_ns;
    if ((int64_t)ahead_ns > 0)
        offset_ns += ahead_ns;
    set_back(&outcome->arrived_ns, offset_ns);
    set_back(&outcome->began_ns, offset_ns);
    set_back(&outcome->reported_ns, offset_ns);
}

bool hosts_take(struct hosts *hosts, uint64_t now_ns, struct wire_frame *frame, struct outbox *outbox)
{
    bool knows = frame->error.code == 0;
    struct host *host;

    if (!hosts)
        return frame->via[0] != '\0';
    host = find(hosts, frame->peer);
    if (!host && knows && frame->message.type == PROTO_JOIN && !frame->via[0]) {
        join(hosts, now_ns, frame, outbox);
        return true;
    }
    if (!host)
        return frame->via[0] != '\0'; /* it was given up, and told so */
    host->heard_ns = now_ns;
    if (!frame->via[0]) {
        hear(hosts, now_ns, host, frame, outbox);
        return true;
    }
    if (core_host_of(hosts->core, frame->via) != number_of(hosts, host))
        return true; /* a worker that is buried */
    memcpy(frame->peer, frame->via, sizeof frame->peer);
    if (knows && frame->message.type == PROTO_RESULT)
        correct_times(host, frame);
    return false;
}

/* --- what is said to hosts */

const char *hosts_route(const struct hosts *hosts, const char *worker)
{
    unsigned host = hosts && hosts->used > 0 ? core_host_of(hosts->core, worker) : 0;

    return host > 0 ? hosts->table[host - 1].peer : NULL;
}

bool hosts_spawn(struct hosts *hosts, unsigned slot, const char *name, struct outbox *outbox)
{
    struct core_whereabouts where;

    if (!hosts || (where = core_where(hosts->core, slot)).host == 0)
        return false;
    outbox_send(outbox, hosts->table[where.host - 1].peer,
                &(struct proto_message){.type = PROTO_SPAWN,
                                        .spawn = {.place = where.place, .name = outbox_text(outbox, name)}});
    return true;
}

bool hosts_kill(struct hosts *hosts, unsigned slot, struct outbox *outbox)
{
    struct core_whereabouts where;

    if (!hosts || (where = core_where(hosts->core, slot)).host == 0)
        return false;
    outbox_send(outbox, hosts->table[where.host - 1].peer,
                &(struct proto_message){.type = PROTO_KILL, .kill = {.place = where.place}});
    return true;
}

static uint64_t deadline_of(const struct hosts *hosts, const struct host *host)
{
    return clock_after(host->heard_ns, PROTO_BEATS * hosts->beat_ms * CLOCK_NS_PER_MS);
}

uint64_t hosts_deadline(const struct hosts *hosts)
{
    uint64_t first_ns = CLOCK_NEVER, due_ns;

    for (unsigned i = 0; hosts && i < hosts->used; i++)
        if (hosts->table[i].peer[0] && (due_ns = deadline_of(hosts, &hosts->table[i])) < first_ns)
            first_ns = due_ns;
    return first_ns;
}

/* A deadline that is seen late says that this process did not run: what hosts said meanwhile is not read yet.
 */
static void host_due(struct hosts *hosts, uint64_t now_ns, struct host *host, struct outbox *outbox)
{
    uint64_t beat_ns = hosts->beat_ms * CLOCK_NS_PER_MS;

    if (now_ns - deadline_of(hosts, host) < beat_ns) {
        give_up(hosts, now_ns, host, MUSTER_ESTATE, "was not heard for too long", outbox);
        return;
    }
    host->heard_ns = now_ns - (PROTO_BEATS - 1) * beat_ns;
    ping(host, now_ns, outbox);
}

void hosts_tick(struct hosts *hosts, uint64_t now_ns, struct outbox *outbox)
{
    for (unsigned i = 0; hosts && i < hosts->used; i++)
        if (hosts->table[i].peer[0] && deadline_of(hosts, &hosts->table[i]) <= now_ns)
            host_due(hosts, now_ns, &hosts->table[i], outbox);
}

void hosts_stop(const struct hosts *hosts, struct outbox *outbox)
{
    for (unsigned i = 0; hosts && i < hosts->used; i++)
        if (hosts->table[i].peer[0])
            outbox_send(outbox, hosts->table[i].peer, &(struct proto_message){.type = PROTO_STOP});
}
