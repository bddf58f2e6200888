/* SPDX-License-Identifier: MIT
 *
 * What each option of `muster exec` does. GNU parallel's other spellings are beside its own. See
 * exec_option.h.
 */
#include "cli/exec_option.h"

#include "base/sandbox.h"
#include "cli/escapes.h"
#include "cli/exec_absent.h"
#include "cli/exec_values.h"
#include "cli/quantity.h"

#include <stdlib.h>
#include <string.h>

static int take_null(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    o->sources.delimiter = (struct word){"", 1};
    return 0;
}

static int take_file(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)ret_error;
    o->source_list[o->sources.source_count++] = (struct source_spec){.path = text};
    return 0;
}

/* Escapes stand in a copy, which the options own. */
static int take_delimiter(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    char *bytes = malloc(strlen(text) + 1);

    if (!bytes)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    free(o->delimiter);
    o->delimiter = bytes;
    o->sources.delimiter = (struct word){bytes, escapes_read(text, bytes)};
    if (o->sources.delimiter.size == 0)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a delimiter is expected, of a byte at least");
    return 0;
}

/* NULL: none any more. */
static int take_end(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)ret_error;
    o->sources.end = text;
    return 0;
}

/* NULL: {} again. */
static int take_replacement(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)ret_error;
    o->rules.all = text;
    return 0;
}

static int take_jobs(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_value_jobs(text, &o->open.workers, ret_error);
}

static int take_no_keep_order(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    o->keep_order = false;
    return 0;
}

static int take_sandbox(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return sandbox_parse(text, &o->limits.sandbox, ret_error);
}

static int take_max_args(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    if (strcmp(text, "0") == 0) {
        o->sources.no_args = true;
        return 0;
    }
    return exec_value_count(text, &o->fill.max_args, ret_error);
}

static int take_max_replace_args(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    o->fill.numbered = true;
    return take_max_args(o, text, ret_error);
}

static int take_max_lines(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    o->sources.continued = o->fill.lines = true;
    if (strcmp(text, "0") == 0) {
        o->sources.no_args = true;
        return 0;
    }
    return exec_value_count(text, &o->fill.max_lines, ret_error);
}

static int take_max_lines_old(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return take_max_lines(o, text && strcmp(text, "0") != 0 ? text : "1", ret_error);
}

static int take_max_chars(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_value_count(text, &o->fill.max_bytes, ret_error);
}

static int take_output(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    o->records = strcmp(text, "json") == 0;
    if (o->records || strcmp(text, "text") == 0)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID, "text or json is expected");
}

static int want_group(struct exec_options *o, enum exec_group group, struct muster_error *ret_error)
{
    o->group = group;
    o->groups_given |= 1U << group;
    if (o->groups_given == 1U << group)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "one of --group, --line-buffer and --ungroup is enough");
}

static int take_group(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    return want_group(o, EXEC_GROUP_JOBS, ret_error);
}

static int take_line_buffer(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    return want_group(o, EXEC_GROUP_LINES, ret_error);
}

static int take_ungroup(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    return want_group(o, EXEC_GROUP_NOTHING, ret_error);
}

/* What is so anyway. */
static int take_nothing(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    (void)o;
    return 0;
}

static int take_variable(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)ret_error;
    o->variables[o->variable_count++] = text;
    return 0;
}

static int take_separator(const char *text, const char **ret_separator, struct muster_error *ret_error)
{
    if (!*text)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a word is expected");
    *ret_separator = text;
    return 0;
}

static int take_word_separator(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return take_separator(text, &o->word_separator, ret_error);
}

static int take_file_separator(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return take_separator(text, &o->file_separator, ret_error);
}

static int take_progress(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    o->progress = PROGRESS_ALWAYS;
    return 0;
}

static int take_eta(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    o->sources.read_all = true;
    return take_progress(o, text, ret_error);
}

static int take_bar(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    o->bar = true;
    return take_eta(o, text, ret_error);
}

static int take_no_progress(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    o->progress = PROGRESS_NEVER;
    return 0;
}

static int take_block(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return text[0] == '-' ? exec_value_count(text + 1, &o->pipe.slot_parts, ret_error)
                          : exec_value_size(text, &o->pipe.blocks.block_bytes, ret_error);
}

static int take_halt(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_halt_parse(text, &o->halt, ret_error);
}

static int take_joblog(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)ret_error;
    o->joblog_append = text[0] == '+';
    o->joblog = text + o->joblog_append;
    return 0;
}

static int take_delay(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_value_delay(text, &o->pace.delay_s, ret_error);
}

static int take_away(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    double seconds;
    int code = exec_value_delay(text, &seconds, ret_error);

    if (!code)
        o->open.away_s = seconds > 0 ? seconds : -1;
    return code;
}

/* GNU parallel's, of which the one after it would else be the long form. */
static int refuse_wait(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)o;
    (void)text;
    return muster_error_set(ret_error, MUSTER_EINVALID, "%s", exec_absent_reason("--wait"));
}

