/* SPDX-License-Identifier: MIT
 *
 * The list of what the core decided. See outbox.h.
 */
#include "coordinator/outbox.h"

#include "base/error.h"
#include "proto/codec.h"

#include <stdlib.h>
#include <string.h>

int outbox_init(struct outbox *outbox)
{
    *outbox = (struct outbox){0};
    return msgpack_zone_init(&outbox->zone, 4096) ? 0 : MUSTER_ENOMEM;
}

static void drop_items(struct outbox *outbox)
{
    for (size_t i = 0; i < outbox->count; i++)
        blob_unref(outbox->items[i].message.payload.blob);
    outbox->count = 0;
}

void outbox_fini(struct outbox *outbox)
{
    drop_items(outbox);
    free(outbox->items);
    if (outbox->zone.chunk_list.head) /* msgpack-c takes none that is zero */
        msgpack_zone_destroy(&outbox->zone);
}

void outbox_clear(struct outbox *outbox)
{
    drop_items(outbox);
    msgpack_zone_clear(&outbox->zone);
}

static struct outbox_item *add(struct outbox *outbox, enum outbox_kind kind, const char *peer)
{
    struct outbox_item *item;

    if (outbox->count == outbox->capacity) {
        size_t capacity = outbox->capacity ? 2 * outbox->capacity : 16;
        struct outbox_item *items = reallocarray(outbox->items, capacity, sizeof *items);

        if (!items) {
            outbox->failed = true;
            return NULL;
        }
        outbox->items = items;
        outbox->capacity = capacity;
    }
    item = &outbox->items[outbox->count++];
    *item = (struct outbox_item){.kind = kind};
    memcpy(item->peer, peer, strnlen(peer, PROTO_PEER_NAME_MAX));
    return item;
}

static void add_message(struct outbox *outbox, enum outbox_kind kind, const char *peer,
                        const struct proto_message *message)
{
    struct outbox_item *item = add(outbox, kind, peer);

    if (!item)
        return;
    item->message = *message;
    if (item->message.payload.blob)
        blob_ref(item->message.payload.blob);
}

void outbox_send(struct outbox *outbox, const char *peer, const struct proto_message *message)
{
    add_message(outbox, OUTBOX_SEND, peer, message);
}

void outbox_spawn(struct outbox *outbox, unsigned slot, const char *name)
{
    struct outbox_item *item = add(outbox, OUTBOX_SPAWN, name);

    if (item)
        item->slot = slot;
}

void outbox_kill(struct outbox *outbox, unsigned slot)
{
    struct outbox_item *item = add(outbox, OUTBOX_KILL, "");

    if (item)
        item->slot = slot;
}

void outbox_keep(struct outbox *outbox, unsigned slot, const char *worker, uint64_t number)
{
    struct outbox_item *item = add(outbox, OUTBOX_KEEP, worker);

    if (!item)
        return;
    item->slot = slot;
    item->number = number;
}

void outbox_order(struct outbox *outbox, enum outbox_kind kind, uint64_t number)
{
    struct outbox_item *item = add(outbox, kind, "");

    if (item)
        item->number = number;
}

void outbox_release(struct outbox *outbox, const struct slice *payload)
{
    struct outbox_item *item = add(outbox, OUTBOX_RELEASE, "");

    if (!item || !payload->blob)
        return;
    item->message.payload = *payload;
    blob_ref(payload->blob);
}

void outbox_core(struct outbox *outbox, const struct proto_message *message)
{
    add_message(outbox, OUTBOX_CORE, "", message);
}

void outbox_forward(struct outbox *outbox, const char *client, const struct proto_message *message)
{
    add_message(outbox, OUTBOX_FORWARD, client, message);
}

void outbox_core_submit(struct outbox *outbox, const struct proto_message *message, const char *user,
                        const struct spans *ended)
{
    size_t bytes = ended->count * sizeof(struct span), length = strlen(user) + 1;
    struct span *spans = outbox_alloc(outbox, bytes + length); /* and the user behind them */
    struct outbox_item *item;

    if (!spans)
        return;
    memcpy(spans, spans_list(ended), bytes);
    memcpy(spans + ended->count, user, length);
    outbox_core(outbox, message);
    if (outbox->failed)
        return;
    item = &outbox->items[outbox->count - 1];
    item->user = (const char *)(spans + ended->count);
    item->ended = spans;
    item->ended_count = ended->count;
}

/* What of a request holds a payload. */
static const struct slice *payload_of(const struct store_request *request)
{
    switch (request->operation) {
    case STORE_ADD:
        return &request->add.block.payload;
    case STORE_ARGUMENTS:
        return &request->block.payload;
    case STORE_RESULT:
        return &request->record.payload;
    case STORE_COPY:
    case STORE_SEAL:
    case STORE_STATE:
    case STORE_END:
    case STORE_DUE:
    case STORE_ABANDON:
    case STORE_DROP:
    case STORE_RESET:
    case STORE_SWEEP:
    case STORE_BARRIER:
    case STORE_RESUME:
    case STORE_COUNTS:
    case STORE_NEXT:
    case STORE_LOAD:
    case STORE_READ:
    case STORE_GAPS:
    case STORE_LIST:
    case STORE_TALLY:
    case STORE_FIND:
        break;
    }
    return NULL;
}

void outbox_store(struct outbox *outbox, const struct store_request *request)
{
    struct store_request *copy = outbox_alloc(outbox, sizeof *copy);
    struct outbox_item *item = copy ? add(outbox, OUTBOX_STORE, "") : NULL;
    const struct slice *payload = payload_of(request);

    if (!item)
        return;
    *copy = *request;
    item->request = copy;
    if (!payload || !payload->blob)
        return;
    item->message.payload = *payload;
    blob_ref(payload->blob);
}

void *outbox_alloc(struct outbox *outbox, size_t bytes)
{
    void *memory = msgpack_zone_malloc(&outbox->zone, bytes);

    if (!memory)
        outbox->failed = true;
    return memory;
}

struct proto_text outbox_copy(struct outbox *outbox, const struct proto_text *text)
{
    char *copy = outbox_alloc(outbox, text->size ? text->size : 1);

    if (!copy)
        return proto_text("");
    memcpy(copy, text->bytes, text->size);
    return (struct proto_text){copy, text->size};
}

struct proto_text outbox_text(struct outbox *outbox, const char *text)
{
    struct proto_text view = proto_text(text);

    return outbox_copy(outbox, &view);
}
