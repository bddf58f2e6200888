/* SPDX-License-Identifier: MIT
 *
 * From rows of arguments to jobs: the argument of the function `command` (worker/command.h). See
 * exec_run.h.
 */
#include "base/sandbox.h"
#include "cli/exec_again.h"
#include "cli/exec_run.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MEMBERS_MAX = 40 /* of the argument of `command` that are used here */ };

static msgpack_object text(struct word word)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR,
                            .via.str = {.ptr = word.bytes, .size = (uint32_t)word.size}};
}

static msgpack_object integer(uint64_t number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = number};
}

static msgpack_object seconds(double seconds)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = seconds};
}

static struct word word_of(const char *bytes)
{
    return (struct word){bytes, strlen(bytes)};
}

/* A map that grows, in the zone of the argument it becomes. */
struct map {
    msgpack_object_kv pairs[MEMBERS_MAX];
    uint32_t count;
    msgpack_zone *zone;
    bool failed;
};

static void put(struct map *map, const char *key, msgpack_object value)
{
    assert(map->count < MEMBERS_MAX);
    map->pairs[map->count++] = (msgpack_object_kv){.key = text(word_of(key)), .val = value};
}

/* Copies the word: what templates make is gone with the next. */
static msgpack_object keep(struct map *map, struct word word)
{
    char *copy = msgpack_zone_malloc(map->zone, word.size ? word.size : 1);

    map->failed |= !copy;
    if (copy)
        memcpy(copy, word.bytes, word.size);
    return text((struct word){copy ? copy : "", copy ? word.size : 0});
}

static msgpack_object keep_words(struct map *map, const struct word *words, size_t count)
{
    msgpack_object *items = msgpack_zone_malloc(map->zone, (count ? count : 1) * sizeof *items);
    msgpack_object array = {.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = items}};

    map->failed |= !items;
    if (!items)
        return array;
    for (size_t i = 0; i < count; i++)
        items[i] = keep(map, words[i]);
    array.via.array.size = (uint32_t)count;
    return array;
}

static void put_command(struct map *map, const struct command *command)
{
    if (command->shell) {
        put(map, "shell", text(word_of(shell_name())));
        put(map, "line", keep(map, command->line));
    } else {
        put(map, "argv", keep_words(map, command->argv, command->argc));
    }
}

static msgpack_object keep_line(struct map *map, struct word word)
{
    char *copy = msgpack_zone_malloc(map->zone, word.size + 1);

    map->failed |= !copy;
    if (!copy)
        return text((struct word){"", 0});
    memcpy(copy, word.bytes, word.size);
    copy[word.size] = '\n';
    return text((struct word){copy, word.size + 1});
}

/* Where it writes when that does not wait for its end; `tag` nil: none. */
static void put_ways_out(const struct exec *exec, struct map *map, struct word title, msgpack_object tag)
{
    const struct exec_options *options = &exec->options;
    msgpack_object *live = msgpack_zone_malloc(map->zone, 2 * sizeof *live);

    map->failed |= !live;
    if (options->group == EXEC_GROUP_NOTHING)
        put(map, "stdout", integer((uint64_t)exec->shared_out_fd));
    if (options->group == EXEC_GROUP_LINES && live) {
        live[0] = integer((uint64_t)exec->live.worker_fd);
        live[1] = integer(exec->made);
        put(map, "live", (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {2, live}});
        if (tag.type == MSGPACK_OBJECT_STR)
            put(map, "label", tag);
    }
    if (options->verbose && options->group != EXEC_GROUP_JOBS)
        put(map, "shown", keep_line(map, title));
    if (options->trace)
        put(map, "told", keep_line(map, title));
}

static int note_tag(struct exec *exec, struct map *map, const struct row *row, uint64_t sequence,
                    msgpack_object *ret_tag, struct muster_error *ret_error)
{
    struct command tag;
    int code = template_expand(&exec->tag, row, 1, sequence, &tag, ret_error);

    if (!code)
        *ret_tag = keep(map, tag.line);
    return code;
}

static int note_results(struct exec *exec, struct map *map, const struct row *row, uint64_t sequence,
                        msgpack_object *ret_results, struct muster_error *ret_error)
{
    static const struct row none = {.count = 0};
    struct word place;
    int code = exec_store_place(&exec->store, exec->pipe.open ? &none : row, exec->fill.handed, sequence,
                                &place, ret_error);

    if (!code)
        *ret_results =
            exec->store.kind == EXEC_STORE_TABLE ? keep_words(map, row->args, row->count) : keep(map, place);
    return code;
}

