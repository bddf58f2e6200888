/* SPDX-License-Identifier: MIT
 *
 * The invariants of the coordinator's core as a whole, and of its outbox. See core_invariants.h.
 */
#include "proto/codec.h"
#include "tests/support/core_invariants_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <utlist.h>

static char complaint[256];

const char *complain(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(complaint, sizeof complaint, format, arguments);
    va_end(arguments);
    return complaint;
}

uint64_t jobs_in(const struct spans *spans, uint64_t first, uint64_t end)
{
    uint64_t jobs = 0;

    for (uint32_t i = 0; i < spans->count; i++) {
        const struct span *span = &spans_list(spans)[i];
        uint64_t from = span->first > first ? span->first : first;
        uint64_t until = span->first + span->count < end ? span->first + span->count : end;

        jobs += from < until ? until - from : 0;
    }
    return jobs;
}

bool in_order(const struct spans *spans)
{
    const struct span *list = spans_list(spans);

    for (uint32_t i = 0; i < spans->count; i++)
        if (list[i].count == 0 || (i > 0 && list[i].first <= list[i - 1].first + list[i - 1].count))
            return false;
    return true;
}

bool adopted_any(const struct core *core)
{
    const struct chunk *chunk;

    for (unsigned i = 0; i < core->slots; i++)
        DL_FOREACH(core->workers[i].chunks, chunk)
            if (chunk->adopted)
                return true;
    return false;
}

/* What jobs take together is there. */
static const char *check_host(const struct core *core)
{
    const struct demand *has = &core->capacity.has;
    unsigned cpus = 0, demanding = core->options.cpus > 0 && has->cpus < core->options.workers_max;
    const struct batch *batch;
    uint64_t memory_bytes = 0;

    for (unsigned i = 0; i < core->slots; i++) {
        cpus += core->workers[i].host ? 0 : core->workers[i].taken.cpus;
        memory_bytes += core->workers[i].host ? 0 : core->workers[i].taken.memory_bytes;
    }
    DL_FOREACH(core->batches, batch)
        demanding += !demand_is_plain(&batch->demand);
    if ((cpus > has->cpus || memory_bytes > has->memory_bytes) && !adopted_any(core))
        return complain("jobs take %u CPUs and %lu bytes, there are %u and %lu", cpus,
                        (unsigned long)memory_bytes, has->cpus, (unsigned long)has->memory_bytes);
    if (demanding != core->demanding)
        return complain("%u batches take more than workers, %u are counted", demanding, core->demanding);
    return NULL;
}

const char *core_invariants(const struct core *core)
{
    const struct batch *batch;
    const char *wrong = NULL;
    unsigned present = 0, crew = 0, own = 0;

    if (core->slots < core->crew || core->slots > core->options.workers_max)
        wrong = complain("%u slots for %u workers", core->slots, core->crew);
    for (unsigned i = 0; i < core->slots; i++) {
        crew += core->workers[i].crew;
        own += core->workers[i].crew && !core->workers[i].host;
    }
    if (!wrong && (crew != core->crew || own != core->own))
        wrong = complain("%u workers of the crew, %u own, and not %u, %u", crew, own, core->crew, core->own);
    for (unsigned i = core->slots; i < core->options.workers_max && !wrong; i++)
        if (core->workers[i].state != WORKER_ABSENT || core->workers[i].crew || core->workers[i].host)
            wrong = complain("worker %u is not looked at", i + 1);
    for (unsigned i = 0; i < core->slots && !wrong; i++) {
        present += core->workers[i].state != WORKER_ABSENT;
        wrong = check_worker(core, &core->workers[i]);
    }
    if (!wrong && HASH_COUNT(core->workers_by_name) != present)
        wrong = complain("%u workers have a name, %u a process", HASH_COUNT(core->workers_by_name), present);
    if (!wrong)
        wrong = check_roster(core);
    if (!wrong)
        wrong = check_least_loaded(core);
    DL_FOREACH(core->batches, batch)
        if (!wrong)
            wrong = check_batch(core, batch);
    if (!wrong)
        wrong = check_host(core);
    return wrong;
}

/* --- what was decided */

bool message_possible(const struct proto_message *message)
{
    msgpack_sbuffer buffer;
    int result;

    msgpack_sbuffer_init(&buffer);
    result = proto_encode(message, &buffer);
    msgpack_sbuffer_destroy(&buffer);
    return result == 0 && proto_check_payload(message, NULL) == 0;
}

const char *outbox_invariants(const struct outbox *outbox)
{
    if (outbox->failed)
        return complain("the outbox failed, and memory did not run out");
    for (size_t i = 0; i < outbox->count; i++) {
        const struct outbox_item *item = &outbox->items[i];

        if (item->kind == OUTBOX_SEND && !message_possible(&item->message))
            return complain("a %s to %s cannot be sent", proto_type_name(item->message.type), item->peer);
        if (item->kind == OUTBOX_SEND && !item->peer[0])
            return complain("a %s to nobody", proto_type_name(item->message.type));
    }
    return NULL;
}
