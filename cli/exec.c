/* SPDX-License-Identifier: MIT
 *
 * muster exec: a command over arguments, with GNU parallel's grammar. Rows of arguments become
 * commands here; workers run them as jobs of the function `command` (worker/command.h), and what
 * they wrote is written again here, a job at a time. Everything here runs on the main thread.
 */
#include "base/log.h"
#include "cli/exec_folder.h"
#include "cli/exec_log.h"
#include "cli/exec_options.h"
#include "cli/exec_output.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/stats.h"
#include "cli/verbs.h"
#include "worker/command.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum note_item { NOTE_TITLE, NOTE_TAG, NOTE_ITEMS };

enum {
    MEMBERS_MAX = 8,     /* of the argument of `command` that are used here */
    FAILURE_LINES = 20,  /* failed jobs named on standard error; more are only counted */
    COMMAND_SHOWN = 200, /* bytes of a command there */
    SLOT_MARK_BYTES = sizeof TEMPLATE_SLOT_MARK - 1,
};

struct exec {
    struct exec_options options;
    struct sources sources;
    struct template command, tag;
    msgpack_sbuffer title, tag_text; /* of the latest result */
    struct exec_folder folder;
    struct exec_log log;
    struct stats stats;
    struct progress progress;
    int interrupt_fd;
    int out_fd;
    bool shares_terminal;       /* output appears where the progress line stands */
    uint64_t given;             /* jobs made of rows so far */
    uint64_t succeeded, failed; /* by what became of their commands */
    int first_failure;          /* the status of the first that failed */
    bool halted;                /* by --halt */
    struct muster_error error;  /* why a callback ended the batch */
};

/* --- from rows to jobs */

static msgpack_object text(struct word word)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR,
                            .via.str = {.ptr = word.bytes, .size = (uint32_t)word.size}};
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

/* "note", what this end needs to know again when the job has ended: the command as a line, and the tag. */
static int put_note(struct exec *exec, struct map *map, struct word title, const struct row *row,
                    uint64_t sequence, struct muster_error *ret_error)
{
    msgpack_object *items = msgpack_zone_malloc(map->zone, NOTE_ITEMS * sizeof *items);
    struct command tag;
    int code;

    if (!items)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    items[NOTE_TITLE] = keep(map, title);
    items[NOTE_TAG] = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    if (exec->options.tag) {
        if ((code = template_expand(&exec->tag, row, 1, sequence, &tag, ret_error)) != 0)
            return code;
        items[NOTE_TAG] = keep(map, tag.line);
    }
    put(map, "note", (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {NOTE_ITEMS, items}});
    return 0;
}

/* The argument of `command` for a row. */
static int make_job(struct exec *exec, const struct row *row, uint64_t sequence, msgpack_zone *zone,
                    msgpack_object *ret_argument, struct muster_error *ret_error)
{
    const struct exec_options *options = &exec->options;
    struct map map = {.zone = zone};
    struct command command;
    int code = template_expand(&exec->command, row, 1, sequence, &command, ret_error);

    if (code)
        return code;
    put_command(&map, &command);
    if ((code = put_note(exec, &map, command.line, row, sequence, ret_error)) != 0)
        return code;
    if (options->folder)
        put(&map, "dir", text(word_of(options->folder)));
    put(&map, "tmpdir", text(word_of(exec->folder.path)));
    if (options->nice)
        put(&map, "nice",
            (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = (uint64_t)options->nice});
    if (options->timeout_s > 0)
        put(&map, "timeout", (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = options->timeout_s});
    ret_argument->via.map.ptr = msgpack_zone_malloc(zone, sizeof map.pairs);
    if (map.failed || !ret_argument->via.map.ptr)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    memcpy(ret_argument->via.map.ptr, map.pairs, sizeof map.pairs);
    ret_argument->type = MSGPACK_OBJECT_MAP;
    ret_argument->via.map.size = map.count;
    return 0;
}

static int next_job(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                    struct muster_error *ret_error)
{
    struct exec *exec = context;
    struct row row;
    int code = sources_next(&exec->sources, &row, ret_error);

    return code ? code : make_job(exec, &row, ++exec->given, zone, ret_argument, ret_error);
}

/* --- from results to output */

/* One of the texts that put_note left; without bytes: there is none. */
static struct word noted(const msgpack_object *argument, enum note_item item)
{
    const msgpack_object *text = NULL;