/* "note", see enum exec_note. */
static int put_note(struct exec *exec, struct map *map, struct word title, const struct row *row,
                    uint64_t sequence, struct muster_error *ret_error)
{
    msgpack_object *items = msgpack_zone_malloc(map->zone, EXEC_NOTES * sizeof *items);
    int code = 0;

    if (!items)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    for (size_t i = 0; i < EXEC_NOTES; i++)
        items[i] = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    items[EXEC_NOTE_SEQUENCE] = integer(sequence);
    items[EXEC_NOTE_TITLE] = keep(map, title);
    if (exec->options.tag)
        code = note_tag(exec, map, row, sequence, &items[EXEC_NOTE_TAG], ret_error);
    if (!code && exec->store.kind != EXEC_STORE_NONE)
        code = note_results(exec, map, row, sequence, &items[EXEC_NOTE_RESULTS], ret_error);
    items[EXEC_NOTE_SENT] = integer(exec->pipe.latest.size);
    put_ways_out(exec, map, title, items[EXEC_NOTE_TAG]);
    put(map, "note", (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {EXEC_NOTES, items}});
    return code;
}

static msgpack_object yes(void)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true};
}

/* How it is ended, and run again. */
static void put_ends(struct map *map, const struct exec_options *options)
{
    const struct command_steps *steps = &options->termseq;
    msgpack_object *items;

    if (options->tries != 1)
        put(map, "tries", integer(options->tries));
    if (options->backoff_s > 0)
        put(map, "backoff", seconds(options->backoff_s));
    if (!options->has_termseq)
        return;
    items = msgpack_zone_malloc(map->zone, 2 * steps->count * sizeof *items);
    map->failed |= !items;
    for (size_t i = 0; items && i < steps->count; i++) {
        items[2 * i] = integer((uint64_t)steps->steps[i].signal);
        items[2 * i + 1] = integer(steps->steps[i].wait_ms);
    }
    put(map, "termseq",
        (msgpack_object){.type = MSGPACK_OBJECT_ARRAY,
                         .via.array = {items ? (uint32_t)(2 * steps->count) : 0, items}});
}

static void put_sequence(struct map *map, uint64_t sequence)
{
    char text[sizeof "PARALLEL_SEQ=18446744073709551615"];
    int size = snprintf(text, sizeof text, "PARALLEL_SEQ=%" PRIu64, sequence);

    put(map, "env", keep_words(map, &(struct word){text, (size_t)size}, 1));
}

static void put_count(struct map *map, const char *key, uint64_t count)
{
    if (count)
        put(map, key, integer(count));
}

static void put_limits(struct map *map, const struct exec_limits *limits)
{
    char words[SANDBOX_WORDS_BYTES];

    put_count(map, "memory", limits->memory_bytes);
    put_count(map, "cpu_time", limits->cpu_time_s);
    put_count(map, "open_files", limits->open_files);
    put_count(map, "file_size", limits->file_bytes);
    if (limits->privileges)
        put(map, "privileges", yes());
    if (limits->sandbox) {
        sandbox_words(limits->sandbox, words);
        put(map, "sandbox", keep(map, word_of(words)));
    }
}

/* How and where it runs. */
static void put_place(struct exec *exec, struct map *map)
{
    const struct exec_options *options = &exec->options;
    struct exec_origin *origin = &exec->origin;

    put_count(map, "nice", (uint64_t)options->nice + origin->nice);
    if (!origin->folder) {
        if (options->folder)
            put(map, "dir", text(word_of(options->folder)));
        put(map, "tmpdir", text(word_of(exec->folder.parent)));
        if (exec->folder.parent_fd >= 0)
            put(map, "tmpdir_fd", integer((uint64_t)exec->folder.parent_fd));
        put(map, "files_in", text(word_of(exec->folder.path)));
        return;
    }
    put(map, "env",
        (msgpack_object){.type = MSGPACK_OBJECT_ARRAY,
                         .via.array = {.ptr = origin->variables, .size = origin->variable_count}});
    put(map, "dir", text(word_of(origin->folder)));
    put(map, "umask", integer(origin->umask));
    put(map, "ulimits",
        (msgpack_object){.type = MSGPACK_OBJECT_ARRAY,
                         .via.array = {.ptr = origin->limits, .size = RLIM_NLIMITS}});
    if (origin->all)
        put(map, "only_env", yes());
}

