/* SPDX-License-Identifier: MIT
 *
 * What is known of other hosts; for hosts.c and hosts_join.c.
 */
#ifndef MUSTER_COORDINATOR_HOSTS_INTERNAL_H
#define MUSTER_COORDINATOR_HOSTS_INTERNAL_H

#include "coordinator/hosts.h"

struct host {
    uint64_t session;                   /* 0: nobody has this place in the table */
    char peer[PROTO_PEER_NAME_MAX + 1]; /* "": it is away */
    char name[PROTO_HOST_NAME_MAX + 1];
    int fd;                      /* of its connection, as of a frame */
    uint32_t connection;         /* which it was of its session, the last that it joined by; 0: none yet */
    bool expected;               /* another life had it: the core has not yet */
    uint64_t away_ns;            /* when it is given up unless it has come back */
    uint64_t heard_ns;           /* or bytes of a message had come */
    uint64_t pinged_ns;          /* the nonce of the PING that is not answered; 0: none */
    uint64_t looked_ns;          /* when its connection was looked at; 0: not since all was well */
    struct wire_traffic traffic; /* of it then */
    /* What its clock shows when this one shows 0, by the quickest answer of late; and when that was, and how
     * long it took. */
    uint64_t offset_ns; /* modulo 2^64: less than 0 as well */
    uint64_t measured_ns, travel_ns;
};

struct hosts {
    struct hosts_options options;
    struct core *core; /* borrowed */
    uint64_t beat_ms;
    uint32_t hold_ms;                   /* how long workers of a host go on without a connection */
    unsigned used;                      /* of the table, those behind are free */
    struct host table[PROTO_HOSTS_MAX]; /* the number of a host is its place here, from 1 */
};

/* --- hosts.c */

unsigned hosts_number(const struct hosts *hosts, const struct host *host);

/* The host is asked whether it is there. */
void hosts_ping(struct host *host, uint64_t now_ns, struct outbox *outbox);

/* An ERROR for a peer. */
void hosts_refuse(struct outbox *outbox, const char *peer, int code, const char *text);

/* Its connection is gone, or counts as gone: it is away, or given up where none is waited for. */
void hosts_cut(struct hosts *hosts, uint64_t now_ns, struct host *host, const char *reason,
               struct outbox *outbox);

/* It is given up, with its workers. */
void hosts_part(struct hosts *hosts, uint64_t now_ns, struct host *host, const char *reason,
                struct outbox *outbox);

/* --- hosts_join.c */

/* Somebody says JOIN who is no host yet. */
void hosts_join(struct hosts *hosts, uint64_t now_ns, const struct wire_frame *frame, struct outbox *outbox);

#endif