static int take_load(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_value_load(text, &o->pace.load, ret_error);
}

static int take_memfree(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_value_size(text, &o->pace.memfree_bytes, ret_error);
}

static int take_memsuspend(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_value_size(text, &o->pace.memsuspend_bytes, ret_error);
}

static int take_cpu_time(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_limits_cpu_time(text, &o->limits, ret_error);
}

static int take_file_size(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return quantity_size(text, &o->limits.file_bytes, ret_error);
}

static int take_memory(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_limits_memory(text, &o->limits, ret_error);
}

static int take_open_files(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_limits_open_files(text, &o->limits, ret_error);
}

static int take_nice(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_value_nice(text, &o->nice, ret_error);
}

static int take_pipe(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    return exec_pipe_want(&o->pipe, false, false);
}

static int take_pipe_as_file(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    return exec_pipe_want(&o->pipe, true, false);
}

static int take_pipe_parts(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    return exec_pipe_want(&o->pipe, false, true);
}

/* The one that goes further. */
static int want_resume(struct exec_options *o, enum exec_resume_mode mode)
{
    o->resume = mode > o->resume ? mode : o->resume;
    return 0;
}

static int take_resume(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    return want_resume(o, EXEC_RESUME);
}

static int take_resume_failed(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    return want_resume(o, EXEC_RESUME_FAILED);
}

static int take_retry_failed(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    return want_resume(o, EXEC_RETRY_FAILED);
}

static int take_retries(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return quantity_integer(text, 0, UINT32_MAX, &o->tries, ret_error);
}

static int take_backoff(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return quantity_duration(text, COMMAND_BACKOFF_MAX_S, &o->backoff_s, ret_error);
}

static int take_shell_quote(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    o->quotes++;
    o->dry_run = true;
    return 0;
}

static int take_tag(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    (void)text;
    (void)ret_error;
    o->tag = "{}";
    return 0;
}

static int take_termseq(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    o->has_termseq = true;
    return exec_termseq_parse(text, &o->termseq, ret_error);
}

static int take_timeout(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return exec_value_timeout(text, &o->timeout_s, &o->pace.timeout_percent, ret_error);
}

static int take_trim(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return sources_trim_read(text, &o->sources.trim, ret_error);
}

static int take_name(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return terms_take_name(&o->terms, text, ret_error);
}

static int take_after(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return terms_take_after(&o->terms, text, ret_error);
}

static int take_begin(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return terms_take_begin(&o->terms, text, ret_error);
}

static int take_priority(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    return terms_take_priority(&o->terms, text, ret_error);
}

static int take_cpus(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    uint64_t cpus;
    int code = quantity_integer(text, 1, PROTO_WORKERS_MAX, &cpus, ret_error);

    if (code == 0)
        o->terms.cpus = (unsigned)cpus;
    return code;
}

#define FLAG(field)      OPTION_FLAG, offsetof(struct exec_options, field), NULL
#define TEXT(field)      OPTION_TEXT, offsetof(struct exec_options, field), NULL
#define TAKE(kind, take) kind, 0, take

