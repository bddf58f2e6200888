/* SPDX-License-Identifier: MIT
 *
 * A batch under the model `processes` while muster_map runs: its life (processes_map.c), its arguments on
 * their way to the coordinator (processes_arguments.c), its results on their way to the caller
 * (processes_results.c), and how it comes back to a batch that is kept (processes_attach.c). The caller's
 * thread.
 *
 * What the caller is ahead or behind is bounded on both sides: arguments are pulled from the
 * source only while the coordinator grants it, and results flow only while the caller
 * consumes them (window_bytes).
 */
#ifndef MUSTER_CLIENT_PROCESSES_MAP_H
#define MUSTER_CLIENT_PROCESSES_MAP_H

#include "client/account.h"
#include "client/order.h"
#include "client/processes.h"
#include "client/sent.h"
#include "client/stall.h"

/* One batch. */
struct map {
    struct mail_route route; /* first */
    struct processes *p;
    const struct muster_batch *batch;
    struct muster_summary *summary;
    uint64_t began_ns, submitted_ns;
    struct stall stall;
    struct account *account; /* owned */

    /* arguments */
    bool sealed, waiting; /* the source has ended; it must be waited for */
    uint64_t pulled;      /* arguments so far */
    uint64_t granted_cost, sent_cost;
    struct sent sent;
    struct shared_uses uses; /* of the block that is being filled */
    msgpack_sbuffer buffer;  /* the block that is being filled */
    msgpack_sbuffer common;  /* batch->common, encoded */
    uint64_t asked_ns;       /* since when */
    msgpack_zone zone;

    /* results */
    struct order order;
    uint64_t next;   /* index that is delivered next */
    uint64_t unread; /* results whose bytes could not be had: they count as failures */
    uint64_t window_bytes, consumed_cost, told_cost; /* of those of this ticket */

    /* at a coordinator that keeps the batch */
    uint64_t number;           /* of the batch there; 0: it is not accepted (yet) */
    enum proto_arguments kind; /* as it is there */
    int64_t first;             /* of a range */
    uint64_t total;            /* jobs; 0 while not known */
    uint64_t received;         /* RESULTS that came */
    bool in_order; /* they come in order; else the window could fill with what is behind one that is late */

    bool attached_anew; /* since its coordinator was gone: to the next one, which forgets by request alone */
    bool told_all;      /* ENDED came */
    bool ended;         /* or never will */
    enum proto_cancel_mode cancelled; /* the CANCEL that was sent; 0: none */
    bool interrupted;
    bool left;  /* it goes on without this process */
    bool muted; /* a callback failed: none is called again */
    int code;   /* what muster_map returns; the first reason stays */
    struct muster_error error;
};

/* Keeps the first reason for ending early. */
void map_note_error(struct map *m, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

int map_say(struct map *m, const struct proto_message *message);
void map_cancel(struct map *m, enum proto_cancel_mode mode);

/* What a callback returned: 0, MUSTER_EEND to end softly, or why the batch ends now. */
void map_heed(struct map *m, int code);

/* Fills and sends blocks as long as the source has arguments and the coordinator, and the
 * memory for what was sent, have room. */
void map_feed(struct map *m);

/* The argument of a job, its memory in the zone or in what was sent. 0, MUSTER_ENOTFOUND or MUSTER_ENOMEM. */
int map_argument(struct map *m, uint64_t index, msgpack_object *ret_argument);

/* Tells the caller how far it is, and waits until something is to be done, a tenth of a second at most;
 * `away`: the coordinator is, and is not listened to. */
void map_wait(struct map *m, bool away);

/* Asks for the results that did not come yet, of the batch `number`, under a new ticket. */
void map_attach(struct map *m);

/* What the coordinator has under that number. */
void map_take_attached(struct map *m, const struct proto_attached *attached);

/* The connection is lost: waits for the coordinator's return, and attaches to the batch again, where that can
 * be; else the batch has ended for the caller. */
void map_lost(struct map *m);

/* Takes the frame of a RESULTS: hands it to the caller, or keeps it until it is its turn. */
void map_take_results(struct map *m, struct wire_frame *frame);

/* Tells the coordinator how much was taken. */
void map_tell_consumed(struct map *m);

/* Hands over what waited for the number of the batch, which has come. */
void map_deliver_ready(struct map *m);

/* All was taken of a batch that this process submitted to a life of its coordinator before. */
void map_forget(struct map *m);

/* Hands over what is behind holes that will never be filled. */
void map_deliver_rest(struct map *m);

#endif
