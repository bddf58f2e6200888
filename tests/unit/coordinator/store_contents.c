/* SPDX-License-Identifier: MIT
 *
 * A store with something of each kind in it, and all of that as text. See store_contents.h.
 */
#include "tests/unit/coordinator/store_contents.h"

#include "tests/unit/coordinator/store_fixture.h"

#include <string.h>

static void ask(struct store *store, struct store_request request, contents_asked *asked)
{
    CHECK(fixture_code(store, &request) == 0);
    if (asked)
        asked(store);
}

/* Values of `size` bytes, other ones for each number. */
static struct slice values_of(uint64_t number, size_t size)
{
    uint8_t *bytes = malloc(size);

    CHECK(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(number * 31 + i * 7);
    return (struct slice){.blob = blob_take(bytes, size), .size = size};
}

void contents_fill(struct store *store, contents_asked *asked)
{
    for (uint64_t i = 1; i <= CONTENTS_BATCHES; i++) {
        struct slice arguments = values_of(i, i % 3 == 0 ? 6000 : 20), results = values_of(i + 1000, 50 * i);
        const struct store_after after = {.batch = 1, .condition = STORE_AFTER_ANY};
        const struct proto_failure failure = {
            .index = 1, .code = MUSTER_EFAILED, .text = fixture_text("no such luck")};
        struct store_request add = fixture_single(i, arguments.blob), record;

        add.add.name = fixture_text(i % 2 ? "nightly" : "");
        add.add.lane.user = fixture_text(i % 4 ? "ann" : "bob");
        add.add.origin = i % 5 ? 0 : i;
        if (i % 3 == 1) {
            add.add.kind = PROTO_RANGE;
            add.add.first = (int64_t)i;
            add.add.last = (int64_t)i + 9;
            add.add.total = 10;
            add.add.block = (struct store_block){.count = 0};
        }
        if (i % 7 == 0) {
            add.add.after = &after;
            add.add.after_count = 1;
        }
        ask(store, add, asked);
        if (i % 7 && i % 2) {
            record = fixture_record(i, 1, 1, results.blob);
            record.record.failed = 1;
            record.failures = &failure;
            record.failure_count = 1;
            ask(store, fixture_state(STORE_STATE, i, STORE_RUNNING), asked);
            ask(store, record, asked);
        }
        if (i % 4 == 3)
            ask(store, fixture_state(STORE_END, i, STORE_CANCELLED), asked);
        if (i > CONTENTS_BATCHES - 10 && i % 4 == 3)
            ask(store, (struct store_request){.operation = STORE_DROP, .batch = i}, asked);
        blob_unref(arguments.blob);
        blob_unref(results.blob);
    }
}

void contents_make(const char *path)
{
    struct store *store = fixture_open(path);

    contents_fill(store, NULL);
    store_destroy(store);
}

void contents_add(struct store *store, uint64_t from, uint64_t to, contents_asked *asked)
{
    struct slice argument = values_of(1, 20);

    for (uint64_t i = from; i <= to; i++)
        ask(store, fixture_single(i, argument.blob), asked);
    blob_unref(argument.blob);
}

static void say_text(FILE *to, struct proto_text text)
{
    fprintf(to, " %.*s", (int)text.size, text.bytes ? text.bytes : "");
}

static void say_slice(FILE *to, const struct slice *slice)
{
    fprintf(to, " %zu:", slice->size);
    if (slice->size > 0)
        fwrite(slice_bytes(slice), 1, slice->size, to);
}

static void say_batch(FILE *to, const struct store_batch *batch)
{
    fprintf(to, "batch %llu %d %d %d %lld %lld %d %llu %llu %llu %llu %llu %llu %llu %llu %llu %u",
            (unsigned long long)batch->number, (int)batch->state, batch->lane.priority, (int)batch->kind,
            (long long)batch->first, (long long)batch->last, batch->sealed, (unsigned long long)batch->total,
            (unsigned long long)batch->origin, (unsigned long long)batch->submitted_ms,
            (unsigned long long)batch->begin_ms, (unsigned long long)batch->started_ms,
            (unsigned long long)batch->ended_ms, (unsigned long long)batch->succeeded,
            (unsigned long long)batch->failed, (unsigned long long)batch->cancelled, batch->block.count);
    say_text(to, batch->lane.user);
    say_text(to, batch->name);
    say_text(to, batch->function);
    say_text(to, batch->settings);
    say_text(to, batch->totals);
    say_slice(to, &batch->block.payload);
    for (uint32_t i = 0; i < batch->after_count; i++)
        fprintf(to, " %llu/%d", (unsigned long long)batch->after[i].batch, (int)batch->after[i].condition);
    fputc('\n', to);
}

/* All of the answer, or that it was refused: why is the store's to say. */
static bool say_done(FILE *to, const struct store_done *done)
{
    if (done->code != 0)
        return done->code == MUSTER_ENOTFOUND;
    fprintf(to, "%d %u %d %llu %llu\n", (int)done->operation, done->count, done->more,
            (unsigned long long)done->succeeded, (unsigned long long)done->failed);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_LIST; i++)
        say_batch(to, &done->batches[i]);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_LOAD; i++)
        say_slice(to, &done->blocks[i].payload);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_GAPS; i++)
        fprintf(to, "%llu+%llu\n", (unsigned long long)done->gaps[i].first,
                (unsigned long long)done->gaps[i].count);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_COUNTS; i++)
        fprintf(to, "%llu\n", (unsigned long long)done->waiting[i].batches);
    for (uint32_t i = 0; i <= STORE_LOST && done->operation == STORE_TALLY; i++)
        fprintf(to, "%llu\n", (unsigned long long)done->tally[i]);
    for (uint32_t i = 0; i < done->count && done->operation == STORE_READ; i++) {
        const struct store_record *record = &done->records[i];

        fprintf(to, "record %llu %u %u %llu", (unsigned long long)record->first, record->count,
                record->failed, (unsigned long long)record->sequence);
        say_text(to, record->header);
        say_slice(to, &record->payload);
    }
    return true;
}

static bool say(FILE *to, struct store *store, enum store_operation operation, uint64_t batch)
{
    struct store_request request = {.operation = operation, .batch = batch};
    struct store_done *done = fixture_ask(store, &request);
    bool said = say_done(to, done);

    store_done_free(done);
    return said;
}

char *contents_describe(struct store *store)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);
    bool whole;

    CHECK(to);
    whole =
        say(to, store, STORE_COUNTS, 0) && say(to, store, STORE_TALLY, 0) && say(to, store, STORE_LIST, 0);
    for (uint64_t i = 1; i <= CONTENTS_BATCHES && whole; i++)
        whole =
            say(to, store, STORE_LOAD, i) && say(to, store, STORE_READ, i) && say(to, store, STORE_GAPS, i);
    for (size_t i = (fclose(to), 0); i < size; i++)
        text[i] = text[i] ? text[i] : '0'; /* so that it can be compared as text */
    if (!whole) {
        free(text);
        return NULL;
    }
    return text;
}

char *contents_list(struct store *store)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    CHECK(to && say(to, store, STORE_LIST, 0));
    fclose(to);
    return text;
}

char *contents_of_file(const char *path)
{
    struct muster_error error = {0};
    struct store *store;
    char *text;

    if (store_create(path, &store, &error) != 0) {
        CHECK_SAYING(error.code == MUSTER_EINVALID && strstr(error.text, path), error.text);
        return NULL;
    }
    text = contents_describe(store);
    store_destroy(store);
    return text;
}
