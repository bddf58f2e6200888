/* SPDX-License-Identifier: MIT
 *
 * The fields of what crosses between the coordinator and a process that runs workers on another host. See
 * codec.c.
 */
#include "proto/codec_internal.h"

#include "proto/limits.h"

#include <string.h>

static void place_field(struct field_coder *c, uint32_t *place)
{
    field_u32(c, "place", 1, PROTO_HOST_WORKERS_MAX, place);
}

static bool is_digest(const struct proto_text *text)
{
    if (text->size != PROTO_DIGEST_DIGITS)
        return false;
    for (uint32_t i = 0; i < text->size; i++)
        if (!memchr("0123456789abcdef", text->bytes[i], 16))
            return false;
    return true;
}

static void plugin_fields(struct field_coder *c, struct proto_plugin *plugin)
{
    struct field_cursor outside;
    uint32_t fields = 2;

    field_enter(c, "plug-in", fields, fields, &fields, &outside);
    field_text(c, "plug-in name", PROTO_NAME_MAX, &plugin->name);
    field_text(c, "plug-in digest", PROTO_DIGEST_DIGITS, &plugin->digest);
    field_require(c, is_digest(&plugin->digest), "plug-in digest", "is not 64 hexadecimal digits");
    field_leave(c, &outside);
}

static void plugins_field(struct field_coder *c, struct proto_join *m)
{
    uint32_t count = m->plugin_count;
    struct proto_plugin *read, plugin;
    struct field_cursor outside;

    field_enter(c, "plugins", 0, PROTO_PLUGINS_MAX, &count, &outside);
    read = field_memory(c, count, sizeof *read);
    for (uint32_t i = 0; i < count && !c->code; i++) {
        plugin = field_writing(c) ? m->plugins[i] : (struct proto_plugin){0};
        plugin_fields(c, &plugin);
        if (read)
            read[i] = plugin;
    }
    field_leave(c, &outside);
    if (!field_writing(c)) {
        m->plugins = read;
        m->plugin_count = count;
    }
}

/* It becomes a word of a command line. */
static bool is_name(const struct proto_text *text)
{
    return text->size > 0 && text->size <= PROTO_PEER_NAME_MAX && !memchr(text->bytes, 0, text->size);
}

static void name_field(struct field_coder *c, struct proto_text *name)
{
    field_text(c, "name", PROTO_PEER_NAME_MAX, name);
    field_require(c, is_name(name), "name", "is no name of a peer");
}

static void resident_fields(struct field_coder *c, uint32_t before, struct proto_resident *resident)
{
    struct field_cursor outside;
    uint32_t fields = 2;

    field_enter(c, "resident", fields, fields, &fields, &outside);
    place_field(c, &resident->place);
    field_require(c, resident->place > before, "place", "is not behind the one before");
    name_field(c, &resident->name);
    field_leave(c, &outside);
}

static void residents_field(struct field_coder *c, struct proto_join *m)
{
    uint32_t count = m->resident_count, before = 0;
    struct proto_resident *read, resident;
    struct field_cursor outside;

    field_enter(c, "residents", 0, PROTO_HOST_WORKERS_MAX, &count, &outside);
    read = field_memory(c, count, sizeof *read);
    for (uint32_t i = 0; i < count && !c->code; i++) {
        resident = field_writing(c) ? m->residents[i] : (struct proto_resident){0};
        resident_fields(c, before, &resident);
        before = resident.place;
        if (read)
            read[i] = resident;
    }
    field_leave(c, &outside);
    if (!field_writing(c)) {
        m->residents = read;
        m->resident_count = count;
    }
}

void codec_join(struct field_coder *c, struct proto_message *message)
{
    struct proto_join *m = &message->join;

    if (!codec_version(c, &m->version))
        return;
    field_u64(c, "pid", 0, UINT64_MAX, &m->pid);
    field_u64(c, "session", 1, UINT64_MAX, &m->session);
    field_u64(c, "state", 0, UINT64_MAX, &m->state);
    field_u32(c, "epoch", 0, PROTO_EPOCH_MAX, &m->epoch);
    field_u32(c, "connection", 1, UINT32_MAX, &m->connection);
    field_u32(c, "workers", 1, PROTO_HOST_WORKERS_MAX, &m->workers);
    field_text(c, "host", PROTO_HOST_NAME_MAX, &m->host);
    field_text(c, "software", PROTO_TEXT_MAX, &m->software);
    field_text(c, "sandbox", PROTO_NAME_MAX, &m->sandbox);
    plugins_field(c, m);
    residents_field(c, m);
}

void codec_joined(struct field_coder *c, struct proto_message *message)
{
    struct proto_joined *m = &message->joined;

    if (!codec_version(c, &m->version))
        return;
    field_u32(c, "beat_ms", 1, PROTO_BEAT_MS_MAX, &m->beat_ms);
    field_u64(c, "state", 1, UINT64_MAX, &m->state);
    field_u32(c, "epoch", 0, PROTO_EPOCH_MAX, &m->epoch);
    field_u32(c, "hold_ms", 0, UINT32_MAX, &m->hold_ms);
}

void codec_spawn(struct field_coder *c, struct proto_message *message)
{
    struct proto_spawn *m = &message->spawn;

    place_field(c, &m->place);
    name_field(c, &m->name);
}

void codec_kill(struct field_coder *c, struct proto_message *message)
{
    place_field(c, &message->kill.place);
}

void codec_exited(struct field_coder *c, struct proto_message *message)
{
    struct proto_exited *m = &message->exited;

    place_field(c, &m->place);
    field_bool(c, "killed", &m->killed);
    field_bool(c, "executing", &m->executing);
    field_bool(c, "timed_out", &m->timed_out);
    field_u32(c, "progress", 0, 1000, &m->progress);
    field_u64(c, "chunk", 0, UINT64_MAX, &m->chunk);
    field_u64(c, "index", 0, UINT64_MAX, &m->index);
    field_u64(c, "batch", 0, UINT64_MAX, &m->batch);
    field_u32(c, "attempt", 0, UINT32_MAX, &m->attempt);
    field_text(c, "reason", PROTO_EXIT_TEXT_MAX, &m->reason);
}

void codec_beat(struct field_coder *c, struct proto_message *message)
{
    struct proto_beat *m = &message->beat;

    field_u64(c, "nonce", 0, UINT64_MAX, &m->nonce);
    field_u64(c, "clock_ns", 0, UINT64_MAX, &m->clock_ns);
}
