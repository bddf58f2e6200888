/* SPDX-License-Identifier: MIT
 *
 * The values of answers: maps of the coordinator, its workers and its batches, with the keys of
 * proto/PROTOCOL.md; and the filter that is the way back. Part of the ledger: pure.
 */
#include "base/error.h"
#include "coordinator/core_look.h"
#include "coordinator/ledger_answer.h"
#include "proto/codec.h"

#include <string.h>

/* --- the filter */

/* The state of that name; 0: there is none. */
static unsigned find_state(const char *name, size_t size)
{
    for (unsigned state = STORE_OPENING; state <= STORE_LOST; state++) {
        const char *known = store_state_name((enum store_state)state);

        if (strlen(known) == size && memcmp(known, name, size) == 0)
            return state;
    }
    return 0;
}

static bool begins(const char *text, size_t size, const char *key)
{
    return size >= strlen(key) && memcmp(text, key, strlen(key)) == 0;
}

int answer_filter(const char *text, size_t size, struct store_page *page, const char **ret_why)
{
    while (size > 0) {
        const char *blank = memchr(text, ' ', size);
        size_t word = blank ? (size_t)(blank - text) : size;
        unsigned state;

        if (begins(text, size, "name=")) { /* to the end */
            page->name = (struct proto_text){text + 5, (uint32_t)(size - 5)};
            return 0;
        }
        if (begins(text, word, "user=") && page->user.size == 0) {
            page->user = (struct proto_text){text + 5, (uint32_t)(word - 5)};
        } else if (begins(text, word, "state=") && (state = find_state(text + 6, word - 6)) != 0) {
            page->states |= 1U << state;
        } else {
            *ret_why = "a filter is words 'state=S', 'user=U' and last 'name=N', S one of the states";
            return MUSTER_EINVALID;
        }
        text += word + (blank != NULL);
        size -= word + (blank != NULL);
    }
    return 0;
}

/* --- maps */

static void pack_text(msgpack_packer *packer, const char *bytes, size_t size)
{
    msgpack_pack_str(packer, size);
    if (size > 0)
        msgpack_pack_str_body(packer, bytes, size);
}

static void pack_string(msgpack_packer *packer, const char *string)
{
    pack_text(packer, string, strlen(string));
}

static void pack_count(msgpack_packer *packer, const char *key, uint64_t count)
{
    pack_string(packer, key);
    msgpack_pack_uint64(packer, count);
}

static void pack_word(msgpack_packer *packer, const char *key, const char *word)
{
    pack_string(packer, key);
    pack_string(packer, word);
}

static void pack_flag(msgpack_packer *packer, const char *key, bool flag)
{
    pack_string(packer, key);
    if (flag)
        msgpack_pack_true(packer);
    else
        msgpack_pack_false(packer);
}

static void pack_words(msgpack_packer *packer, const char *key, const struct proto_text *words)
{
    pack_string(packer, key);
    pack_text(packer, words->bytes, words->size);
}

void answer_pack_retry(uint64_t batch, msgpack_packer *packer)
{
    msgpack_pack_map(packer, 1);
    pack_count(packer, "batch", batch);
}

/* --- the coordinator */

static void pack_states(const uint64_t *tally, msgpack_packer *packer)
{
    pack_string(packer, "batches");
    msgpack_pack_map(packer, STORE_LOST);
    for (unsigned state = STORE_OPENING; state <= STORE_LOST; state++)
        pack_count(packer, store_state_name((enum store_state)state), tally[state]);
}

void answer_pack_status(const struct ledger *ledger, const uint64_t *tally, msgpack_packer *packer)
{
    const struct ledger_options *options = &ledger->options;
    struct core_counts core = core_count(options->core);

    msgpack_pack_map(packer, 11);
    pack_word(packer, "software", "muster " MUSTER_VERSION);
    pack_count(packer, "pid", options->pid);
    pack_count(packer, "keeps", options->keeps);
    pack_count(packer, "epoch", options->epoch);
    pack_count(packer, "started_ms", ledger->started_ms);
    pack_count(packer, "workers", core.workers);
    pack_count(packer, "workers_ready", core.workers_ready);
    pack_count(packer, "clients", HASH_COUNT(ledger->patrons));
    pack_flag(packer, "draining", core.draining);
    pack_flag(packer, "busy", core.busy);
    pack_states(tally, packer);
}

static const char *worker_state_name(enum core_worker_state state)
{
    switch (state) {
    case CORE_WORKER_STARTING:
        return "starting";
    case CORE_WORKER_AWAY:
        return "away";
    case CORE_WORKER_IDLE:
        return "idle";
    case CORE_WORKER_BUSY:
        return "busy";
    case CORE_WORKER_STOPPING:
        return "stopping";
    }
    return "";
}

