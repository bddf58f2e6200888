/* SPDX-License-Identifier: MIT
 *
 * Batches that a coordinator has already: one that was submitted before, or by somebody else, and one
 * whose coordinator was gone for a while. Results that came count for good; those that did not are asked
 * for, so none comes twice and none is missing. See processes_map.h.
 */
#include "base/clock.h"
#include "client/processes_map.h"

#include <string.h>

void map_attach(struct map *m)
{
    struct proto_message message = {.type = PROTO_ATTACH};

    mailbox_remove(&m->p->mailbox, &m->route);
    if (mailbox_add(&m->p->mailbox, &m->route) != 0) {
        map_note_error(m, MUSTER_ENOMEM, "out of memory");
        m->ended = true;
        return;
    }
    m->consumed_cost = m->told_cost = 0;
    message.attach = (struct proto_attach){
        .ticket = m->route.ticket,
        .batch = m->number,
        .first = m->in_order ? m->next : m->received + 1,
        .ordered = m->in_order,
        .follow = true,
        .results = true,
        .window_bytes = m->window_bytes,
    };
    map_say(m, &message);
    if (m->cancelled)
        map_say(m, &(struct proto_message){.type = PROTO_CANCEL,
                                           .cancel = {.id = m->route.ticket, .mode = m->cancelled}});
}

/* Whether it is the function of the batch, as far as that is known here. */
static bool has_function(const struct map *m, struct proto_text function)
{
    const char *name = m->batch->function;

    return m->batch->attach ||
           (function.size == strlen(name) && memcmp(function.bytes, name, function.size) == 0);
}

void map_take_attached(struct map *m, const struct proto_attached *attached)
{
    bool same = attached->kind == m->kind && (m->total == 0 || m->total == attached->total) &&
                (m->kind == PROTO_LIST || m->first == attached->first) && has_function(m, attached->function);

    if (m->total == 0 && m->batch->attach) {
        m->kind = attached->kind;
        m->first = attached->first;
        m->total = attached->sealed ? attached->total : 0;
    } else if (!same) {
        map_note_error(m, MUSTER_ESTATE,
                       "%s: batch %llu is another one there than before: its state file was replaced",
                       m->p->mailbox.where, (unsigned long long)m->number);
        m->left = m->ended = true;
    }
}

/* The caller, or a callback, has ended it on this side alone: says so behind the first reason, which stays.
 * `told`: the coordinator was asked to cancel it, and may have heard. */
static void note_alone(struct map *m, const char *why, bool told)
{
    struct muster_error first = m->error;

    muster_error_set(&m->error, m->code, "%s; %s; batch %llu %s when it is started again", first.text, why,
                     (unsigned long long)m->number, told ? "may go on" : "goes on");
}

/* Nobody will say what becomes of the batch. */
static void give_up(struct map *m, const char *why, bool told)
{
    unsigned long long number = m->number;

    if (m->code != 0 && number != 0 && m->p->keeps == PROTO_KEEPS_ON_DISK)
        note_alone(m, why, told);
    else if (!m->p->keeps)
        map_note_error(m, MUSTER_ELOST, "%s", why);
    else if (number == 0 && m->sealed)
        map_note_error(m, MUSTER_ELOST,
                       "%s; whether it has accepted the batch is not known: 'muster jobs' shows what it has",
                       why);
    else if (number == 0)
        map_note_error(m, MUSTER_ELOST, "%s; the batch was not accepted, and nothing of it is kept", why);
    else if (m->p->keeps == PROTO_KEEPS_IN_MEMORY)
        map_note_error(m, MUSTER_ELOST, "%s; batch %llu was in its memory, and is lost with it", why, number);
    else
        map_note_error(m, MUSTER_ELOST, "%s; batch %llu goes on when it is started again", why, number);
    m->left = number != 0;
    m->ended = true;
}

/* Whether the batch is there when a coordinator is. */
static bool can_return(const struct map *m)
{
    return m->number != 0 && m->p->keeps == PROTO_KEEPS_ON_DISK && m->p->away_ns > 0 && !m->muted;
}

void map_lost(struct map *m)
{
    struct muster_error why = m->p->mailbox.lost;
    uint64_t deadline_ns = clock_after(clock_now_ns(), m->p->away_ns);
    bool told = m->cancelled != 0;
    int code;

    if (why.code != MUSTER_ELOST) {
        map_note_error(m, why.code, "%s", why.text);
        m->ended = true;
        return;
    }
    if (!can_return(m)) {
        give_up(m, why.text, told);
        return;
    }
    while ((code = processes_return(m->p, &why)) == MUSTER_ELOST && clock_now_ns() < deadline_ns &&
           !m->ended &&
           !(m->code != 0 && m->cancelled)) /* arguments that ran out with an error end nothing */
        map_wait(m, true);
    if (m->ended)
        return;
    if (code == 0)
        map_attach(m);
    else
        give_up(m, why.text, told);
    m->attached_anew = code == 0 && !m->batch->attach;
}

void map_forget(struct map *m)
{
    map_say(m, &(struct proto_message){.type = PROTO_REQUEST,
                                       .request = {.ticket = ++m->p->mailbox.last_ticket,
                                                   .operation = PROTO_REQUEST_FORGET,
                                                   .batch = m->number}});
}
