/* SPDX-License-Identifier: MIT
 *
 * What the core is expected to decide in its tests. See core_harness.h.
 */
#include "proto/codec.h"
#include "tests/support/core_harness_internal.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char *item_name(const struct outbox_item *item)
{
    static char name[128];

    switch (item->kind) {
    case OUTBOX_SPAWN:
        snprintf(name, sizeof name, "a spawn of worker %u", item->slot);
        break;
    case OUTBOX_KILL:
        snprintf(name, sizeof name, "a kill of worker %u", item->slot);
        break;
    case OUTBOX_KEEP:
        snprintf(name, sizeof name, "a wait for what %s reported", item->peer);
        break;
    case OUTBOX_RELEASE:
        snprintf(name, sizeof name, "a release of %zu bytes of values", item->message.payload.size);
        break;
    case OUTBOX_SEND:
        snprintf(name, sizeof name, "%s to %s", proto_type_name(item->message.type), item->peer);
        break;
    case OUTBOX_SCALE:
    case OUTBOX_DRAIN:
    case OUTBOX_STOP:
    case OUTBOX_CORE:
    case OUTBOX_FORWARD:
    case OUTBOX_STORE:
        snprintf(name, sizeof name, "what only a ledger decides");
        break;
    }
    return name;
}

void expect_nothing(void)
{
    for (size_t i = 0; i < outbox.count; i++)
        cr_assert(taken[i], "nobody expected %s", item_name(&outbox.items[i]));
}

static void expect_process(enum outbox_kind kind, unsigned slot)
{
    for (size_t i = 0; i < outbox.count; i++)
        if (!taken[i] && outbox.items[i].kind == kind && outbox.items[i].slot == slot) {
            taken[i] = true;
            return;
        }
    cr_assert_fail("no %s of worker %u", kind == OUTBOX_SPAWN ? "spawn" : "kill", slot);
}

void expect_spawn(unsigned slot)
{
    expect_process(OUTBOX_SPAWN, slot);
}

void expect_kill(unsigned slot)
{
    expect_process(OUTBOX_KILL, slot);
}

const struct proto_message *expect_sent(const char *peer, enum proto_type type)
{
    for (size_t i = 0; i < outbox.count; i++) {
        const struct outbox_item *item = &outbox.items[i];

        if (taken[i] || item->kind != OUTBOX_SEND || strcmp(item->peer, peer) != 0)
            continue;
        cr_assert_eq(item->message.type, type, "%s instead of %s", item_name(item), proto_type_name(type));
        taken[i] = true;
        return &item->message;
    }
    cr_assert_fail("no %s to %s", proto_type_name(type), peer);
    abort();
}

struct proto_chunk expect_chunk(unsigned slot, uint64_t first, uint32_t count)
{
    const struct proto_message *message = expect_sent(worker_name(slot), PROTO_CHUNK);
    const struct proto_chunk *chunk = &message->chunk;

    cr_assert_eq(chunk->first, first, "a chunk starts with job %lu", (unsigned long)chunk->first);
    cr_assert_eq(chunk->count, count, "a chunk of %u jobs", chunk->count);
    if (chunk->kind == PROTO_LIST)
        check_values(&message->payload, argument_of, first, count, NULL);
    else
        cr_assert_null(message->payload.blob);
    return *chunk;
}

void expect_recall(unsigned slot, uint64_t first, uint64_t count)
{
    const struct proto_cancel *cancel = &expect_sent(worker_name(slot), PROTO_CANCEL)->cancel;

    cr_assert_eq(cancel->mode, PROTO_CANCEL_RETURN);
    cr_assert_eq(cancel->id, 1);
    cr_assert_eq(cancel->first, first, "from job %lu", (unsigned long)cancel->first);
    cr_assert_eq(cancel->count, count, "%lu jobs", (unsigned long)cancel->count);
}

