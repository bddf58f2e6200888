/* SPDX-License-Identifier: MIT
 *
 * Other hosts, from the coordinator's side. See hosts.h.
 */
#include "coordinator/hosts_internal.h"

#include "base/clock.h"
#include "coordinator/core_look.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How much older than others a measurement of a clock may become until another one takes its place, however
 * good it was: clocks of two hosts drift apart by some 50 us in a second at most. */
static const uint64_t OFFSET_AGE_NS = 10 * CLOCK_NS_PER_S;

/* A host is away after PROTO_BEATS of these, which is before the core gives up a worker that its PING
 * does not reach: that would be blamed on a job. */
enum { BEATS_OF_HEARTBEAT = 5 };

/* How long the jobs of all wait for hosts that another life of this coordinator had. */
static const uint64_t EXPECTED_NS = 10 * CLOCK_NS_PER_S;

/* The coordinator gives a host up before that gives the coordinator up: else jobs would wait for nothing. */
static const uint64_t HOLD_MORE_NS = 5 * CLOCK_NS_PER_S;

/* Less than this is no large message on its way. */
enum { SENT_LEAST = 4096 };

/* Longer than this side waits, and as long as workers here. */
static uint32_t hold_ms(const struct hosts_options *options)
{
    uint64_t ns = options->grace_ns + HOLD_MORE_NS;

    if (options->grace_ns == 0)
        return 0;
    ns = (ns > options->orphan_ns ? ns : options->orphan_ns) / CLOCK_NS_PER_MS;
    return ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
}

int hosts_create(const struct hosts_options *options, struct core *core, struct hosts **ret_hosts)
{
    struct hosts *hosts = calloc(1, sizeof *hosts);

    if (!hosts)
        return MUSTER_ENOMEM;
    hosts->options = *options;
    hosts->options.state |= 1; /* 0: none */
    hosts->core = core;
    hosts->beat_ms = options->heartbeat_ns / BEATS_OF_HEARTBEAT / CLOCK_NS_PER_MS;
    if (hosts->beat_ms < 1)
        hosts->beat_ms = 1;
    if (hosts->beat_ms > PROTO_BEAT_MS_MAX)
        hosts->beat_ms = PROTO_BEAT_MS_MAX;
    hosts->hold_ms = hold_ms(options);
    *ret_hosts = hosts;
    return 0;
}

/* Jobs wait for it as they wait for workers that are adopted. */
bool hosts_expect(struct hosts *hosts, uint64_t session)
{
    if (!hosts || hosts->used == PROTO_HOSTS_MAX || hosts->options.grace_ns == 0)
        return false;
    hosts->table[hosts->used++] =
        (struct host){.session = session, .name = "?", .expected = true, .away_ns = CLOCK_NEVER};
    core_await_host(hosts->core);
    return true;
}

/* From now on it may be away for so long. */
static void wait_for(const struct hosts *hosts, uint64_t now_ns, struct host *host)
{
    uint64_t grace_ns = hosts->options.grace_ns;

    host->away_ns = clock_after(now_ns, host->expected && grace_ns > EXPECTED_NS ? EXPECTED_NS : grace_ns);
}

void hosts_listen(struct hosts *hosts, uint64_t now_ns)
{
    for (unsigned i = 0; hosts && i < hosts->used; i++)
        wait_for(hosts, now_ns, &hosts->table[i]);
}

void hosts_destroy(struct hosts *hosts)
{
    free(hosts);
}

unsigned hosts_number(const struct hosts *hosts, const struct host *host)
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

void hosts_refuse(struct outbox *outbox, const char *peer, int code, const char *text)
{
    outbox_send(outbox, peer,
                &(struct proto_message){.type = PROTO_ERROR,
                                        .error = {.code = code, .text = outbox_text(outbox, text)}});
}

void hosts_ping(struct host *host, uint64_t now_ns, struct outbox *outbox)
{
    host->pinged_ns = now_ns;
    outbox_send(outbox, host->peer, &(struct proto_message){.type = PROTO_PING, .ping = {.nonce = now_ns}});
}

/* --- the end of a connection */

void hosts_part(struct hosts *hosts, uint64_t now_ns, struct host *host, const char *reason,
                struct outbox *outbox)
{
    char text[sizeof((struct worker_exit *)0)->reason];
    unsigned number = hosts_number(hosts, host);
    bool expected = host->expected;