    for (uint32_t i = 0; argument && argument->type == MSGPACK_OBJECT_MAP && i < argument->via.map.size;
         i++) {
        const msgpack_object_kv *pair = &argument->via.map.ptr[i];

        if (pair->key.type == MSGPACK_OBJECT_STR && pair->key.via.str.size == strlen("note") &&
            memcmp(pair->key.via.str.ptr, "note", strlen("note")) == 0)
            text = &pair->val.via.array.ptr[item];
    }
    if (!text || text->type != MSGPACK_OBJECT_STR)
        return (struct word){NULL, 0};
    return (struct word){text->via.str.ptr, text->via.str.size};
}

/* A command or tag with the number of the worker where it belongs, which is known only now. Valid until
 * `filled` is used again. */
static struct word fill_slot(struct word word, unsigned worker, msgpack_sbuffer *filled)
{
    const char *mark, *at = word.bytes;
    size_t left = word.size;
    char number[16];
    int size = snprintf(number, sizeof number, "%u", worker);
    bool failed = false;

    if (!at || !memmem(at, left, TEMPLATE_SLOT_MARK, SLOT_MARK_BYTES))
        return word;
    msgpack_sbuffer_clear(filled);
    while ((mark = memmem(at, left, TEMPLATE_SLOT_MARK, SLOT_MARK_BYTES)) != NULL) {
        failed |= !exec_output_gather(filled, at, (size_t)(mark - at)) ||
                  !exec_output_gather(filled, number, (size_t)size);
        left -= (size_t)(mark - at) + SLOT_MARK_BYTES;
        at = mark + SLOT_MARK_BYTES;
    }
    failed |= !exec_output_gather(filled, at, left);
    return failed ? word : (struct word){filled->data, filled->size};
}

static void name_failure(struct exec *exec, uint64_t index, struct word title, const char *why)
{
    int shown = title.size > COMMAND_SHOWN ? COMMAND_SHOWN : (int)title.size;

    if (exec->failed > FAILURE_LINES)
        return;
    progress_hide(&exec->progress);
    log_error("job 1.%" PRIu64 " (%.*s%s): %s", index, shown, title.bytes ? title.bytes : "",
              (size_t)shown < title.size ? "..." : "", why);
}

/* "exit status 3", "killed by signal 9 (Killed)" */
static void explain(const struct exec_result *result, char *reason, size_t size)
{
    if (result->timed_out)
        snprintf(reason, size, "ended after its time limit");
    else if (result->signal)
        snprintf(reason, size, "killed by signal %d (%s)", result->signal, strsignal(result->signal));
    else
        snprintf(reason, size, "exit status %d", result->exit);
}

static void count_job(struct exec *exec, int status)
{
    if (status == 0) {
        exec->succeeded++;
        return;
    }
    if (exec->failed++ == 0)
        exec->first_failure = status;
}

/* -v: the command, before what it wrote and as if it were a part of it. */
static int show_command(struct exec *exec, struct word title, struct word tag)
{
    struct exec_written line = {.size = title.size + 1};
    char *bytes = malloc(line.size);
    int code;

    if (!bytes)
        return muster_error_set(&exec->error, MUSTER_ENOMEM, "out of memory");
    memcpy(bytes, title.bytes, title.size);
    bytes[title.size] = '\n';
    line.bytes = bytes;
    code = exec_output_write(exec->out_fd, "standard output", &line, tag, &exec->error);
    free(bytes);
    return code;
}

/* Writes what a command wrote; a command that failed is named with its reason. */
static int show_result(struct exec *exec, uint64_t index, const struct exec_result *result, struct word title,
                       struct word tag)
{
    char reason[96];
    int code;

    if (exec->shares_terminal)
        progress_hide(&exec->progress);
    code = exec->options.verbose ? show_command(exec, title, tag) : 0;
    if (!code)
        code = exec_output_write(exec->out_fd, "standard output", &result->out, tag, &exec->error);
    if (!code)
        code = exec_output_write(STDERR_FILENO, "standard error", &result->err, tag, &exec->error);
    if (!code)
        code = exec_log_add(&exec->log, index, result, title, &exec->error);
    if (exec_result_status(result) != 0) {
        explain(result, reason, sizeof reason);
        name_failure(exec, index, title, reason);
    }
    return code;
}

