/* SPDX-License-Identifier: MIT
 *
 * What the ledger is made of; for its own files and the tests of its invariants.
 */
#ifndef MUSTER_COORDINATOR_LEDGER_STATE_H
#define MUSTER_COORDINATOR_LEDGER_STATE_H

#include "coordinator/ledger.h"

#include <uthash.h>
#include <utlist.h>

enum {
    /* Results of a batch that the core may have sent and the store has not recorded yet. */
    LEDGER_WINDOW_BYTES = 16 << 20,

    /* Arguments that are read from the store at once, for the core or for a reader. */
    LEDGER_PAGE_BYTES = 1 << 20,
};

/* Who said HELLO. */
struct patron {
    char name[PROTO_PEER_NAME_MAX + 1];
    char user[PROTO_USER_MAX + 1];
    bool confined;          /* to batches of this user */
    unsigned inquiries;     /* that wait for their answers */
    struct book *books;     /* that it submits, by ticket, until they are accepted */
    struct reader *readers; /* by ticket */
    UT_hash_handle hh;      /* by name */
};

/* Batches of one user and one priority that wait, in order of number. */
struct lane {
    uint64_t id; /* tag of its NEXT */
    int32_t priority;
    char user[PROTO_USER_MAX + 1];
    uint64_t waiting; /* in the store alone */
    uint64_t behind;  /* all up to this number were opened */
    unsigned open;    /* in the core */
    bool fetching;    /* NEXT is under way, */
    uint64_t from;    /* which looks behind this number */
    bool narrow;      /* one of its batches could not be read: they are asked for one by one */
    struct lane *prev, *next;
};

enum book_phase {
    BOOK_ADDING,   /* its ADD is under way */
    BOOK_OPENING,  /* arguments come, and perhaps its SEAL is under way */
    BOOK_CHECKING, /* it ran before: the store is asked which of its jobs are recorded */
    BOOK_RUNNING,  /* the core has it */
    BOOK_ENDING,   /* its END is under way */
    BOOK_LEAVING,  /* given up before it was accepted: ABANDON is under way */
};

/* Jobs on their way to the store: a block of arguments, or a record. */
struct entry {
    struct slice payload; /* a reference, of a record */
    char *header;         /* of a record; owned */
    uint32_t header_size;
    uint64_t first;
    uint32_t count, failed, cancelled; /* jobs; of a record, those that did not succeed */
    uint64_t cost;
    struct entry *prev, *next;
};

/* A batch that is in memory. */
struct book {
    uint64_t number;
    enum book_phase phase;
    struct lane *lane; /* that it is open in; NULL: in none */
    char *settings;    /* as the store has them; owned */
    uint32_t settings_size;
    struct store_block block; /* its first arguments, if they are at hand; a reference */
    enum proto_arguments kind;
    bool sealed;
    uint64_t total; /* jobs: those of a list that are recorded */

    /* while it is submitted */
    struct patron *patron; /* whose list of books it is in; NULL: nobody waits for ACCEPTED */
    uint64_t ticket;
    int32_t priority;
    char user[PROTO_USER_MAX + 1];
    uint64_t begin_ms;      /* not before; 0: at once */
    bool forgotten;         /* LEAVING: the store has */
    uint64_t asker;         /* the inquiry that is answered when it is accepted; 0: none */
    struct store_copy copy; /* where its arguments come from; source 0: from its client */
    bool early;             /* its client takes results: it runs before it is sealed */
    /* Its client cancelled it before it was sealed; 0: not. */
    enum proto_cancel_mode cancel_mode;
    struct entry *coming;          /* blocks, oldest first; owned */
    uint64_t sent_jobs, sent_cost; /* arguments that came, */
    uint64_t recorded_cost;        /* were recorded, */
    uint64_t granted_cost;         /* and may come */
    uint64_t promised;             /* of the ledger's: until it is accepted */

    /* while the core has it */
    bool resumed; /* jobs of it may be recorded already */
    bool in_core, seal_told, cancelled;
    bool taken;                                        /* the core has said ACCEPTED */
    char *lost;                                        /* why it is given up; owned; NULL: it is not */
    struct spans gaps;                                 /* CHECKING: jobs that are not recorded, */
    uint64_t succeeded, failed;                        /* and how many are; */
    uint64_t new_succeeded, new_failed, new_cancelled; /* that were recorded since then */
    uint64_t fed;                                      /* jobs whose arguments the core has */
    uint64_t fed_cost, core_grant;                     /* cost of these, and up to which it takes more */
    bool loading;                                      /* LOAD is under way, or put off */
    unsigned tries;                                    /* of a LOAD or GAPS that failed, */
    uint64_t retry_ms;                                 /* and when the next is to be; 0: it is not put off */
    struct entry *records;                             /* oldest first; owned */
    uint64_t consumed_cost;                            /* of results that are recorded */
    UT_hash_handle hh, hh_ticket;                      /* by number; of its patron */
};