    snprintf(text, sizeof text, "its host %s is lost: %s", host->name, reason);
    journal_host(hosts->options.journal, host->name, reason);
    hosts->options.note(hosts->options.context, host->session, false);
    *host = (struct host){.session = 0};
    while (hosts->used > 0 && !hosts->table[hosts->used - 1].session)
        hosts->used--;
    if (expected)
        core_await_host_no_more(hosts->core, now_ns, outbox);
    else
        core_part(hosts->core, now_ns, number, text, outbox);
}

void hosts_cut(struct hosts *hosts, uint64_t now_ns, struct host *host, const char *reason,
               struct outbox *outbox)
{
    char what[96];

    if (hosts->options.grace_ns == 0) {
        hosts_part(hosts, now_ns, host, reason, outbox);
        return;
    }
    snprintf(what, sizeof what, "%s; its jobs wait for it, %.3g s at most", reason,
             (double)hosts->options.grace_ns / 1e9);
    journal_host(hosts->options.journal, host->name, what);
    host->peer[0] = '\0';
    host->pinged_ns = host->looked_ns = 0;
    wait_for(hosts, now_ns, host);
    core_away(hosts->core, now_ns, hosts_number(hosts, host), outbox);
}

void hosts_expel(struct hosts *hosts, uint64_t now_ns, const char *peer, const char *reason,
                 struct outbox *outbox)
{
    struct host *host = hosts ? find(hosts, peer) : NULL;

    if (host)
        hosts_part(hosts, now_ns, host, reason, outbox);
}

void hosts_lose(struct hosts *hosts, uint64_t now_ns, const char *peer, const char *reason,
                struct outbox *outbox)
{
    struct host *host = hosts ? find(hosts, peer) : NULL;

    if (host)
        hosts_cut(hosts, now_ns, host, reason, outbox);
}

/* It is told, and is a stranger from then on. */
static void give_up(struct hosts *hosts, uint64_t now_ns, struct host *host, const char *reason,
                    struct outbox *outbox)
{
    hosts_refuse(outbox, host->peer, MUSTER_EPROTOCOL, reason);
    hosts->options.estrange(hosts->options.context, host->peer);
    hosts_part(hosts, now_ns, host, reason, outbox);
}

/* Likewise: it may be alive, and come back then. */
static void miss(struct hosts *hosts, uint64_t now_ns, struct host *host, struct outbox *outbox)
{
    static const char reason[] = "was not heard for too long";

    hosts_refuse(outbox, host->peer, MUSTER_ESTATE, reason);
    hosts->options.estrange(hosts->options.context, host->peer);
    hosts_cut(hosts, now_ns, host, reason, outbox);
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
        if (!host->pinged_ns)
            hosts_ping(host, now_ns, outbox);
    } else if (message->nonce == host->pinged_ns) {
        measure(host, now_ns, message);
        host->pinged_ns = host->looked_ns = 0;
    }
}

static void exited(struct hosts *hosts, uint64_t now_ns, const struct host *host,
                   const struct proto_exited *message, struct outbox *outbox)
{
    unsigned slot = core_slot_at(hosts->core, hosts_number(hosts, host), message->place);
    struct worker_exit exit = {.slot = slot,
                               .killed = message->killed,
                               .executing = message->executing,
                               .timed_out = message->timed_out,
                               .chunk = message->chunk,
                               .index = message->index,
                               .batch = message->batch,
                               .attempt = message->attempt,
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
        give_up(hosts, now_ns, host, frame->error.text, outbox);
    else if (message->type == PROTO_BEAT)
        beat(host, frame->received_ns, &message->beat, outbox);
    else if (message->type == PROTO_EXITED)
        exited(hosts, now_ns, host, &message->exited, outbox);
    else if (message->type == PROTO_STOP)
        hosts_part(hosts, now_ns, host, "leaves", outbox);
    else
        give_up(hosts, now_ns, host, "a host does not send this message", outbox);
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
        hosts_join(hosts, now_ns, frame, outbox);
        return true;
    }
    if (!host)
        return frame->via[0] != '\0'; /* it was given up, and told so */
    host->heard_ns = now_ns;
    if (!host->pinged_ns)
        host->looked_ns = 0;
    if (!frame->via[0]) {
        hear(hosts, now_ns, host, frame, outbox);
        return true;
    }
    if (core_host_of(hosts->core, frame->via) != hosts_number(hosts, host))
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
    if (hosts->table[where.host - 1].peer[0])
        outbox_send(
            outbox, hosts->table[where.host - 1].peer,
            &(struct proto_message){.type = PROTO_SPAWN,
                                    .spawn = {.place = where.place, .name = outbox_text(outbox, name)}});
    return true;
}

