/* SPDX-License-Identifier: MIT
 *
 * Other hosts as they join: who may, and who was here before. See hosts.h.
 */
#include "base/sandbox.h"
#include "coordinator/hosts_internal.h"

#include <stdio.h>
#include <string.h>

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
    char words[SANDBOX_WORDS_BYTES] = "";
    unsigned sandbox = 0;

    if (text->size >= sizeof words)
        return muster_error_set(ret_error, MUSTER_EINVALID, "no sandbox has such words");
    if (text->size > 0)
        memcpy(words, text->bytes, text->size);
    if (text->size > 0 && sandbox_parse(strcmp(words, "on") == 0 ? "" : words, &sandbox, ret_error) != 0)
        return ret_error->code;
    if (sandbox_holds_within(sandbox, options->sandbox))
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

/* --- who was here before */

static struct host *find_session(struct hosts *hosts, uint64_t session)
{
    for (unsigned i = 0; i < hosts->used; i++)
        if (hosts->table[i].session == session)
            return &hosts->table[i];
    return NULL;
}

/* NULL: there is no room. */
static struct host *add(struct hosts *hosts, uint64_t session)
{
    struct host *host = hosts->table;

    while (host < hosts->table + PROTO_HOSTS_MAX && host->session)
        host++;
    if (host == hosts->table + PROTO_HOSTS_MAX)
        return NULL;
    *host = (struct host){.session = session};
    if (hosts->used < hosts_number(hosts, host))
        hosts->used = hosts_number(hosts, host);
    return host;
}

/* Answered ahead of all that its workers say. */
static void welcome(struct hosts *hosts, uint64_t now_ns, struct host *host, const struct wire_frame *frame,
                    struct outbox *outbox)
{
    snprintf(host->peer, sizeof host->peer, "%s", frame->peer);
    host->fd = frame->fd;
    host->connection = frame->message.join.connection;
    host->heard_ns = now_ns;
    host->expected = false;
    name_host(host, &frame->message.join);
    outbox_send(outbox, host->peer,
                &(struct proto_message){.type = PROTO_JOINED,
                                        .joined = {.version = PROTO_VERSION,
                                                   .beat_ms = (uint32_t)hosts->beat_ms,
                                                   .state = hosts->options.state,
                                                   .epoch = hosts->options.epoch,
                                                   .hold_ms = hosts->hold_ms}});
    hosts_ping(host, now_ns, outbox);
}

static void say_joined(const struct hosts *hosts, const struct host *host, const char *how, unsigned places,
                       unsigned wanted)
{
    char what[96];

    snprintf(what, sizeof what, "%s with %u worker%s%s", how, places, places == 1 ? "" : "s",
             places < wanted ? ", for there is room for no more" : "");
    journal_host(hosts->options.journal, host->name, what);
}

/* Nobody knows of workers of it. */
static void begin(struct hosts *hosts, uint64_t now_ns, const struct wire_frame *frame, struct outbox *outbox)
{
    const struct proto_join *join = &frame->message.join;
    struct host *host = add(hosts, join->session);

    if (!host) {
        hosts_refuse(outbox, frame->peer, MUSTER_ELIMIT, "too many hosts have joined");
        return;
    }
    welcome(hosts, now_ns, host, frame, outbox);
    hosts->options.note(hosts->options.context, host->session, true);
    say_joined(hosts, host, "joins",
               core_join(hosts->core, now_ns, hosts_number(hosts, host), host->name, join->workers, outbox),
               join->workers);
}

static void refuse_given_up(const struct wire_frame *frame, struct outbox *outbox)
{
    hosts_refuse(outbox, frame->peer, MUSTER_ESTATE,
                 "this host was given up, and others have its jobs: it is to end its workers and to begin "
                 "anew");
}

/* Of this life: it was away, or this one has not noticed that. It may not have heard that this life took it
 * over. */
static void go_on(struct hosts *hosts, uint64_t now_ns, struct host *host, const struct wire_frame *frame,
                  struct outbox *outbox)
{
    const struct proto_join *join = &frame->message.join;

    if (host->peer[0]) {
        hosts->options.estrange(hosts->options.context, host->peer);
        hosts_cut(hosts, now_ns, host, "comes again", outbox);
        if (!host->session) { /* none is waited for */
            refuse_given_up(frame, outbox);
            return;
        }
    }
    welcome(hosts, now_ns, host, frame, outbox);
    if (core_back(hosts->core, now_ns, hosts_number(hosts, host), join, outbox)) {
        say_joined(hosts, host, "is back", join->resident_count, join->resident_count);
        return;
    }
    hosts_refuse(outbox, frame->peer, MUSTER_EPROTOCOL, "a host has the workers that it was told to start");
    hosts_part(hosts, now_ns, host, "has other workers than it was told to start", outbox);
}

/* Of a life before: what its workers hold is theirs as far as nobody else has it by now. */
static void take_over(struct hosts *hosts, uint64_t now_ns, struct host *host, const struct wire_frame *frame,
                      struct outbox *outbox)
{
    const struct proto_join *join = &frame->message.join;
    bool expected = host != NULL;
    unsigned places;

    if (!host)
        host = add(hosts, join->session);
    if (!host) {
        hosts_refuse(outbox, frame->peer, MUSTER_ELIMIT, "too many hosts have joined");
        return;
    }
    welcome(hosts, now_ns, host, frame, outbox);
    if (core_join_again(hosts->core, now_ns, hosts_number(hosts, host), host->name, join, expected, &places,
                        outbox)) {
        hosts->options.note(hosts->options.context, host->session, true);
        say_joined(hosts, host, "is back from another life", places, join->workers);
    } else {
        refuse_given_up(frame, outbox);
        hosts_part(hosts, now_ns, host, "has workers that cannot be taken over", outbox);
    }
    if (expected) /* last: from here on jobs are assigned, unless workers are waited for */
        core_await_host_no_more(hosts->core, now_ns, outbox);
}

void hosts_join(struct hosts *hosts, uint64_t now_ns, const struct wire_frame *frame, struct outbox *outbox)
{
    const struct proto_join *join = &frame->message.join;
    struct host *host = find_session(hosts, join->session);
    struct muster_error error;

    if (check_join(hosts, join, &error) != 0)
        hosts_refuse(outbox, frame->peer, error.code, error.text);
    else if (host && join->connection <= host->connection)
        hosts_refuse(outbox, frame->peer, MUSTER_ESTATE, "this host has joined by a later connection");
    else if (join->state == 0 && !host && join->resident_count == 0)
        begin(hosts, now_ns, frame, outbox);
    else if (join->state == hosts->options.state && join->epoch <= hosts->options.epoch && host &&
             !host->expected)
        go_on(hosts, now_ns, host, frame, outbox);
    else if (join->state == hosts->options.state && join->epoch < hosts->options.epoch &&
             (!host || host->expected))
        take_over(hosts, now_ns, host, frame, outbox);
    else
        refuse_given_up(frame, outbox);
}
