/* SPDX-License-Identifier: MIT
 *
 * From results to output: what a command wrote is written again, it is logged and counted, and named when
 * it failed. See exec_run.h.
 */
#include "cli/exec_run.h"

#include "base/log.h"
#include "cli/exec_output.h"
#include "cli/output.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    COMMAND_SHOWN = 200, /* bytes of a command in messages */
    SLOT_MARK_BYTES = sizeof TEMPLATE_SLOT_MARK - 1,
};

/* One of the texts that put_note left; without bytes: there is none. */
static struct word noted(const msgpack_object *argument, enum exec_note item)
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

struct word exec_fill_slot(struct word word, unsigned worker, msgpack_sbuffer *filled)
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

    if (exec->failed > EXEC_FAILURE_LINES)
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
    code =
        exec->options.verbose && exec->options.group == EXEC_GROUP_JOBS ? show_command(exec, title, tag) : 0;
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

    if (!exec_halt_due(halt, exec->succeeded, exec->failed, exec_fill_total(&exec->fill)))
        return 0;
    exec->halted = true;
    return halt->now ? MUSTER_ECANCELLED : MUSTER_EEND;
}

int exec_on_result(void *context, const struct muster_result *result)
{
    struct exec *exec = context;
    struct word title =
        exec_fill_slot(noted(result->argument, EXEC_NOTE_TITLE), result->worker, &exec->title);
    struct word tag = exec_fill_slot(noted(result->argument, EXEC_NOTE_TAG), result->worker, &exec->tag_text);
    struct exec_result ended;
    int code = exec->live.fd < 0 ? 0 : exec_live_end(&exec->live, result->index, &exec->error);

    if (code)
        return code;
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