const struct proto_outcome *expect_results(uint64_t first, uint32_t count, const uint64_t *failed)
{
    const struct proto_message *message = expect_sent(CLIENT, PROTO_RESULTS);
    const struct proto_outcome *outcome = &message->results.outcome;

    cr_assert_eq(message->results.ticket, 1);
    cr_assert_eq(outcome->first, first, "results from job %lu", (unsigned long)outcome->first);
    cr_assert_eq(outcome->count, count, "results of %u jobs", outcome->count);
    cr_assert_eq(outcome->failure_count, listed_count(failed), "%u failures", outcome->failure_count);
    for (uint32_t i = 0; i < outcome->failure_count; i++)
        cr_assert_eq(outcome->failures[i].index, failed[i]);
    for (uint32_t i = 0; outcome->timings && i < count; i++)
        cr_assert_eq(outcome->timings[PROTO_TIMINGS * i], 10 * (first + i), "job %u has the time of another",
                     i);
    check_values(&message->payload, value_of, first, count,
                 valueless(outcome->failures, outcome->failure_count));
    return outcome;
}

static void check_text(const struct proto_text *text, const char *part)
{
    char whole[PROTO_TEXT_MAX + 1] = "";

    memcpy(whole, text->bytes, text->size);
    cr_assert(strstr(whole, part), "\"%s\" does not say \"%s\"", whole, part);
}

void expect_failure(uint64_t index, int code, const char *text)
{
    const struct proto_message *message = expect_sent(CLIENT, PROTO_RESULTS);
    const struct proto_outcome *outcome = &message->results.outcome;

    cr_assert_eq(outcome->first, index, "results from job %lu", (unsigned long)outcome->first);
    cr_assert_eq(outcome->count, 1);
    cr_assert_eq(outcome->failure_count, 1);
    cr_assert_eq(outcome->failures[0].index, index);
    cr_assert_eq(outcome->failures[0].code, code, "%s", muster_error_name(outcome->failures[0].code));
    check_text(&outcome->failures[0].text, text);
    cr_assert_eq(message->payload.size, 0);
}

void expect_release(uint64_t first, uint32_t count)
{
    for (size_t i = 0; i < outbox.count; i++)
        if (!taken[i] && outbox.items[i].kind == OUTBOX_RELEASE) {
            check_values(&outbox.items[i].message.payload, value_of, first, count, NULL);
            taken[i] = true;
            return;
        }
    cr_assert_fail("no release of the values from job %lu on", (unsigned long)first);
}

void expect_keep(unsigned slot, uint64_t number)
{
    for (size_t i = 0; i < outbox.count; i++) {
        const struct outbox_item *item = &outbox.items[i];

        if (taken[i] || item->kind != OUTBOX_KEEP || strcmp(item->peer, worker_name(slot)) != 0)
            continue;
        cr_assert_eq(item->number, number);
        taken[i] = true;
        return;
    }
    cr_assert_fail("nobody waits for what worker %u reported", slot);
}

void expect_error(const char *peer, uint64_t ticket, int code, const char *text)
{
    const struct proto_message *message = expect_sent(peer, PROTO_ERROR);

    cr_assert_eq(message->error.ticket, ticket);
    cr_assert_eq(message->error.code, code, "%s", muster_error_name(message->error.code));
    check_text(&message->error.text, text);
}

struct proto_ended expect_ended(uint64_t succeeded, uint64_t failed, uint64_t cancelled)
{
    const struct proto_ended *ended = &expect_sent(CLIENT, PROTO_ENDED)->ended;

    cr_assert_eq(ended->ticket, 1);
    cr_assert_eq(ended->succeeded, succeeded, "%lu succeeded", (unsigned long)ended->succeeded);
    cr_assert_eq(ended->failed, failed, "%lu failed", (unsigned long)ended->failed);
    cr_assert_eq(ended->cancelled, cancelled, "%lu cancelled", (unsigned long)ended->cancelled);
    return *ended;
}
