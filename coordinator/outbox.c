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

void outbox_send(struct outbox *outbox, const char *peer, const struct proto_message *message)
{
    struct outbox_item *item = add(outbox, OUTBOX_SEND, peer);

    if (!item)
        return;
    item->message = *message;
    if (item->message.payload.blob)
        blob_ref(item->message.payload.blob);
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

void outbox_keep(struct outbox *outbox, const char *worker, uint64_t number)
{
    struct outbox_item *item = add(outbox, OUTBOX_KEEP, worker);

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

void *outbox_alloc(struct outbox *outbox, size_t bytes)
{
    void *memory = msgpack_zone_malloc(&outbox->zone, bytes);

    if (!memory)
        outbox->failed = true;
    return memory;
}

struct proto_text outbox_text(struct outbox *outbox, const char *text)
{
    struct proto_text view = proto_text(text);
    char *copy = outbox_alloc(outbox, view.size ? view.size : 1);

    if (!copy)
        return proto_text("");
    memcpy(copy, view.bytes, view.size);
    view.bytes = copy;
    return view;
}
