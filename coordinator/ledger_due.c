/* SPDX-License-Identifier: MIT
 *
 * Batches that wait in the store for others, or for their time: what becomes of them when those end, or that
 * comes. One that is damaged is given up, and holds up no other. Part of the ledger: pure.
 */
#include "coordinator/ledger_state.h"

void due_note(struct ledger *ledger, uint64_t begin_ms)
{
    /* The clock may have been set back, and it is ahead of those. */
    ledger->passed = (struct store_turn){.begin_ms = 0};
    if (ledger->begin_ms == 0 || begin_ms < ledger->begin_ms)
        ledger->begin_ms = begin_ms;
}

void due_moved(struct ledger *ledger, uint64_t now_ms, const struct store_done *done, struct outbox *outbox)
{
    for (uint32_t i = 0; i < done->count; i++) {
        const struct store_moved *moved = &done->moved[i];
        struct lane *lane;

        if (moved->damaged) {
            if (!moved->state && !ledger_book(ledger, moved->batch)) /* else it was met before */
                run_lose(ledger, now_ms, NULL, moved->batch, moved->total, outbox);
        } else if (store_state_is_end(moved->state)) {
            read_over(ledger, moved->batch, outbox);
        } else if (moved->state == STORE_QUEUED) {
            lane = lane_find(ledger, &moved->lane, outbox);
            if (lane)
                lane_wait(ledger, lane, moved->batch, outbox);
        } else if (moved->state == STORE_DELAYED) {
            due_note(ledger, 1); /* at once DUE is asked, and says when */
        }
    }
}

uint64_t due_ms(const struct ledger *ledger)
{
    return ledger->begin_ms == 0 || ledger->due || !ledger->ready ? UINT64_MAX : ledger->begin_ms;
}

static void ask_due(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox)
{
    ledger->due = true;
    outbox_store(outbox, &(struct store_request){
                             .operation = STORE_DUE, .now_ms = now_ms, .page = {.turn = ledger->passed}});
}

void due_done(struct ledger *ledger, uint64_t now_ms, const struct store_done *done, struct outbox *outbox)
{
    ledger->due = false;
    if (done->code != 0) { /* the store has said so */
        ledger->begin_ms = now_ms + ledger_pause_ms(ledger->due_tries++);
        return;
    }
    ledger->due_tries = 0;
    ledger->begin_ms = done->begin_ms;
    for (uint32_t i = 0; i < done->count; i++)
        if (done->moved[i].damaged)
            ledger->passed =
                (struct store_turn){.begin_ms = done->moved[i].begin_ms, .number = done->moved[i].batch};
    due_moved(ledger, now_ms, done, outbox);
    if (done->more)
        ask_due(ledger, now_ms, outbox);
}

void due_tick(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox)
{
    if (due_ms(ledger) <= now_ms)
        ask_due(ledger, now_ms, outbox);
}
