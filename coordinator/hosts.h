/* SPDX-License-Identifier: MIT
 *
 * Other hosts that run workers for this coordinator: each has one connection, over which all that is about
 * its workers goes in order (coordinator/outpost.h is its other end). Who joins has to have what the workers
 * here have. A host whose connection is lost, or that is silent, is away: its workers are its own for a while
 * yet, and it may go on when it is back, also with the next life of this coordinator. Then it is given up,
 * with its workers. Pure; one thread.
 */
#ifndef MUSTER_COORDINATOR_HOSTS_H
#define MUSTER_COORDINATOR_HOSTS_H

#include "coordinator/core.h"
#include "coordinator/journal.h"
#include "proto/wire.h"

struct hosts;

/* What workers have to have, wherever they run; borrowed. */
struct hosts_options {
    const struct proto_plugin *plugins;
    unsigned plugin_count;
    unsigned sandbox;      /* see base/sandbox.h */
    uint64_t heartbeat_ns; /* as of workers */
    uint64_t grace_ns;     /* how long one that is away is waited for; 0: not at all */
    uint64_t orphan_ns;    /* how long workers of this host wait for another life; 0: they do not */
    uint64_t state;        /* whose jobs these are, the same in each life of the coordinator, and */
    uint32_t epoch;        /* which life this is, as in core_options */
    const struct journal *journal;
    /* What has crossed its connection. */
    struct wire_traffic (*traffic)(void *context, int fd, const char *peer);
    /* A host of this session is here, or is not any more: what hosts_expect of the next life is told. */
    void (*note)(void *context, uint64_t session, bool here);
    /* A host that may still be connected was told that it is none any more: what it sends for a moment was
     * under way. */
    void (*estrange)(void *context, const char *peer);
    void *context;
};

/* 0 or MUSTER_ENOMEM. */
int hosts_create(const struct hosts_options *options, struct core *core, struct hosts **ret_hosts);

/* All that follow take NULL, where nobody can join. */
void hosts_destroy(struct hosts *hosts);

/* At the start: a host that another life had and did not part with. False: it is not waited for, nor will it
 * be in the next. */
bool hosts_expect(struct hosts *hosts, uint64_t session);

/* They can be heard from now on: those that are expected have so long. */
void hosts_listen(struct hosts *hosts, uint64_t now_ns);

/* Whether a host connects under this name. */
bool hosts_has(const struct hosts *hosts, const char *peer);

/* What a host sent is dealt with, or was passed over, as was what others send that only hosts may: true. What
 * a worker of a host sent is from then on a message of that worker, with times of this host's clock, and all
 * others stay what they are: false. */
bool hosts_take(struct hosts *hosts, uint64_t now_ns, struct wire_frame *frame, struct outbox *outbox);

/* The name of the host that a worker is reached by, "" while that is away; NULL: it is one of this host, or
 * none.
 */
const char *hosts_route(const struct hosts *hosts, const char *worker);

/* Has a worker spawned, or killed, if its slot is another host's. Returns whether it is. */
bool hosts_spawn(struct hosts *hosts, unsigned slot, const char *name, struct outbox *outbox);
bool hosts_kill(struct hosts *hosts, unsigned slot, struct outbox *outbox);

/* The connection of a host is gone, for this reason. Takes names of others. */
void hosts_lose(struct hosts *hosts, uint64_t now_ns, const char *peer, const char *reason,
                struct outbox *outbox);

/* Likewise, and it may not come back. */
void hosts_expel(struct hosts *hosts, uint64_t now_ns, const char *peer, const char *reason,
                 struct outbox *outbox);

/* When hosts_tick is due; CLOCK_NEVER. */
uint64_t hosts_deadline(const struct hosts *hosts);
void hosts_tick(struct hosts *hosts, uint64_t now_ns, struct outbox *outbox);

/* The coordinator ends: all are told. Those that are away cannot be, and may come to the next life. */
void hosts_stop(const struct hosts *hosts, struct outbox *outbox);

/* They are told, and end: the next life does not wait for them. */
void hosts_leave(const struct hosts *hosts);

#endif