const struct exec_option exec_option_table[] = {
    {"after", TAKE(OPTION_VALUE, take_after)},
    {"a arg-file", TAKE(OPTION_VALUE, take_file)},
    {"arg-file-sep argfilesep", TAKE(OPTION_VALUE, take_file_separator)},
    {"arg-sep argsep", TAKE(OPTION_VALUE, take_word_separator)},
    {"backoff", TAKE(OPTION_VALUE, take_backoff)},
    {"bar", TAKE(OPTION_ALONE, take_bar)},
    {"basenameextensionreplace bner", TEXT(rules.basename_no_extension)},
    {"basenamereplace bnr", TEXT(rules.basename)},
    {"begin", TAKE(OPTION_VALUE, take_begin)},
    {"block block-size", TAKE(OPTION_VALUE, take_block)},
    {"cat fifo", TAKE(OPTION_ALONE, take_pipe_as_file)},
    {"cpus", TAKE(OPTION_VALUE, take_cpus)},
    {"C colsep", TEXT(sources.colsep)},
    {"coordinator", TEXT(open.coordinator)},
    {"cpu-time", TAKE(OPTION_VALUE, take_cpu_time)},
    {"delay", TAKE(OPTION_VALUE, take_delay)},
    {"d delimiter", TAKE(OPTION_VALUE, take_delimiter)},
    {"detach", FLAG(detach)},
    {"dirnamereplace dnr", TEXT(rules.dirname)},
    {"dry-run dryrun", FLAG(dry_run)},
    {"E", TEXT(sources.end)},
    {"env", TAKE(OPTION_VALUE, take_variable)},
    {"e eof", TAKE(OPTION_PERHAPS_WORD, take_end)},
    {"eta", TAKE(OPTION_ALONE, take_eta)},
    {"exit x", FLAG(fill.exact)},
    {"extensionreplace er", TEXT(rules.no_extension)},
    {"files output-as-files outputasfiles", FLAG(files)},
    {"file-size", TAKE(OPTION_VALUE, take_file_size)},
    {"gnu no-notice nonotice plain silent will-cite", TAKE(OPTION_ALONE, take_nothing)},
    {"group", TAKE(OPTION_ALONE, take_group)},
    {"halt halt-on-error", TAKE(OPTION_VALUE, take_halt)},
    {"header", TEXT(sources.header)},
    {"help h", FLAG(help)},
    {"I", TEXT(rules.all)},
    {"interactive p", FLAG(ask)},
    {"joblog jl", TAKE(OPTION_VALUE, take_joblog)},
    {"j jobs max-procs P workers", TAKE(OPTION_VALUE, take_jobs)},
    {"k keep-order keeporder", FLAG(keep_order)},
    {"L", TAKE(OPTION_VALUE, take_max_lines)},
    {"line-buffer lb line-buffered linebuffer linebuffered", TAKE(OPTION_ALONE, take_line_buffer)},
    {"link xapply", FLAG(sources.link)},
    {"load", TAKE(OPTION_VALUE, take_load)},
    {"m", FLAG(fill.all)},
    {"n max-args", TAKE(OPTION_VALUE, take_max_args)},
    {"s max-chars", TAKE(OPTION_VALUE, take_max_chars)},
    {"max-line-length-allowed", FLAG(line_length)},
    {"l max-lines", TAKE(OPTION_PERHAPS_NUMBER, take_max_lines_old)},
    {"N max-replace-args", TAKE(OPTION_VALUE, take_max_replace_args)},
    {"memfree", TAKE(OPTION_VALUE, take_memfree)},
    {"memory", TAKE(OPTION_VALUE, take_memory)},
    {"memsuspend", TAKE(OPTION_VALUE, take_memsuspend)},
    {"name", TAKE(OPTION_VALUE, take_name)},
    {"nice", TAKE(OPTION_VALUE, take_nice)},
    {"no-keep-order", TAKE(OPTION_ALONE, take_no_keep_order)},
    {"no-progress", TAKE(OPTION_ALONE, take_no_progress)},
    {"r no-run-if-empty", FLAG(sources.skip_blank)},
    {"noswap", FLAG(pace.noswap)},
    {"0 null", TAKE(OPTION_ALONE, take_null)},
    {"open-files", TAKE(OPTION_VALUE, take_open_files)},
    {"o output", TAKE(OPTION_VALUE, take_output)},
    {"pipe spreadstdin", TAKE(OPTION_ALONE, take_pipe)},
    {"pipepart pipe-part", TAKE(OPTION_ALONE, take_pipe_parts)},
    {"plus", FLAG(rules.plus)},
    {"privileges", FLAG(limits.privileges)},
    {"priority", TAKE(OPTION_VALUE, take_priority)},
    {"progress", TAKE(OPTION_ALONE, take_progress)},
    {"q quote", FLAG(rules.quote)},
    {"recend", TEXT(pipe.blocks.separator.end)},
    {"recstart", TEXT(pipe.blocks.separator.start)},
    {"regexp", FLAG(pipe.blocks.separator.regexp)},
    {"i replace", TAKE(OPTION_PERHAPS_WORD, take_replacement)},
    {"results res result", TEXT(results)},
    {"resume", TAKE(OPTION_ALONE, take_resume)},
    {"resume-failed resumefailed", TAKE(OPTION_ALONE, take_resume_failed)},
    {"retries", TAKE(OPTION_VALUE, take_retries)},
    {"retry-failed retryfailed", TAKE(OPTION_ALONE, take_retry_failed)},
    {"rrs remove-rec-sep removerecsep", FLAG(pipe.blocks.remove)},
    {"sandbox", TAKE(OPTION_PERHAPS, take_sandbox)},
    {"seqreplace", TEXT(rules.sequence)},
    {"shell-quote shellquote", TAKE(OPTION_ALONE, take_shell_quote)},
    {"shuf", FLAG(sources.shuffle)},
    {"skip-first-line", FLAG(sources.skip_first)},
    {"slotreplace", TEXT(rules.slot)},
    {"stats", TEXT(stats)},
    {"tag", TAKE(OPTION_ALONE, take_tag)},
    {"tagstring", TEXT(tag)},
    {"termseq term-seq", TAKE(OPTION_VALUE, take_termseq)},
    {"timeout", TAKE(OPTION_VALUE, take_timeout)},
    {"tmpdir", TEXT(temporary_folder)},
    {"trim", TAKE(OPTION_VALUE, take_trim)},
    {"u ungroup", TAKE(OPTION_ALONE, take_ungroup)},
    {"v", FLAG(verbose)},
    {"t verbose", FLAG(trace)},
    {"wait", TAKE(OPTION_ALONE, refuse_wait)},
    {"wait-coordinator", TAKE(OPTION_VALUE, take_away)},
    {"wd workdir", TEXT(folder)},
    {"X", FLAG(fill.words)},
    {"xargs", FLAG(fill.xargs)},
    {NULL, TAKE(OPTION_ALONE, NULL)},
};