static int check_halt(struct exec *exec)
{
    const struct exec_halt *halt = &exec->options.halt;

    if (!exec_halt_due(halt, exec->succeeded, exec->failed, sources_total(&exec->sources)))
        return 0;
    exec->halted = true;
    return halt->now ? MUSTER_ECANCELLED : MUSTER_EEND;
}

static int on_result(void *context, const struct muster_result *result)
{
    struct exec *exec = context;
    struct word title = fill_slot(noted(result->argument, NOTE_TITLE), result->worker, &exec->title);
    struct word tag = fill_slot(noted(result->argument, NOTE_TAG), result->worker, &exec->tag_text);
    struct exec_result ended;
    int code;

    if (result->code) {
        count_job(exec, STATUS_ERROR);
        name_failure(exec, result->index, title, result->text);
        return check_halt(exec);
    }
    code = exec_result_read(result->value, &ended);
    if (code)
        return muster_error_set(&exec->error, code, "job 1.%" PRIu64 ": its result is of another version",
                                result->index);
    count_job(exec, exec_result_status(&ended));
    code = show_result(exec, result->index, &ended, title, tag);
    exec_result_discard(&ended);
    return code ? code : check_halt(exec);
}

static int on_tick(void *context, const struct muster_progress *progress)
{
    struct exec *exec = context;
    struct muster_progress known = *progress;

    known.succeeded = exec->succeeded;
    known.failed = exec->failed;
    known.total = sources_total(&exec->sources);
    progress_show(&exec->progress, &known);
    return 0;
}

/* --- the run */

/* Says how it ended; returns the exit status. */
static int conclude(struct exec *exec, int code, const struct muster_error *error)
{
    const struct exec_halt *halt = &exec->options.halt;
    uint64_t total = sources_total(&exec->sources), done = exec->succeeded + exec->failed;
    char jobs[JOBS_TEXT_BYTES];

    if (exec->failed > FAILURE_LINES)
        log_error("... and %" PRIu64 " more failed", exec->failed - FAILURE_LINES);
    if (exec->failed > 0) {
        jobs_count(exec->failed, exec->halted || code ? done : total, jobs, sizeof jobs);
        log_error("%s failed", jobs);
    }
    jobs_count(done, total, jobs, sizeof jobs);
    if (exec->halted) {
        log_error("halted: %s done", jobs);
    } else if (code == MUSTER_ECANCELLED && interrupt_signal()) {
        log_error("interrupted: %s done", jobs);
        return STATUS_SIGNAL + interrupt_signal();
    } else if (code) {
        return plain_error(error);
    }
    if (exec->halted && halt->cause == HALT_FAIL && halt->count == 1)
        return exec->first_failure;
    return exec_halt_status(halt, exec->succeeded, exec->failed, total);
}

static int run(struct exec *exec, muster *m)
{
    struct muster_batch batch = {
        .function = "command",
        .source = {.kind = MUSTER_SOURCE_STREAM, .next = next_job, .context = exec, .fd = exec->sources.fd},
        .unordered = !exec->options.keep_order,
        .want_arguments = true,
        .on_result = on_result,
        .on_tick = on_tick,
        .context = exec,
        .interrupt_fd = exec->interrupt_fd,
    };
    struct muster_summary summary = {.workers = 0};
    struct muster_error error, late;
    int code = muster_map(m, &batch, &summary, &error);

    progress_hide(&exec->progress);
    if (code && code == exec->error.code)
        error = exec->error; /* a callback ended the batch, and knows why */
    summary.failed = exec->failed;
    summary.succeeded = exec->succeeded;
    if (summary.workers > 0 && stats_write(&exec->stats, MUSTER_PROCESSES, &summary, &late) && !code) {
        code = late.code;
        error = late;
    }
    return conclude(exec, code, &error);
}

/* Until there is something to read, or a reason to end. */
static int await_input(struct exec *exec, struct muster_error *ret_error)
{
    struct pollfd items[] = {{.fd = exec->interrupt_fd, .events = POLLIN},
                             {.fd = exec->sources.fd, .events = POLLIN}};

    poll(items, 2, -1);
    return items[0].revents ? muster_error_set(ret_error, MUSTER_ECANCELLED, "interrupted") : 0;
}