static void pack_worker(const struct ledger *ledger, const struct core_worker *worker, msgpack_packer *packer)
{
    msgpack_pack_map(packer, 8);
    pack_count(packer, "worker", worker->slot);
    pack_word(packer, "host", worker->host);
    pack_count(packer, "pid", worker->pid);
    pack_count(packer, "chunks", worker->chunks);
    pack_count(packer, "jobs", worker->jobs);
    pack_count(packer, "batch", worker->batch);
    pack_count(packer, "since_ms", ledger->options.wall_ms(worker->since_ns));
    pack_word(packer, "state", worker_state_name(worker->state));
}

void answer_pack_workers(const struct ledger *ledger, msgpack_packer *packer)
{
    const struct core *core = ledger->options.core;
    struct core_worker worker;
    uint32_t count = 0;

    for (unsigned slot = 0; core_next_worker(core, slot, &worker); slot = worker.slot)
        count++;
    msgpack_pack_array(packer, count);
    for (unsigned slot = 0; core_next_worker(core, slot, &worker); slot = worker.slot)
        pack_worker(ledger, &worker, packer);
}

/* --- a batch */

/* How its jobs stand, of which the store knows when all is over. */
struct tally {
    uint64_t total, succeeded, failed, cancelled, running;
};

static struct tally tally_of(const struct ledger *ledger, const struct store_batch *batch)
{
    const struct book *book = ledger_book(ledger, batch->number);
    struct tally tally = {.total = batch->total,
                          .succeeded = batch->succeeded,
                          .failed = batch->failed,
                          .cancelled = batch->cancelled};

    if (store_state_is_end(batch->state) || !book)
        return tally;
    return (struct tally){.total = book->total,
                          .succeeded = book->succeeded + book->new_succeeded,
                          .failed = book->failed + book->new_failed,
                          .cancelled = book->new_cancelled,
                          .running = core_running(ledger->options.core, batch->number)};
}

/* Why it was cancelled or given up: ENDED says so where it ran. */
static struct proto_text text_of(const struct store_batch *batch, struct outbox *outbox)
{
    struct proto_message ended;
    struct muster_error error;
    struct proto_text totals;

    if (batch->state != STORE_CANCELLED && batch->state != STORE_LOST)
        return proto_text("");
    if (batch->totals.size == 0)
        return proto_text("a batch that it waited for did not succeed");
    totals = outbox_copy(outbox, &batch->totals);
    if (proto_decode(totals.bytes, totals.size, &outbox->zone, &ended, &error) != 0 ||
        ended.type != PROTO_ENDED)
        return proto_text("the record of how it ended is damaged");
    return ended.ended.text.size > 0 ? ended.ended.text : proto_text("a client cancelled it");
}

static void pack_after(const struct store_batch *batch, msgpack_packer *packer)
{
    pack_string(packer, "after");
    msgpack_pack_array(packer, batch->after_count);
    for (uint32_t i = 0; i < batch->after_count; i++) {
        msgpack_pack_array(packer, 2);
        msgpack_pack_uint64(packer, batch->after[i].batch);
        msgpack_pack_int(packer, (int)batch->after[i].condition);
    }
}

void answer_pack_batch(const struct ledger *ledger, const struct store_batch *batch, struct outbox *outbox,
                       msgpack_packer *packer)
{
    struct tally tally = tally_of(ledger, batch);
    struct proto_text text = text_of(batch, outbox);

    msgpack_pack_map(packer, 17);
    pack_count(packer, "batch", batch->number);
    pack_word(packer, "state", store_state_name(batch->state));
    pack_words(packer, "name", &batch->name);
    pack_words(packer, "user", &batch->lane.user);
    pack_words(packer, "function", &batch->function);
    pack_count(packer, "total", tally.total);
    pack_count(packer, "succeeded", tally.succeeded);
    pack_count(packer, "failed", tally.failed);
    pack_count(packer, "cancelled", tally.cancelled);
    pack_count(packer, "running", tally.running);
    pack_string(packer, "priority");
    msgpack_pack_int64(packer, batch->lane.priority);
    pack_after(batch, packer);
    pack_count(packer, "submitted_ms", batch->submitted_ms);
    pack_count(packer, "begin_ms", batch->begin_ms);
    pack_count(packer, "ended_ms", batch->ended_ms);
    pack_count(packer, "origin", batch->origin);
    pack_words(packer, "text", &text);
}
