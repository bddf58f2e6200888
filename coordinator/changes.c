/* SPDX-License-Identifier: MIT
 *
 * The core's batches by what has to be done about them, so that nothing walks over all that are open:
 * those of which something became are looked at behind each event, and then are found among those that
 * are over, those whose jobs came back, and those that wait for a time. Part of the core: pure.
 */
#include "coordinator/state.h"

#include <stddef.h>
#include <utlist.h>

int changes_add(struct core *core, struct client *client, struct batch *batch)
{
    HASH_ADD(hh_id, core->batches_by_id, id, sizeof batch->id, batch);
    if (!batch->hh_id.tbl)
        return MUSTER_ENOMEM;
    HASH_ADD(hh_ticket, client->batches, settings.ticket, sizeof batch->settings.ticket, batch);
    if (!batch->hh_ticket.tbl) {
        HASH_DELETE(hh_id, core->batches_by_id, batch);
        return MUSTER_ENOMEM;
    }
    batch->owner = client;
    batch->changed = &core->changed;
    DL_APPEND(core->batches, batch);
    batch_note_change(batch);
    return 0;
}

void changes_remove(struct core *core, struct batch *batch)
{
    DL_DELETE(core->batches, batch);
    HASH_DELETE(hh_id, core->batches_by_id, batch);
    if (batch->owner)
        HASH_DELETE(hh_ticket, batch->owner->batches, batch);
    if (batch->is_changed)
        DL_DELETE2(*batch->changed, batch, changed_prev, changed_next);
    if (batch->recalled)
        DL_DELETE2(core->recalled, batch, recalled_prev, recalled_next);
    timers_remove(&core->timers, &batch->timer);
}

void changes_disown(struct client *client)
{
    struct batch *batch, *next;

    HASH_ITER(hh_ticket, client->batches, batch, next) {
        batch->client[0] = '\0';
        batch->owner = NULL;
    }
    HASH_CLEAR(hh_ticket, client->batches);
}

struct batch *core_batch(const struct core *core, uint64_t id)
{
    struct batch *batch;

    HASH_FIND(hh_id, core->batches_by_id, &id, sizeof id, batch);
    return batch;
}

/* Its failed jobs may run again, or its workers are killed, at this time; CLOCK_NEVER. */
static uint64_t due_ns(const struct batch *batch)
{
    uint64_t due = delays_due_ns(&batch->delays);

    return batch->cancel && batch->cancel_deadline_ns < due ? batch->cancel_deadline_ns : due;
}

static void set_timer(struct core *core, struct batch *batch, struct outbox *outbox)
{
    uint64_t due = due_ns(batch);

    if (timer_is_set(&batch->timer) && batch->timer.deadline_ns == due)
        return;
    timers_remove(&core->timers, &batch->timer);
    if (due != CLOCK_NEVER && timers_add(&core->timers, &batch->timer, due) != 0)
        outbox->failed = true;
}

void changes_look(struct core *core, struct outbox *outbox)
{
    struct batch *batch, *next;

    DL_FOREACH_SAFE2(core->changed, batch, next, changed_next)
    {
        DL_DELETE2(core->changed, batch, changed_prev, changed_next);
        batch->is_changed = false;
        set_timer(core, batch, outbox);
        if (batch_recalled(batch) && !batch->recalled) {
            batch->recalled = true;
            DL_APPEND2(core->recalled, batch, recalled_prev, recalled_next);
        }
        if (batch_over(batch)) {
            batch->changed = &core->over; /* nothing more becomes of it */
            batch_note_change(batch);
        }
    }
}

void changes_tick(struct core *core, uint64_t now_ns, struct outbox *outbox)
{
    struct timer *timer;

    while (!outbox->failed && (timer = timers_take_due(&core->timers, now_ns)) != NULL) {
        struct batch *batch = (struct batch *)(void *)((char *)timer - offsetof(struct batch, timer));

        if (batch->cancel && batch->cancel_deadline_ns <= now_ns)
            cancel_stubborn(core, now_ns, batch, outbox);
        if (batch_end_delays(batch, now_ns) != 0)
            outbox->failed = true;
        schedule_wake(&batch->turn);
        set_timer(core, batch, outbox);
    }
}
