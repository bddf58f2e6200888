/* SPDX-License-Identifier: MIT
 *
 * Requests of clients while they are worked on, and the values that answers consist of, whose keys
 * are in proto/PROTOCOL.md. Part of the ledger: for its own files.
 */
#ifndef MUSTER_COORDINATOR_LEDGER_ANSWER_H
#define MUSTER_COORDINATOR_LEDGER_ANSWER_H

#include "coordinator/ledger_state.h"

#include <msgpack.h>

enum {
    /* Requests of one client that are worked on: of each a few hundred bytes are kept. */
    INQUIRIES_MAX = 256,

    /* Batches of one ANSWER: 60 KB as they usually are, 700 KB with all texts at their limits. */
    PAGE_BATCHES = 256,
};

/* A request that the store works on. */
struct inquiry {
    uint64_t id;                          /* tag */
    char client[PROTO_PEER_NAME_MAX + 1]; /* "": nobody waits for the answer */
    uint64_t ticket;
    enum proto_operation operation;
    uint64_t batch, number; /* as it was asked */
    bool vets;              /* of a confined client: whose the batch is is looked up first */
    struct store_page page; /* BATCHES: what is left of it; its texts are in `text` */
    char *text;             /* owned */
    uint64_t left;          /* BATCHES: so many more at most */
    UT_hash_handle hh;      /* by id */
};

/* The filter of BATCHES, of which the page keeps pieces. 0; or MUSTER_EINVALID, with *ret_why. */
int answer_filter(const char *text, size_t size, struct store_page *page, const char **ret_why);

/* Values that ANSWER has. */
void answer_pack_status(const struct ledger *ledger, const uint64_t *tally, msgpack_packer *packer);
void answer_pack_workers(const struct ledger *ledger, msgpack_packer *packer);
void answer_pack_batch(const struct ledger *ledger, const struct store_batch *batch, struct outbox *outbox,
                       msgpack_packer *packer);
void answer_pack_retry(uint64_t batch, msgpack_packer *packer);

/* The batch that is to be tried again, as the store has it. */
void retry_begin(struct ledger *ledger, uint64_t now_ms, struct inquiry *inquiry,
                 const struct store_batch *batch, struct outbox *outbox);

/* The last ANSWER to an inquiry, which is over: done, with a value that may be NULL; or not, and why. */
void answer_value(struct ledger *ledger, struct inquiry *inquiry, const msgpack_sbuffer *value,
                  struct outbox *outbox);
void answer_word(struct ledger *ledger, struct inquiry *inquiry, int code, const char *text,
                 struct outbox *outbox);

#endif