/* Somebody who takes results of a batch. The store does what it is asked in order, so a READ that is
 * done knows all that was recorded by then, and what is recorded later comes behind it. */
struct reader {
    uint64_t id; /* tag of its READ and FIND */
    struct patron *patron;
    uint64_t ticket;
    struct audience *audience; /* that it is part of */
    uint64_t batch;
    bool ordered, follow, results;
    bool told;      /* it knows what the batch is: ATTACHED was sent, or it submitted it */
    uint64_t place; /* ordered: the job that comes next; else the least sequence number that does */
    bool behind;    /* the store may have what comes next */
    bool ahead;     /* ordered: it has what comes after that */
    bool asking;    /* READ or FIND is under way */
    uint64_t skip;  /* not ordered: records that it has had before */
    bool over;      /* the batch has ended, and all of it is recorded */
    bool forgets;   /* the batch, when it has consumed all of it: it submitted it, and did not say `hold` */
    bool ended;     /* ENDED was sent; only CONSUMED is waited for, and the ticket is free */
    bool arguments; /* of a list: come ahead of results */
    struct spans replayed; /* jobs whose arguments it has had */
    uint64_t window_bytes, sent_cost, consumed_cost;
    struct reader *prev, *next;   /* of the audience */
    UT_hash_handle hh, hh_ticket; /* by id; of its patron */
};

/* All that read one batch. */
struct audience {
    uint64_t batch;
    struct reader *readers; /* never empty */
    UT_hash_handle hh;      /* by batch */
};

struct ledger {
    struct ledger_options options;
    bool ready, stopping;
    char failure[MUSTER_ERROR_TEXT_BYTES]; /* why it cannot begin; "": it can */
    uint64_t started_ms;
    uint64_t last_batch, last_tag;
    uint64_t begin_ms;        /* the earliest of what is delayed; 0: nothing is */
    bool due;                 /* DUE is under way, */
    unsigned due_tries;       /* which has failed so many times, */
    struct store_turn passed; /* and looks behind this one: those up to it are damaged */
    bool sweeping;            /* SWEEP is under way */
    uint64_t sweep_ms;        /* when the next SWEEP is to be; 0: nothing is left that it would delete */
    bool full;                /* the store has reached its limit: the core is told of no record */
    uint64_t promised;        /* bytes that clients may have on their way, of batches that are kept, */
    uint64_t unkept;          /* and of others: as many at most */
    struct patron *patrons;
    struct lane *lanes;
    uint64_t lanes_ms; /* when those whose batches could not be read are asked for again; 0: there are none */
    unsigned lanes_tries; /* since one was read */
    uint64_t
        books_ms; /* when batches of the core of which something could not be read are, or sooner; 0: none */
    struct book *books;
    struct reader *readers;     /* by id */
    struct audience *audiences; /* of the same */
    struct inquiry *inquiries;  /* coordinator/ledger_answer.h */
};

/* --- ledger.c */

/* ERROR to a client. */
void ledger_refuse(struct outbox *outbox, const char *peer, uint64_t ticket, int code, const char *text);

/* The header of a message as it is kept, until the next outbox_clear. */
struct proto_text ledger_encode(const struct proto_message *message, struct outbox *outbox);

struct patron *ledger_patron(const struct ledger *ledger, const char *name);

/* Whether the client may know of the batch, and do with it what it likes. */
bool ledger_may_see(const struct patron *patron, const struct store_batch *batch);

struct book *ledger_book(const struct ledger *ledger, uint64_t number);

/* The batch that this client submits under this ticket, while it is not accepted; or NULL. */
struct book *ledger_submission(const struct patron *patron, uint64_t ticket);

/* Whether one of the client's batches or attachments has this ticket, be it kept or not. */
bool ledger_uses(struct ledger *ledger, const struct patron *patron, uint64_t ticket);

/* The client waits for the batch to be accepted, and calls it so; and no more. False when out of memory. */
bool ledger_await(struct patron *patron, struct book *book, uint64_t ticket);
void ledger_await_end(struct book *book);

/* Whether clients may have so many bytes more on their way, which is counted then in `promised`. */
bool ledger_promise(struct ledger *ledger, uint64_t bytes);

/* The client is told that they may not. */
void ledger_refuse_promise(const struct ledger *ledger, const char *client, uint64_t ticket,
                           struct outbox *outbox);

/* A new one, in phase ADDING. NULL when out of memory. */
struct book *ledger_add_book(struct ledger *ledger, uint64_t number);
void ledger_drop_book(struct ledger *ledger, struct book *book);

/* --- ledger_submit.c: what comes in, until it is accepted */

