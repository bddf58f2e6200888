/* SPDX-License-Identifier: MIT
 *
 * Lanes: the batches of one user and one priority, of which the core has so many at once; the others wait in
 * the store. A lane is there while it has any, since there may be as many as anybody thinks of. Part of the
 * ledger: pure.
 */
#include "base/error.h"
#include "coordinator/ledger_state.h"
#include "proto/codec.h"
#include "proto/limits.h"

#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 1000, RETRY_DOUBLED = 3 };

uint64_t ledger_pause_ms(unsigned tries)
{
    return (uint64_t)RETRY_MS << (tries < RETRY_DOUBLED ? tries : RETRY_DOUBLED);
}

static bool is_lane(const struct lane *lane, const struct store_lane *key)
{
    return lane->priority == key->priority && strlen(lane->user) == key->user.size &&
           memcmp(lane->user, key->user.bytes, key->user.size) == 0;
}

struct lane *lane_find(struct ledger *ledger, const struct store_lane *key, struct outbox *outbox)
{
    struct lane *lane;

    DL_FOREACH(ledger->lanes, lane)
        if (is_lane(lane, key))
            return lane;
    lane = key->user.size <= PROTO_USER_MAX ? calloc(1, sizeof *lane) : NULL;
    if (!lane) {
        outbox->failed = true;
        return NULL;
    }
    lane->id = ++ledger->last_tag;
    lane->priority = key->priority;
    memcpy(lane->user, key->user.bytes, key->user.size);
    DL_APPEND(ledger->lanes, lane);
    return lane;
}

void lane_fill(struct ledger *ledger, struct lane *lane, struct outbox *outbox)
{
    if (!lane->fetching && lane->waiting == 0 && lane->open == 0) {
        DL_DELETE(ledger->lanes, lane);
        free(lane);
        return;
    }
    if (lane->fetching || lane->waiting == 0 || lane->open >= ledger->options.open || !ledger->ready)
        return;
    lane->fetching = true;
    lane->from = lane->behind;
    outbox_store(outbox, &(struct store_request){
                             .operation = STORE_NEXT,
                             .tag = lane->id,
                             .page = {.from = lane->behind,
                                      .count_max = lane->narrow ? 1 : ledger->options.open - lane->open,
                                      .lane = {.priority = lane->priority, .user = proto_text(lane->user)}},
                         });
}

void lane_wait(struct ledger *ledger, struct lane *lane, uint64_t number, struct outbox *outbox)
{
    lane->waiting++;
    if (lane->behind >= number)
        lane->behind = number - 1;
    lane_fill(ledger, lane, outbox);
}

void lane_leave(struct ledger *ledger, struct book *book, struct outbox *outbox)
{
    struct lane *lane = book->lane;

    if (!lane)
        return;
    book->lane = NULL;
    lane->open--;
    lane_fill(ledger, lane, outbox);
}

void lane_unread(struct ledger *ledger, uint64_t now_ms, struct lane *lane)
{
    lane->fetching = false;
    lane->narrow = true;
    ledger->lanes_ms = now_ms + ledger_pause_ms(ledger->lanes_tries++);
}

uint64_t lanes_due_ms(const struct ledger *ledger)
{
    return ledger->lanes_ms == 0 || !ledger->ready ? UINT64_MAX : ledger->lanes_ms;
}

void lanes_tick(struct ledger *ledger, uint64_t now_ms, struct outbox *outbox)
{
    struct lane *lane, *next;

    if (lanes_due_ms(ledger) > now_ms)
        return;
    ledger->lanes_ms = 0;
    DL_FOREACH_SAFE(ledger->lanes, lane, next)
        lane_fill(ledger, lane, outbox);
}