/* The path, and the ranges: of the header, if there is one, and of the part. */
static void put_part(struct map *map, const struct exec_pipe *pipe)
{
    const uint64_t header = pipe->parts.header_size;
    msgpack_object *items = msgpack_zone_malloc(map->zone, 5 * sizeof *items);
    uint32_t count = 0;

    map->failed |= !items;
    if (!items)
        return;
    items[count++] = keep(map, word_of(pipe->path));
    if (header > 0) {
        items[count++] = integer(0);
        items[count++] = integer(header);
    }
    items[count++] = integer(pipe->part.offset);
    items[count++] = integer(pipe->part.size);
    put(map, "stdin", (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {count, items}});
}

/* A block itself, not a copy: it stays until the next one is asked for, and this one is sent by then. */
static void put_input(struct map *map, const struct exec_pipe *pipe, bool as_file)
{
    if (pipe->path)
        put_part(map, pipe);
    else
        put(map, "stdin",
            (msgpack_object){.type = MSGPACK_OBJECT_BIN,
                             .via.bin = {.ptr = pipe->latest.bytes, .size = (uint32_t)pipe->latest.size}});
    if (as_file)
        put(map, "as_file", yes());
}

static int take_map(const struct map *map, msgpack_object *ret_map, struct muster_error *ret_error)
{
    msgpack_object_kv *pairs = msgpack_zone_malloc(map->zone, sizeof map->pairs);

    if (map->failed || !pairs)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    memcpy(pairs, map->pairs, sizeof map->pairs);
    *ret_map = (msgpack_object){.type = MSGPACK_OBJECT_MAP, .via.map = {.size = map->count, .ptr = pairs}};
    return 0;
}

/* The argument of `command` for a row. */
static int make_job(struct exec *exec, const struct row *row, uint64_t sequence, msgpack_zone *zone,
                    msgpack_object *ret_argument, struct muster_error *ret_error)
{
    const struct exec_options *options = &exec->options;
    struct map map = {.zone = zone};
    struct command command;
    int code;

    exec->command.total = exec->tag.total = exec_fill_total(&exec->fill);
    code = template_expand(&exec->command, row, 1, sequence, &command, ret_error);

    if (!code)
        code = exec_fill_check(&exec->fill, command.line, ret_error);
    if (code)
        return code;
    put_command(&map, &command);
    put_sequence(&map, sequence);
    if ((code = put_note(exec, &map, command.line, row, sequence, ret_error)) != 0)
        return code;
    if (exec->pipe.open)
        put_input(&map, &exec->pipe, options->pipe.as_file);
    return take_map(&map, ret_argument, ret_error);
}

int exec_job_common(struct exec *exec, msgpack_zone *zone, msgpack_object *ret_common,
                    struct muster_error *ret_error)
{
    const struct exec_options *options = &exec->options;
    struct map map = {.zone = zone};

    put_place(exec, &map);
    put_limits(&map, &options->limits);
    if (!options->detach)
        put(&map, "pace", text(word_of(exec->pace.path)));
    put_ends(&map, options);
    if (options->timeout_s > 0)
        put(&map, "timeout", seconds(options->timeout_s));
    return take_map(&map, ret_common, ret_error);
}

int exec_next_row(struct exec *exec, struct row *ret_row, struct muster_error *ret_error)
{
    return exec->pipe.open ? exec_pipe_next(&exec->pipe, ret_row, ret_error)
                           : exec_fill_next(&exec->fill, ret_row, ret_error);
}

int exec_input_fd(const struct exec *exec)
{
    return exec->pipe.open ? exec->pipe.fd : exec->sources.fd;
}

int exec_await_job(struct exec *exec, struct muster_error *ret_error)
{
    int code = 0;

    if (!exec->row_waits)
        code = exec->ask.out ? exec_ask_next(exec, &exec->row, &exec->sequence, ret_error)
                             : exec_again_next(exec, &exec->row, &exec->sequence, ret_error);
    exec->row_waits = code == 0;
    return code;
}

int exec_next_job(struct exec *exec, msgpack_zone *zone, msgpack_object *ret_argument,
                  struct muster_error *ret_error)
{
    exec->row_waits = false;
    exec->made++;
    return make_job(exec, &exec->row, exec->sequence, zone, ret_argument, ret_error);
}