void submit_batch(struct ledger *ledger, uint64_t now_ms, struct patron *patron,
                  const struct proto_message *message, struct outbox *outbox);
void submit_arguments(struct ledger *ledger, uint64_t now_ms, struct book *book,
                      const struct proto_message *message, struct outbox *outbox);
void submit_seal(struct ledger *ledger, uint64_t now_ms, struct book *book, uint64_t total,
                 struct outbox *outbox);

/* Adds a batch of this user, under the next number, as SUBMIT says it. NULL when out of memory. */
struct book *submit_as(struct ledger *ledger, uint64_t now_ms, const char *user, uint64_t origin,
                       const struct proto_message *message, struct outbox *outbox);

/* ADD, ARGUMENTS, COPY, SEAL or ABANDON of the batch is done. */
void submit_done(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done,
                 struct outbox *outbox);

/* A client cancels what is not sealed. If it runs, it is sealed: what came of it is a batch that is
 * cancelled. Else it is given up. */
void submit_cancel(struct ledger *ledger, uint64_t now_ms, struct book *book, enum proto_cancel_mode mode,
                   struct outbox *outbox);

/* The batch will not be accepted, for this reason: who submits it is told, and it is given up. */
void submit_refuse(struct ledger *ledger, uint64_t now_ms, struct book *book, int code, const char *text,
                   struct outbox *outbox);

/* Gives up a batch that was not accepted. */
void submit_abandon(struct ledger *ledger, uint64_t now_ms, struct book *book, struct outbox *outbox);

/* --- ledger_lanes.c: whose batches wait, and how many of them */

/* How long the store is left alone when it could not read something, now for so many times before. */
uint64_t ledger_pause_ms(unsigned tries);

/* Makes it if there is none; NULL when out of memory. */
struct lane *lane_find(struct ledger *ledger, const struct store_lane *key, struct outbox *outbox);

/* Asks for the next batches of the lane, if the core has room for some. A lane that has none any more is
 * gone. */
void lane_fill(struct ledger *ledger, struct lane *lane, struct outbox *outbox);

/* A batch of the lane waits in the store. */
void lane_wait(struct ledger *ledger, struct lane *lane, uint64_t number, struct outbox *outbox);

/* The core does not have the batch any more. */
void lane_leave(struct ledger *ledger, struct book *book, struct outbox *outbox);

/* Its NEXT has failed: it is asked again after a pause. */
void lane_unread(struct ledger *ledger, uint64_t now_ms, struct lane *lane);

/* When lanes_tick has something to do; UINT64_MAX: not now. */
uint64_t lanes_due_ms(const struct ledger *ledger);
void lanes_tick(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox);

/* --- ledger_run.c: what waits, what the core has, how it ends */

/* The batch is accepted, and in this state now. Takes the book, unless it starts. */
void run_accepted(struct ledger *ledger, uint64_t now_ms, struct book *book, enum store_state state,
                  struct outbox *outbox);

/* Asks for the batches that ran in another life, from those behind this number on. */
void run_resume(uint64_t behind, struct outbox *outbox);

/* One of them, of which the core has not all yet that it takes. */
bool run_is_resuming(const struct book *book);

/* Submits a batch to the core. */
void run_start(struct ledger *ledger, uint64_t now_ms, struct book *book, struct outbox *outbox);

/* Gives the core arguments, as far as they are recorded and it takes them, and SEAL behind the last. */
void run_feed(struct book *book, struct outbox *outbox);

/* RESUME, COUNTS, NEXT, LOAD, GAPS, STATE, END or DUE is done. */
void run_done(struct ledger *ledger, uint64_t now_ms, const struct store_done *done, struct outbox *outbox);

/* When run_tick has something to do; UINT64_MAX: not now. Asks for what could not be read. */
uint64_t run_due_ms(const struct ledger *ledger);
void run_tick(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox);

/* Nothing of the batch can be read; `lane` is that in which it waits, or NULL. Others go on. */
void run_lose(struct ledger *ledger, uint64_t now_ms, struct lane *lane, uint64_t number, uint64_t total,
              struct outbox *outbox);

/* What it needs is damaged in the store. */
void run_give_up(struct ledger *ledger, uint64_t now_ms, struct book *book, const char *why,
                 struct outbox *outbox);

/* The core has ended the batch. */
void run_ended(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct proto_ended *ended,
               struct outbox *outbox);

/* The core has refused the batch, which is its end; or, if it has taken it, what it was told about it, and
 * ENDED comes. */
void run_refused(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct proto_error *error,
                 struct outbox *outbox);

/* --- ledger_due.c: what waits for others, or for its time */

/* A batch waits for its time, which is this one; 1: the store knows which. */
void due_note(struct ledger *ledger, uint64_t begin_ms);

/* What the store has moved to another state, or could not. */
void due_moved(struct ledger *ledger, uint64_t now_ms, const struct store_done *done, struct outbox *outbox);

