/* SPDX-License-Identifier: MIT
 *
 * Requests as the store keeps them: copies, but for payloads. See store_entry.h.
 */
#include "coordinator/store_entry.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum store_trouble store_entry_trouble(const struct store_entry *entry)
{
    switch (entry->request.operation) {
#define X(name, trouble) \
    case STORE_##name:   \
        return STORE_TROUBLE_##trouble;
        STORE_OPERATION_MAP(X)
#undef X
    }
    abort();
}

size_t store_entry_bytes(const struct store_entry *entry)
{
    const struct store_request *request = &entry->request;

    return request->operation == STORE_ADD         ? request->add.block.payload.size
           : request->operation == STORE_ARGUMENTS ? request->block.payload.size
           : request->operation == STORE_RESULT    ? request->record.payload.size
                                                   : 0;
}

static int keep_text(struct store_arena *arena, struct proto_text *text)
{
    return store_arena_text(arena, text->bytes, text->size, text);
}

static int keep_batch(struct store_arena *arena, struct store_batch *batch)
{
    struct store_after *after;

    if (keep_text(arena, &batch->lane.user) != 0 || keep_text(arena, &batch->name) != 0 ||
        keep_text(arena, &batch->function) != 0 || keep_text(arena, &batch->settings) != 0 ||
        keep_text(arena, &batch->totals) != 0 || store_arena_hold(arena, batch->block.payload.blob) != 0)
        return MUSTER_ENOMEM;
    after = store_arena_take(arena, batch->after_count * sizeof *after);
    if (!after)
        return MUSTER_ENOMEM;
    if (batch->after_count)
        memcpy(after, batch->after, batch->after_count * sizeof *after);
    batch->after = after;
    return 0;
}

static int keep_result(struct store_arena *arena, struct store_request *request)
{
    struct proto_failure *failures = store_arena_take(arena, request->failure_count * sizeof *failures);

    if (!failures || keep_text(arena, &request->record.header) != 0 ||
        store_arena_hold(arena, request->record.payload.blob) != 0)
        return MUSTER_ENOMEM;
    for (uint32_t i = 0; i < request->failure_count; i++) {
        failures[i] = request->failures[i];
        if (keep_text(arena, &failures[i].text) != 0)
            return MUSTER_ENOMEM;
    }
    request->failures = failures;
    return 0;
}

static int keep_page(struct store_arena *arena, struct store_page *page)
{
    return keep_text(arena, &page->user) != 0 || keep_text(arena, &page->name) != 0 ||
                   keep_text(arena, &page->lane.user) != 0
               ? MUSTER_ENOMEM
               : 0;
}

static int keep(struct store_arena *arena, struct store_request *request)
{
    switch (request->operation) {
    case STORE_ADD:
    case STORE_END:
        return keep_batch(arena, &request->add);
    case STORE_ARGUMENTS:
        return store_arena_hold(arena, request->block.payload.blob);
    case STORE_RESULT:
        return keep_result(arena, request);
    case STORE_NEXT:
    case STORE_RESUME:
    case STORE_LIST:
        return keep_page(arena, &request->page);
    case STORE_COPY:
    case STORE_SEAL:
    case STORE_STATE:
    case STORE_DUE:
    case STORE_ABANDON:
    case STORE_DROP:
    case STORE_RESET:
    case STORE_SWEEP:
    case STORE_BARRIER:
    case STORE_COUNTS:
    case STORE_LOAD:
    case STORE_READ:
    case STORE_GAPS:
    case STORE_TALLY:
    case STORE_FIND:
        return 0;
    }
    return MUSTER_EINVALID;
}

int store_entry_create(const struct store_request *request, struct store_entry **ret_entry)
{
    struct store_entry *entry = calloc(1, sizeof *entry);
    int result;

    if (!entry)
        return MUSTER_ENOMEM;
    entry->request = *request;
    result = keep(&entry->asked, &entry->request);
    if (result != 0) {
        store_entry_destroy(entry);
        return result;
    }
    store_entry_clear(entry);
    *ret_entry = entry;
    return 0;
}

void store_entry_destroy(struct store_entry *entry)
{
    if (!entry)
        return;
    store_arena_fini(&entry->asked);
    store_arena_fini(&entry->answer);
    free(entry);
}

void store_entry_clear(struct store_entry *entry)
{
    store_arena_fini(&entry->answer);
    entry->list = NULL;
    entry->done = (struct store_done){
        .operation = entry->request.operation,
        .tag = entry->request.tag,
        .batch = entry->request.operation == STORE_ADD ? entry->request.add.number : entry->request.batch,
        .text = "",
    };
}

int store_entry_fail(struct store_entry *entry, int code, const char *format, ...)
{
    char line[MUSTER_ERROR_TEXT_BYTES];
    struct proto_text text;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    entry->done.code = code;
    entry->done.text = store_arena_text(&entry->answer, line, strlen(line) + 1, &text) == 0
                           ? text.bytes
                           : muster_error_name(code);
    return code;
}
