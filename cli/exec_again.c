/* SPDX-License-Identifier: MIT
 *
 * From run to run. See exec_again.h.
 */
#include "cli/exec_again.h"

#include "base/controls.h"
#include "base/log.h"
#include "cli/exec_run.h"

#include <stddef.h>
#include <string.h>

enum { ADVICE_BYTES = 900 /* of a command line in a message, which 1023 bytes fit in */ };

/* --- options */

static int check_results(const struct exec_options *options, struct muster_error *ret_error)
{
    enum exec_table_kind kind;

    if (!options->results)
        return 0;
    if (!*options->results)
        return muster_error_set(ret_error, MUSTER_EINVALID, "--results: a name is expected");
    if (options->resume == EXEC_RETRY_FAILED)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "--retry-failed knows no arguments to name results by: use --resume-failed");
    if (!exec_table_kind_of(options->results, &kind))
        return 0;
    if (options->records && exec_table_is_output(options->results))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "--results %s and -o json are both on standard output", options->results);
    if (options->resume == EXEC_RESUME && !options->joblog)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "--resume needs the --joblog of the run before: %s does not tell what is done", options->results);
    return 0;
}

/* How the mode is asked for. */
static const char *resume_option(enum exec_resume_mode mode)
{
    return mode == EXEC_RESUME          ? "--resume"
           : mode == EXEC_RESUME_FAILED ? "--resume-failed"
                                        : "--retry-failed";
}

static int check_resume(const struct exec_options *options, struct muster_error *ret_error)
{
    bool by_files = options->resume == EXEC_RESUME && options->results;

    if (options->resume == EXEC_RESUME_NONE)
        return 0;
    if (!options->joblog && !by_files)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s needs the --joblog of the run before",
                                resume_option(options->resume));
    if (options->joblog && options->sources.shuffle && options->resume != EXEC_RETRY_FAILED)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%s: --shuf gives jobs other numbers than the log has: use --retry-failed",
                                resume_option(options->resume));
    return 0;
}

int exec_again_check(struct exec_options *options, struct muster_error *ret_error)
{
    int code = check_results(options, ret_error);

    if (!code)
        code = check_resume(options, ret_error);
    if (code || options->resume != EXEC_RETRY_FAILED)
        return code;
    options->source_list[0] = (struct source_spec){.words = (const char *const *)options->words};
    options->sources = (struct sources_spec){.sources = options->source_list, .source_count = 1};
    options->rules = (struct template_rules){.all = NULL};
    options->command_count = 0;
    return 0;
}

/* --- the run */

static int open_store(struct exec *exec, struct muster_error *ret_error)
{
    const struct exec_options *options = &exec->options;
    struct exec_store_spec spec = {
        .name = options->results,
        .names = options->rules.names,
        .name_count = options->rules.name_count,
        .values_each = options->sources.colsep         ? 0
                       : options->sources.source_count ? options->sources.source_count
                                                       : 1,
        .goes_on = options->resume != EXEC_RESUME_NONE,
        .look_only = options->dry_run,
        .confined = options->limits.sandbox != 0,
    };

    return exec_store_open(&exec->store, &spec, &options->rules, ret_error);
}

int exec_again_open(struct exec *exec, struct muster_error *ret_error)
{
    const struct exec_options *options = &exec->options;
    bool goes_on = options->resume != EXEC_RESUME_NONE || options->joblog_append;
    int code = 0;

    if (options->joblog && goes_on)
        code = exec_resume_read(&exec->resume, options->resume, options->joblog, ret_error);
    if (!code && !options->dry_run)
        code = exec_log_open(&exec->log, options->joblog, !options->joblog_append,
                             goes_on ? exec->resume.bytes : EXEC_APPEND_ANY, exec->resume.whole_bytes,
                             ret_error);
    if (!code)
        code = open_store(exec, ret_error);
    return code;
}

/* Whether a job is left out, since it has been done. */
static int is_done(struct exec *exec, const struct row *row, uint64_t sequence, bool *ret_done,
                   struct muster_error *ret_error)
{
    static const struct row none = {.count = 0};
    const struct exec_options *options = &exec->options;
    struct command command;
    struct word place;
    int code;