/* The next row, waiting for it. */
static int await_row(struct exec *exec, struct row *ret_row, struct muster_error *ret_error)
{
    int code;

    while ((code = sources_next(&exec->sources, ret_row, ret_error)) == MUSTER_EAGAIN)
        if ((code = await_input(exec, ret_error)) != 0)
            return code;
    return code;
}

/* --dry-run: the commands, a line each. */
static int print_commands(struct exec *exec)
{
    struct muster_error error;
    struct command command;
    struct word line;
    struct row row;
    int code;

    while ((code = await_row(exec, &row, &error)) == 0) {
        if ((code = template_expand(&exec->command, &row, 1, ++exec->given, &command, &error)) != 0)
            break;
        line = fill_slot(command.line, 1, &exec->title);
        if ((code = exec_output_bytes(exec->out_fd, "standard output", line.bytes, line.size, &error)) != 0 ||
            (code = exec_output_bytes(exec->out_fd, "standard output", "\n", 1, &error)) != 0)
            break;
    }
    if (code == MUSTER_ECANCELLED && interrupt_signal())
        return STATUS_SIGNAL + interrupt_signal();
    return code == MUSTER_EEND ? 0 : plain_error(&error);
}

static int open_and_run(struct exec *exec)
{
    struct exec_options *options = &exec->options;
    uint64_t total = sources_total(&exec->sources);
    struct muster_error error;
    muster *m = NULL;
    int status;

    if (total > 0 && total < options->open.workers)
        options->open.workers = (unsigned)total;
    options->open.worker_program = program_path();
    if (exec_folder_make(&exec->folder, options->temporary_folder, &error) ||
        muster_open(&options->open, &m, &error))
        return plain_error(&error);
    progress_init(&exec->progress, STDERR_FILENO, options->progress);
    exec->shares_terminal = isatty(exec->out_fd);
    status = run(exec, m);
    muster_close(m);
    return status;
}

/* The first line of the input, where it has the names that the command's words use. */
static int await_names(struct exec *exec, struct muster_error *ret_error)
{
    struct template_rules *rules = &exec->options.rules;
    int code;

    while ((code = sources_names(&exec->sources, &rules->names, &rules->name_count, ret_error)) ==
           MUSTER_EAGAIN)
        if ((code = await_input(exec, ret_error)) != 0)
            return code;
    return code;
}

/* All that can be wrong with the command line, before anything runs. */
static int prepare(struct exec *exec, struct muster_error *ret_error)
{
    const struct exec_options *options = &exec->options;
    int code = sources_init(&exec->sources, &options->sources, ret_error);
    struct template_rules tag_rules;

    if (!code)
        code = interrupt_start(&exec->interrupt_fd, ret_error);
    if (!code)
        code = await_names(exec, ret_error);
    tag_rules = options->rules;
    tag_rules.text = true;
    tag_rules.quote = false;
    if (!code)
        code = template_init(&exec->command, options->command, options->command_count, &options->rules,
                             ret_error);
    if (!code && options->tag)
        code = template_init(&exec->tag, &options->tag, 1, &tag_rules, ret_error);
    if (!code && !options->dry_run)
        code = exec_log_open(&exec->log, options->joblog, ret_error);
    if (!code)
        code = stats_open(&exec->stats, options->stats, ret_error);
    return code;
}

int verb_exec(int argc, char **argv)
{
    struct exec exec = {.stats.fd = STDERR_FILENO, .sources.fd = -1, .out_fd = STDOUT_FILENO};
    struct muster_error error;
    int status;

    if (exec_options_parse(&exec.options, argc, argv, &error))
        status = usage_error(argv[0], &error);
    else if (exec.options.help)
        status = help_print(argv[0]);
    else if (prepare(&exec, &error))
        status = interrupt_signal() ? STATUS_SIGNAL + interrupt_signal() : plain_error(&error);
    else
        status = exec.options.dry_run ? print_commands(&exec) : open_and_run(&exec);
    exec_folder_remove(&exec.folder);
    stats_close(&exec.stats);
    exec_log_close(&exec.log);
    msgpack_sbuffer_destroy(&exec.title);
    msgpack_sbuffer_destroy(&exec.tag_text);
    template_fini(&exec.tag);
    template_fini(&exec.command);
    sources_fini(&exec.sources);
    exec_options_fini(&exec.options);
    return status;
}
