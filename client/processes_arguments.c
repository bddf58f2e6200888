/* SPDX-License-Identifier: MIT
 *
 * The arguments of a batch under the model `processes`: pulled from their source, encoded, sent in
 * blocks as the coordinator grants it, and remembered until their jobs' results are delivered. See
 * processes_map.h.
 */
#include "base/clock.h"
#include "client/processes_map.h"
#include "proto/value.h"

enum {
    /* Arguments in shared memory that may be remembered: two of the largest, so that two workers have
     * one each. */
    SHARED_WINDOW_BYTES = 2 * PROTO_VALUE_BYTES_MAX,
};

/* Sends the block that was filled, and remembers it. */
static void send_block(struct map *m, uint32_t count)
{
    struct blob *blob = blob_take(m->buffer.data, m->buffer.size);
    struct proto_message message = {
        .type = PROTO_ARGUMENTS,
        .arguments = {.ticket = m->route.ticket,
                      .first = m->pulled + 1,
                      .count = count,
                      .shared_bytes = m->uses.bytes},
    };

    if (!blob) {
        msgpack_sbuffer_clear(&m->buffer);
        map_note_error(m, MUSTER_ENOMEM, "out of memory for arguments");
        map_cancel(m, PROTO_CANCEL_NOW);
        return;
    }
    msgpack_sbuffer_init(&m->buffer);
    message.payload = (struct slice){.blob = blob, .size = blob->size};
    if (!m->batch->detach && sent_add(&m->sent, blob, &m->uses, m->pulled + 1, count, m->asked_ns) != 0) {
        map_note_error(m, MUSTER_ENOMEM, "out of memory for arguments");
        map_cancel(m, PROTO_CANCEL_NOW);
    } else if (map_say(m, &message) == 0) {
        m->sent_cost += proto_cost(&message);
        m->pulled += count;
    }
    blob_unref(blob);
}

/* Adds the next argument to the block. 0, MUSTER_EAGAIN, MUSTER_EEND, or an error, noted. */
static int pull(struct map *m)
{
    const struct muster_source *source = &m->batch->source;
    struct shared_packing packing = {.heap = m->sent.heap, .copies = true, .uses = &m->uses};
    struct muster_error error;
    msgpack_object argument;
    int result;

    error.code = 0; /* all of it is a kilobyte, which would be cleared for each argument */
    error.text[0] = '\0';
    result = source->next(source->context, &m->zone, &argument, &error);
    if (result == 0)
        result = value_pack_shared(&argument, packing.heap ? &packing : NULL, &m->buffer, &error);
    value_zone_clear(&m->zone);
    if (result != 0 && result != MUSTER_EAGAIN && result != MUSTER_EEND)
        map_note_error(m, result, "%s", error.code ? error.text : muster_error_name(result));
    return result;
}

/* Whether none of its jobs starts, and makes room for more arguments, before the last of these is there. */
static bool begins_whole(const struct map *m)
{
    return m->batch->after_count > 0 || m->batch->begin_ms > 0;
}

/* Whether there is room for more arguments. Shared ones are fetched ahead as far as workers need it
 * for not waiting: memory that is used again soon is warm. */
static bool has_room(const struct map *m)
{
    uint64_t in_flight = m->pulled - (m->summary->succeeded + m->summary->failed);

    return m->sent.bytes < PROCESSES_WINDOW_BYTES || begins_whole(m) ||
           (m->sent.heap && m->sent.bytes < SHARED_WINDOW_BYTES && in_flight <= m->summary->workers);
}

/* A batch that begins whole is refused when that is more than can be remembered. */
static void limit_whole(struct map *m)
{
    if (m->sealed || !begins_whole(m) || m->sent.bytes <= PROCESSES_WHOLE_BYTES)
        return;
    map_note_error(
        m, MUSTER_ELIMIT,
        "a batch that begins at a time, or after another, has all its arguments before, and these are "
        "more than the %d MiB that a client remembers: with --detach it remembers none",
        PROCESSES_WHOLE_BYTES >> 20);
    map_cancel(m, PROTO_CANCEL_NOW);
}

void map_feed(struct map *m)
{
    m->waiting = false;
    while (!m->sealed && !m->ended && !m->waiting && m->sent_cost < m->granted_cost && has_room(m)) {
        uint32_t count = 0;
        int result = 0;

        m->asked_ns = clock_now_ns();
        while (result == 0 && count < PROTO_BLOCK_JOBS_MAX &&
               m->buffer.size + m->uses.copied < PROTO_BLOCK_BYTES) {
            result = pull(m);
            count += result == 0;
        }
        if (count > 0)
            send_block(m, count);
        limit_whole(m);
        if (result == MUSTER_EAGAIN) {
            m->waiting = true;
        } else if (result != 0 && !m->sealed) {
            m->sealed = true;
            m->total = m->pulled;
            map_say(m, &(struct proto_message){.type = PROTO_SEAL,
                                               .seal = {.ticket = m->route.ticket, .total = m->pulled}});
        }
    }
}

int map_argument(struct map *m, uint64_t index, msgpack_object *ret_argument)
{
    int64_t number;

    if (m->kind == PROTO_LIST)
        return sent_argument(&m->sent, index, &m->zone, ret_argument);
    number = (int64_t)((uint64_t)m->first + index - 1);
    ret_argument->type = number < 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_argument->via.i64 = number;
    return 0;
}