bool hosts_kill(struct hosts *hosts, unsigned slot, struct outbox *outbox)
{
    struct core_whereabouts where;

    if (!hosts || (where = core_where(hosts->core, slot)).host == 0)
        return false;
    if (hosts->table[where.host - 1].peer[0])
        outbox_send(outbox, hosts->table[where.host - 1].peer,
                    &(struct proto_message){.type = PROTO_KILL, .kill = {.place = where.place}});
    return true;
}

/* Since then it has not said, or answered, what it would have if nothing was in the way. */
static uint64_t quiet_since(const struct host *host)
{
    return host->pinged_ns && host->pinged_ns < host->heard_ns ? host->pinged_ns : host->heard_ns;
}

/* Twice ahead of that its connection is looked at. */
static uint64_t look_due(const struct hosts *hosts, const struct host *host)
{
    uint64_t part_ns = PROTO_BEATS * hosts->beat_ms * CLOCK_NS_PER_MS / 4;

    if (!host->peer[0])
        return CLOCK_NEVER;
    return host->looked_ns ? clock_after(host->looked_ns, part_ns)
                           : clock_after(quiet_since(host), 2 * part_ns);
}

/* A message that takes long to cross keeps back all that is behind it: while more of it comes, the host is
 * heard, and while any crosses, no worker of it is silent by its own doing. */
static void look(struct hosts *hosts, uint64_t now_ns, struct host *host)
{
    struct wire_traffic now = hosts->options.traffic(hosts->options.context, host->fd, host->peer),
                        before = host->traffic;

    if (host->looked_ns && now.received > before.received)
        host->heard_ns = now_ns;
    if (host->looked_ns && (now.received > before.received || now.sent > before.sent + SENT_LEAST))
        core_heard(hosts->core, now_ns, hosts_number(hosts, host));
    host->traffic = now;
    host->looked_ns = now_ns;
}

static uint64_t deadline_of(const struct hosts *hosts, const struct host *host)
{
    if (!host->peer[0])
        return host->away_ns;
    return clock_after(host->heard_ns, PROTO_BEATS * hosts->beat_ms * CLOCK_NS_PER_MS);
}

static uint64_t next_due(const struct hosts *hosts, const struct host *host)
{
    uint64_t due_ns = deadline_of(hosts, host), look_ns = look_due(hosts, host);

    return look_ns < due_ns ? look_ns : due_ns;
}

uint64_t hosts_deadline(const struct hosts *hosts)
{
    uint64_t first_ns = CLOCK_NEVER, due_ns;

    for (unsigned i = 0; hosts && i < hosts->used; i++)
        if (hosts->table[i].session && (due_ns = next_due(hosts, &hosts->table[i])) < first_ns)
            first_ns = due_ns;
    return first_ns;
}

/* A deadline that is seen late says that this process did not run: what hosts said meanwhile is not read yet.
 */
static void host_due(struct hosts *hosts, uint64_t now_ns, struct host *host, struct outbox *outbox)
{
    uint64_t beat_ns = hosts->beat_ms * CLOCK_NS_PER_MS;
    bool overslept = now_ns - deadline_of(hosts, host) >= beat_ns;

    if (!overslept && host->peer[0]) {
        miss(hosts, now_ns, host, outbox);
        return;
    }
    if (!host->peer[0]) {
        if (overslept)
            wait_for(hosts, now_ns, host);
        else
            hosts_part(hosts, now_ns, host, "has not come back", outbox);
        return;
    }
    host->heard_ns = now_ns - (PROTO_BEATS - 1) * beat_ns;
    hosts_ping(host, now_ns, outbox);
}

void hosts_tick(struct hosts *hosts, uint64_t now_ns, struct outbox *outbox)
{
    for (unsigned i = 0; hosts && i < hosts->used; i++) {
        struct host *host = &hosts->table[i];

        if (host->session && look_due(hosts, host) <= now_ns)
            look(hosts, now_ns, host);
        if (host->session && deadline_of(hosts, host) <= now_ns)
            host_due(hosts, now_ns, host, outbox);
    }
}

void hosts_stop(const struct hosts *hosts, struct outbox *outbox)
{
    for (unsigned i = 0; hosts && i < hosts->used; i++) {
        const struct host *host = &hosts->table[i];

        if (host->peer[0])
            outbox_send(outbox, host->peer, &(struct proto_message){.type = PROTO_STOP});
    }
}

void hosts_leave(const struct hosts *hosts)
{
    for (unsigned i = 0; hosts && i < hosts->used; i++) {
        const struct host *host = &hosts->table[i];

        if (host->peer[0])
            hosts->options.note(hosts->options.context, host->session, false);
    }
}