/* When due_tick has something to do; UINT64_MAX: not now. */
uint64_t due_ms(const struct ledger *ledger);
void due_tick(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox);

/* DUE is done. */
void due_done(struct ledger *ledger, uint64_t now_ms, const struct store_done *done, struct outbox *outbox);

/* --- ledger_cancel.c: all of a batch, or some of its jobs */

/* All of it, also if it waits in the store. `tag` is of the request to the store by which it outlives this
 * coordinator; nothing else completes with it. */
void run_cancel(struct ledger *ledger, uint64_t now_ms, uint64_t number, enum proto_cancel_mode mode,
                uint64_t tag, struct outbox *outbox);

/* The jobs that the message names. The client, which calls the batch by `cancel->id`, is told when that
 * cannot be, and then nothing of it is done. */
void run_cancel_jobs(struct ledger *ledger, const char *client, uint64_t number,
                     const struct proto_cancel *cancel, struct outbox *outbox);

/* --- ledger_record.c: results on their way to the store */

void record_results(struct ledger *ledger, struct book *book, const struct proto_message *message,
                    struct outbox *outbox);
void record_done(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done,
                 struct outbox *outbox);
/* There is room in the store again. */
void record_resume(struct ledger *ledger, struct outbox *outbox);

/* Frees it; it is in no list. */
void record_free(struct entry *entry);

/* --- ledger_read.c: who is told what is recorded */

/* Of a batch that the client submits. False when out of memory. */
bool read_submitted(struct ledger *ledger, struct patron *patron, const struct proto_submit *submit,
                    uint64_t batch);

/* Of any batch. */
void read_attach(struct ledger *ledger, struct patron *patron, const struct proto_attach *attach,
                 struct outbox *outbox);

void read_drop(struct ledger *ledger, struct reader *reader);
struct reader *read_find(const struct patron *patron, uint64_t ticket);

/* Whether the ticket is one of a reader's; a reader that has had ENDED gives it up. */
bool read_holds(struct ledger *ledger, const struct patron *patron, uint64_t ticket);
void read_consumed(struct ledger *ledger, struct reader *reader, uint64_t bytes, struct outbox *outbox);

/* The entry, of this batch, is recorded, with a sequence number just below `behind`. */
void read_recorded(struct ledger *ledger, uint64_t batch, const struct entry *entry, uint64_t behind,
                   struct outbox *outbox);

/* The batch is over, and that is recorded. */
void read_over(struct ledger *ledger, uint64_t batch, struct outbox *outbox);

/* Whoever reads the batch cannot. */
void read_fail(struct ledger *ledger, uint64_t batch, int code, const char *text, struct outbox *outbox);

/* The batch was not accepted, and the store has forgotten it. */
void read_forgotten(struct ledger *ledger, uint64_t batch, struct outbox *outbox);

/* Whether the batch was cancelled since one that it waited for did not succeed; *ret_text says which. */
bool read_unmet(const struct store_batch *batch, struct outbox *outbox, struct proto_text *ret_text);

/* READ, LOAD or FIND for a reader is done. */
void read_done(struct ledger *ledger, struct reader *reader, const struct store_done *done,
               struct outbox *outbox);

/* --- ledger_replay.c: arguments for readers */

/* Whether the reader has to have arguments ahead of the record: those of jobs from this one on. */
bool replay_lacks(const struct reader *reader, const struct store_record *record, uint64_t *ret_job);

/* Asks for them: LOAD. */
void replay_ask(struct reader *reader, uint64_t job, struct outbox *outbox);

/* Sends them, unless the reader has had them. False when the block is damaged. */
bool replay_block(struct reader *reader, const struct store_block *block, struct outbox *outbox);

/* --- ledger_answer.c: what clients ask */

void answer_request(struct ledger *ledger, uint64_t now_ms, struct patron *patron,
                    const struct proto_request *request, struct outbox *outbox);

/* Whether what the store has done was asked for by a client. */
bool answer_done(struct ledger *ledger, uint64_t now_ms, const struct store_done *done,
                 struct outbox *outbox);

/* --- ledger_retry.c: batches whose jobs are tried again */

/* Asks for the next arguments, or seals the batch when `done` says that there are none. */
void retry_go_on(struct ledger *ledger, uint64_t now_ms, struct book *book, const struct store_done *done,
                 struct outbox *outbox);

/* The batch is accepted, or will not be, for this reason: who asked for it is told. */
void retry_answer(struct ledger *ledger, struct book *book, int code, const char *text,
                  struct outbox *outbox);

/* --- ledger_answer.c, again */

/* Nobody waits for its answers any more; and none is there any more. */
void answer_gone(struct ledger *ledger, const char *client);
void answer_fini(struct ledger *ledger);

#endif