    *ret_done = false;
    if (options->resume == EXEC_RESUME_NONE)
        return 0;
    if (options->joblog) {
        if (!exec_resume_knows(&exec->resume, sequence))
            return 0;
        code = template_expand(&exec->command, row, 1, sequence, &command, ret_error);
        return code ? code : exec_resume_done(&exec->resume, command.line, ret_done, ret_error);
    }
    code = exec_store_place(&exec->store, exec->pipe.open ? &none : row, exec->fill.handed, sequence, &place,
                            ret_error);
    if (!code)
        *ret_done = exec_store_has(&exec->store, place);
    return code;
}

/* A command of the log is the one argument of a job without another command. */
static int next_of_log(struct exec *exec, struct row *ret_row, uint64_t *ret_sequence,
                       struct muster_error *ret_error)
{
    int code = exec_resume_next(&exec->resume, ret_sequence, &exec->logged, ret_error);

    if (!code)
        *ret_row = (struct row){.args = &exec->logged, .count = 1};
    return code;
}

int exec_again_next(struct exec *exec, struct row *ret_row, uint64_t *ret_sequence,
                    struct muster_error *ret_error)
{
    bool done = true;
    int code;

    if (exec->options.resume == EXEC_RETRY_FAILED)
        return next_of_log(exec, ret_row, ret_sequence, ret_error);
    for (;;) {
        code = exec_next_row(exec, ret_row, ret_error);
        if (!code)
            code = is_done(exec, ret_row, ++exec->given, &done, ret_error);
        if (code || !done)
            break;
        exec->skipped++;
    }
    if (!code)
        *ret_sequence = exec->given;
    return code;
}

uint64_t exec_again_total(const struct exec *exec)
{
    uint64_t total = exec_fill_total(&exec->fill);

    if (exec->options.resume == EXEC_RETRY_FAILED)
        return exec->resume.failed;
    return total > exec->skipped ? total - exec->skipped : 0;
}

/* --- advice */

static void add_word(struct shell_line *line, const char *word)
{
    shell_line_add(line, " ", 1);
    if (word[strspn(word, ":+")] == '\0' && word[0]) /* a separator of sources */
        shell_line_add(line, word, strlen(word));
    else
        shell_line_quote(line, word, strlen(word));
}

/* The command line of this run, with `option` before the rest where it is not there. Whether it is short, and
 * a line. */
static bool make_line(const struct exec_options *options, const char *option, bool has_option,
                      struct shell_line *line)
{
    static const char verb[] = "muster exec";
    const char *const *words = (const char *const *)options->words;
    ptrdiff_t of_options = options->command - words;

    shell_line_add(line, verb, sizeof verb - 1);
    if (!has_option)
        add_word(line, option);
    for (int i = 1; i < options->word_count; i++)
        if (has_option || i >= of_options || strcmp(words[i], "--resume") != 0)
            add_word(line, words[i]);
    return !line->failed && line->size <= ADVICE_BYTES && !controls_in(line->bytes, line->size);
}

void exec_again_advise(const struct exec *exec, bool unfinished)
{
    const struct exec_options *options = &exec->options;
    bool failed = exec->failed > 0;
    bool by_command = options->sources.shuffle; /* numbers would be of other jobs */
    enum exec_resume_mode mode = by_command ? EXEC_RETRY_FAILED : failed ? EXEC_RESUME_FAILED : EXEC_RESUME;
    const char *option = resume_option(mode);
    const char *what = failed && unfinished && !by_command ? "what failed and what has not run"
                       : failed                            ? "just what failed"
                                                           : "what has not run";
    const char *input = options->sources.source_count || by_command ? "" : ", with the same input";
    struct shell_line line = {.escaped = shell_escaped()};
    uint64_t bytes;

    if (!failed && (!unfinished || by_command))
        return;
    if (!options->joblog)
        log_error("with --joblog FILE, %s could be run again by %s", what, option);
    else if (!exec_append_regular(&exec->log.file, &bytes))
        return;
    else if (make_line(options, option, options->resume >= mode, &line))
        log_error("to run %s%s: %.*s", what, input, (int)line.size, line.bytes);
    else
        log_error("to run %s%s: the same command line with %s", what, input, option);
    shell_line_fini(&line);
}

void exec_again_close(struct exec *exec)
{
    exec_store_close(&exec->store);
    exec_log_close(&exec->log);
    exec_resume_fini(&exec->resume);
}
