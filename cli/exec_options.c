/* SPDX-License-Identifier: MIT
 *
 * From the words of `muster exec` to options, a command and its sources. See exec_options.h.
 */
#include "cli/exec_options.h"

#include "cli/escapes.h"
#include "cli/exec_absent.h"
#include "cli/exec_again.h"
#include "cli/exec_values.h"
#include "cli/exec_words.h"
#include "cli/quantity.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
    OPTION_HELP = 'h',
    OPTION_NULL = '0',
    OPTION_FILE = 'a',
    OPTION_COLSEP = 'C',
    OPTION_DELIMITER = 'd',
    OPTION_END = 'E',
    OPTION_REPLACE = 'I',
    OPTION_JOBS = 'j',
    OPTION_JOBS_TOO = 'P',
    OPTION_KEEP_ORDER = 'k',
    OPTION_MAX_LINES = 'L',
    OPTION_MAX_ARGS = 'n',
    OPTION_MAX_REPLACE_ARGS = 'N',
    OPTION_OUTPUT = 'o',
    OPTION_QUOTE = 'q',
    OPTION_NO_RUN_IF_EMPTY = 'r',
    OPTION_MAX_CHARS = 's',
    OPTION_TRACE = 't',
    OPTION_UNGROUP = 'u',
    OPTION_VERBOSE = 'v',
    OPTION_EXIT = 'x',
    OPTION_MANY = 'm',
    OPTION_MANY_WORDS = 'X',
    OPTION_END_OLD = 'e',
    OPTION_REPLACE_OLD = 'i',
    OPTION_MAX_LINES_OLD = 'l',
    OPTION_PROFILE = 'J',
    OPTION_INTERACTIVE = 'p',
    OPTION_BASENAME = 256, /* from here on there is no letter */
    OPTION_BASENAME_BARE,
    OPTION_ARG_FILE_SEPARATOR,
    OPTION_ARG_SEPARATOR,
    OPTION_BAR,
    OPTION_CPU_TIME,
    OPTION_BLOCK,
    OPTION_DELAY,
    OPTION_DIRNAME,
    OPTION_DRY_RUN,
    OPTION_ENVIRONMENT,
    OPTION_ETA,
    OPTION_EXTENSION,
    OPTION_FILE_SIZE,
    OPTION_GROUP,
    OPTION_HALT,
    OPTION_HEADER,
    OPTION_IGNORED,
    OPTION_JOBLOG,
    OPTION_LINE_BUFFER,
    OPTION_LINE_LENGTH,
    OPTION_LINK,
    OPTION_LOAD,
    OPTION_MEMFREE,
    OPTION_MEMORY,
    OPTION_MEMSUSPEND,
    OPTION_NICE,
    OPTION_NO_KEEP_ORDER,
    OPTION_NO_PROGRESS,
    OPTION_NO_SWAP,
    OPTION_OPEN_FILES,
    OPTION_PIPE,
    OPTION_PIPE_AS_FILE,
    OPTION_PIPE_PARTS,
    OPTION_PIPE_SHARED,
    OPTION_PLAIN,
    OPTION_PLUS,
    OPTION_PRIVILEGES,
    OPTION_PROGRESS,
    OPTION_RECORD_END,
    OPTION_RECORD_START,
    OPTION_REGEXP,
    OPTION_RESULTS,
    OPTION_RESUME,
    OPTION_RESUME_FAILED,
    OPTION_REMOVE_SEPARATORS,
    OPTION_RETRIES,
    OPTION_RETRY_FAILED,
    OPTION_SEQUENCE,
    OPTION_SHELL_QUOTE,
    OPTION_SHUF,
    OPTION_SKIP_FIRST,
    OPTION_SLOT,
    OPTION_STATS,
    OPTION_TAG,
    OPTION_TAG_STRING,
    OPTION_TEMPORARY,
    OPTION_TERMSEQ,
    OPTION_TIMEOUT,
    OPTION_TRIM,
    OPTION_WORK_FOLDER,
    OPTION_XARGS,
};

/* With GNU parallel's other spellings. */
static const struct option names[] = {
    {"arg-file", required_argument, NULL, OPTION_FILE},
    {"arg-file-sep", required_argument, NULL, OPTION_ARG_FILE_SEPARATOR},
    {"arg-sep", required_argument, NULL, OPTION_ARG_SEPARATOR},
    {"argfilesep", required_argument, NULL, OPTION_ARG_FILE_SEPARATOR},
    {"argsep", required_argument, NULL, OPTION_ARG_SEPARATOR},
    {"bar", no_argument, NULL, OPTION_BAR},
    {"basenameextensionreplace", required_argument, NULL, OPTION_BASENAME_BARE},
    {"basenamereplace", required_argument, NULL, OPTION_BASENAME},
    {"block", required_argument, NULL, OPTION_BLOCK},
    {"block-size", required_argument, NULL, OPTION_BLOCK},
    {"bner", required_argument, NULL, OPTION_BASENAME_BARE},
    {"bnr", required_argument, NULL, OPTION_BASENAME},
    {"cat", no_argument, NULL, OPTION_PIPE_AS_FILE},
    {"colsep", required_argument, NULL, OPTION_COLSEP},
    {"cpu-time", required_argument, NULL, OPTION_CPU_TIME},
    {"delay", required_argument, NULL, OPTION_DELAY},
    {"delimiter", required_argument, NULL, OPTION_DELIMITER},
    {"dirnamereplace", required_argument, NULL, OPTION_DIRNAME},
    {"dnr", required_argument, NULL, OPTION_DIRNAME},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"dryrun", no_argument, NULL, OPTION_DRY_RUN},
    {"env", required_argument, NULL, OPTION_ENVIRONMENT},
    {"eof", optional_argument, NULL, OPTION_END_OLD},
    {"er", required_argument, NULL, OPTION_EXTENSION},
    {"eta", no_argument, NULL, OPTION_ETA},
    {"exit", no_argument, NULL, OPTION_EXIT},
    {"extensionreplace", required_argument, NULL, OPTION_EXTENSION},
    {"file-size", required_argument, NULL, OPTION_FILE_SIZE},
    {"fifo", no_argument, NULL, OPTION_PIPE_AS_FILE},
    {"gnu", no_argument, NULL, OPTION_IGNORED},
    {"group", no_argument, NULL, OPTION_GROUP},
    {"halt", required_argument, NULL, OPTION_HALT},
    {"halt-on-error", required_argument, NULL, OPTION_HALT},
    {"header", required_argument, NULL, OPTION_HEADER},
    {"help", no_argument, NULL, OPTION_HELP},
    {"interactive", no_argument, NULL, OPTION_INTERACTIVE},
    {"jl", required_argument, NULL, OPTION_JOBLOG},
    {"joblog", required_argument, NULL, OPTION_JOBLOG},
    {"jobs", required_argument, NULL, OPTION_JOBS},
    {"keep-order", no_argument, NULL, OPTION_KEEP_ORDER},
    {"keeporder", no_argument, NULL, OPTION_KEEP_ORDER},
    {"lb", no_argument, NULL, OPTION_LINE_BUFFER},
    {"line-buffer", no_argument, NULL, OPTION_LINE_BUFFER},
    {"line-buffered", no_argument, NULL, OPTION_LINE_BUFFER},
    {"linebuffer", no_argument, NULL, OPTION_LINE_BUFFER},
    {"linebuffered", no_argument, NULL, OPTION_LINE_BUFFER},
    {"link", no_argument, NULL, OPTION_LINK},
    {"load", required_argument, NULL, OPTION_LOAD},
    {"max-args", required_argument, NULL, OPTION_MAX_ARGS},
    {"max-chars", required_argument, NULL, OPTION_MAX_CHARS},
    {"max-line-length-allowed", no_argument, NULL, OPTION_LINE_LENGTH},
    {"max-lines", optional_argument, NULL, OPTION_MAX_LINES_OLD},
    {"max-procs", required_argument, NULL, OPTION_JOBS},
    {"max-replace-args", required_argument, NULL, OPTION_MAX_REPLACE_ARGS},
    {"memfree", required_argument, NULL, OPTION_MEMFREE},
    {"memory", required_argument, NULL, OPTION_MEMORY},
    {"memsuspend", required_argument, NULL, OPTION_MEMSUSPEND},
    {"nice", required_argument, NULL, OPTION_NICE},
    {"no-keep-order", no_argument, NULL, OPTION_NO_KEEP_ORDER},
    {"no-notice", no_argument, NULL, OPTION_IGNORED},
    {"no-progress", no_argument, NULL, OPTION_NO_PROGRESS},
    {"no-run-if-empty", no_argument, NULL, OPTION_NO_RUN_IF_EMPTY},
    {"nonotice", no_argument, NULL, OPTION_IGNORED},
    {"noswap", no_argument, NULL, OPTION_NO_SWAP},
    {"null", no_argument, NULL, OPTION_NULL},
    {"open-files", required_argument, NULL, OPTION_OPEN_FILES},
    {"pipe", no_argument, NULL, OPTION_PIPE},
    {"pipe-part", no_argument, NULL, OPTION_PIPE_PARTS},
    {"pipepart", no_argument, NULL, OPTION_PIPE_PARTS},
    {"plain", no_argument, NULL, OPTION_PLAIN},
    {"output", required_argument, NULL, OPTION_OUTPUT},
    {"plus", no_argument, NULL, OPTION_PLUS},
    {"privileges", no_argument, NULL, OPTION_PRIVILEGES},
    {"profile", required_argument, NULL, OPTION_PROFILE},
    {"progress", no_argument, NULL, OPTION_PROGRESS},
    {"quote", no_argument, NULL, OPTION_QUOTE},
    {"recend", required_argument, NULL, OPTION_RECORD_END},
    {"recstart", required_argument, NULL, OPTION_RECORD_START},
    {"regexp", no_argument, NULL, OPTION_REGEXP},
    {"remove-rec-sep", no_argument, NULL, OPTION_REMOVE_SEPARATORS},
    {"removerecsep", no_argument, NULL, OPTION_REMOVE_SEPARATORS},
    {"replace", optional_argument, NULL, OPTION_REPLACE_OLD},
    {"res", required_argument, NULL, OPTION_RESULTS},
    {"result", required_argument, NULL, OPTION_RESULTS},
    {"results", required_argument, NULL, OPTION_RESULTS},
    {"resume", no_argument, NULL, OPTION_RESUME},
    {"resume-failed", no_argument, NULL, OPTION_RESUME_FAILED},
    {"resumefailed", no_argument, NULL, OPTION_RESUME_FAILED},
    {"retries", required_argument, NULL, OPTION_RETRIES},
    {"retry-failed", no_argument, NULL, OPTION_RETRY_FAILED},
    {"retryfailed", no_argument, NULL, OPTION_RETRY_FAILED},
    {"round", no_argument, NULL, OPTION_PIPE_SHARED},
    {"round-robin", no_argument, NULL, OPTION_PIPE_SHARED},
    {"roundrobin", no_argument, NULL, OPTION_PIPE_SHARED},
    {"rrs", no_argument, NULL, OPTION_REMOVE_SEPARATORS},
    {"seqreplace", required_argument, NULL, OPTION_SEQUENCE},
    {"shell-quote", no_argument, NULL, OPTION_SHELL_QUOTE},
    {"shellquote", no_argument, NULL, OPTION_SHELL_QUOTE},
    {"shuf", no_argument, NULL, OPTION_SHUF},
    {"silent", no_argument, NULL, OPTION_IGNORED},
    {"skip-first-line", no_argument, NULL, OPTION_SKIP_FIRST},
    {"slotreplace", required_argument, NULL, OPTION_SLOT},
    {"spreadstdin", no_argument, NULL, OPTION_PIPE},
    {"stats", required_argument, NULL, OPTION_STATS},
    {"tag", no_argument, NULL, OPTION_TAG},
    {"tagstring", required_argument, NULL, OPTION_TAG_STRING},
    {"term-seq", required_argument, NULL, OPTION_TERMSEQ},
    {"tee", no_argument, NULL, OPTION_PIPE_SHARED},
    {"termseq", required_argument, NULL, OPTION_TERMSEQ},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"tmpdir", required_argument, NULL, OPTION_TEMPORARY},
    {"trim", required_argument, NULL, OPTION_TRIM},
    {"ungroup", no_argument, NULL, OPTION_UNGROUP},
    {"verbose", no_argument, NULL, OPTION_TRACE},
    {"wd", required_argument, NULL, OPTION_WORK_FOLDER},
    {"will-cite", no_argument, NULL, OPTION_IGNORED},
    {"workdir", required_argument, NULL, OPTION_WORK_FOLDER},
    {"workers", required_argument, NULL, OPTION_JOBS},
    {"xapply", no_argument, NULL, OPTION_LINK},
    {"xargs", no_argument, NULL, OPTION_XARGS},
    {NULL, 0, NULL, 0},
};

/* GNU parallel wants options before the command, hence '+'; and tells a missing value, hence ':'. */
static const char letters[] = "+:h0a:C:d:e::E:i::I:j:J:P:kl::L:mn:N:o:pqrs:tuvxX";

/* --- values */

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

static int take_file(struct exec_options *o, const char *path)
{
    o->source_list[o->sources.source_count++] = (struct source_spec){.path = path};
    return 0;
}

/* --- options */

static int take_count_of_args(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    if (strcmp(text, "0") == 0) {
        o->sources.no_args = true;
        return 0;
    }
    return exec_value_count(text, &o->fill.max_args, ret_error);
}

/* -L, and -l, where 0 is 1. */
static int take_count_of_lines(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    o->sources.continued = o->fill.lines = true;
    if (strcmp(text, "0") == 0) {
        o->sources.no_args = true;
        return 0;
    }
    return exec_value_count(text, &o->fill.max_lines, ret_error);
}

static int take_separator(const char *text, const char **ret_separator, struct muster_error *ret_error)
{
    if (!*text)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a word is expected");
    *ret_separator = text;
    return 0;
}

static int take_group(struct exec_options *o, enum exec_group group, struct muster_error *ret_error)
{
    o->group = group;
    o->groups_given |= 1U << group;
    if (o->groups_given == 1U << group)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "one of --group, --line-buffer and --ungroup is enough");
}

/* The one that goes further. */
static int take_resume(struct exec_options *o, enum exec_resume_mode mode)
{
    o->resume = mode > o->resume ? mode : o->resume;
    return 0;
}

static int take_output(struct exec_options *o, const char *text, struct muster_error *ret_error)
{
    o->records = strcmp(text, "json") == 0;
    if (o->records || strcmp(text, "text") == 0)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID, "text or json is expected");
}

/* One option. On failure *ret_error says what was expected. */
static int take(struct exec_options *o, enum option_id id, const char *text, struct muster_error *ret_error)
{
    switch (id) {
    case OPTION_HELP:
        o->help = true;
        return 0;
    case OPTION_NULL:
        o->sources.delimiter = (struct word){"", 1};
        return 0;
    case OPTION_FILE:
        return take_file(o, text);
    case OPTION_COLSEP:
        o->sources.colsep = text;
        return 0;
    case OPTION_DELIMITER:
        return take_delimiter(o, text, ret_error);
    case OPTION_END:
    case OPTION_END_OLD:
        o->sources.end = text;
        return 0;
    case OPTION_REPLACE:
    case OPTION_REPLACE_OLD:
        o->rules.all = text;
        return 0;
    case OPTION_JOBS:
    case OPTION_JOBS_TOO:
        return exec_value_jobs(text, &o->open.workers, ret_error);
    case OPTION_KEEP_ORDER:
    case OPTION_NO_KEEP_ORDER:
        o->keep_order = id == OPTION_KEEP_ORDER;
        return 0;
    case OPTION_MAX_LINES:
        return take_count_of_lines(o, text, ret_error);
    case OPTION_MAX_LINES_OLD:
        return take_count_of_lines(o, text && strcmp(text, "0") != 0 ? text : "1", ret_error);
    case OPTION_MAX_ARGS:
    case OPTION_MAX_REPLACE_ARGS:
        o->fill.numbered |= id == OPTION_MAX_REPLACE_ARGS;
        return take_count_of_args(o, text, ret_error);
    case OPTION_QUOTE:
        o->rules.quote = true;
        return 0;
    case OPTION_NO_RUN_IF_EMPTY:
        o->sources.skip_blank = true;
        return 0;
    case OPTION_MAX_CHARS:
        return exec_value_count(text, &o->fill.max_bytes, ret_error);
    case OPTION_EXIT:
        o->fill.exact = true;
        return 0;
    case OPTION_MANY:
        o->fill.all = true;
        return 0;
    case OPTION_MANY_WORDS:
        o->fill.words = true;
        return 0;
    case OPTION_XARGS:
        o->fill.xargs = true;
        return 0;
    case OPTION_OUTPUT:
        return take_output(o, text, ret_error);
    case OPTION_TRACE:
        o->trace = true;
        return 0;
    case OPTION_UNGROUP:
        return take_group(o, EXEC_GROUP_NOTHING, ret_error);
    case OPTION_VERBOSE:
        o->verbose = true;
        return 0;
    case OPTION_BASENAME:
        o->rules.basename = text;
        return 0;
    case OPTION_BASENAME_BARE:
        o->rules.basename_no_extension = text;
        return 0;
    case OPTION_DELAY:
        return exec_value_delay(text, &o->pace.delay_s, ret_error);
    case OPTION_DIRNAME:
        o->rules.dirname = text;
        return 0;
    case OPTION_EXTENSION:
        o->rules.no_extension = text;
        return 0;
    case OPTION_SEQUENCE:
        o->rules.sequence = text;
        return 0;
    case OPTION_SLOT:
        o->rules.slot = text;
        return 0;
    case OPTION_PLUS:
        o->rules.plus = true;
        return 0;
    case OPTION_ARG_FILE_SEPARATOR:
        return take_separator(text, &o->file_separator, ret_error);
    case OPTION_ARG_SEPARATOR:
        return take_separator(text, &o->word_separator, ret_error);
    case OPTION_BAR:
    case OPTION_ETA:
    case OPTION_PROGRESS:
        o->sources.read_all |= id != OPTION_PROGRESS;
        o->bar |= id == OPTION_BAR;
        o->progress = PROGRESS_ALWAYS;
        return 0;
    case OPTION_NO_PROGRESS:
        o->progress = PROGRESS_NEVER;
        return 0;
    case OPTION_CPU_TIME:
        return exec_limits_cpu_time(text, &o->limits, ret_error);
    case OPTION_BLOCK:
        return text[0] == '-' ? exec_value_count(text + 1, &o->pipe.slot_parts, ret_error)
                              : exec_value_size(text, &o->pipe.blocks.block_bytes, ret_error);
    case OPTION_DRY_RUN:
        o->dry_run = true;
        return 0;
    case OPTION_FILE_SIZE:
        return quantity_size(text, &o->limits.file_bytes, ret_error);
    case OPTION_ENVIRONMENT: /* commands inherit all of it, also functions */
    case OPTION_PLAIN:       /* nor is anything else ever read */
        return 0;            /* as it is done anyway */
    case OPTION_GROUP:
    case OPTION_IGNORED:
        return take_group(o, EXEC_GROUP_JOBS, ret_error);
    case OPTION_HALT:
        return exec_halt_parse(text, &o->halt, ret_error);
    case OPTION_HEADER:
        o->sources.header = text;
        return 0;
    case OPTION_INTERACTIVE:
        o->ask = true;
        return 0;
    case OPTION_JOBLOG:
        o->joblog_append = text[0] == '+';
        o->joblog = text + o->joblog_append;
        return 0;
    case OPTION_LINE_LENGTH:
        o->line_length = true;
        return 0;
    case OPTION_LINE_BUFFER:
        return take_group(o, EXEC_GROUP_LINES, ret_error);
    case OPTION_LINK:
        o->sources.link = true;
        return 0;
    case OPTION_LOAD:
        return exec_value_load(text, &o->pace.load, ret_error);
    case OPTION_MEMFREE:
        return exec_value_size(text, &o->pace.memfree_bytes, ret_error);
    case OPTION_MEMORY:
        return exec_limits_memory(text, &o->limits, ret_error);
    case OPTION_MEMSUSPEND:
        return exec_value_size(text, &o->pace.memsuspend_bytes, ret_error);
    case OPTION_NO_SWAP:
        o->pace.noswap = true;
        return 0;
    case OPTION_NICE:
        return exec_value_nice(text, &o->nice, ret_error);
    case OPTION_OPEN_FILES:
        return exec_limits_open_files(text, &o->limits, ret_error);
    case OPTION_PRIVILEGES:
        o->limits.privileges = true;
        return 0;
    case OPTION_PIPE:
    case OPTION_PIPE_AS_FILE:
    case OPTION_PIPE_PARTS:
        return exec_pipe_want(&o->pipe, id == OPTION_PIPE_AS_FILE, id == OPTION_PIPE_PARTS);
    case OPTION_PIPE_SHARED:
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "a command is given one block, and a block to one command");
    case OPTION_RECORD_END:
        o->pipe.blocks.separator.end = text;
        return 0;
    case OPTION_RECORD_START:
        o->pipe.blocks.separator.start = text;
        return 0;
    case OPTION_REGEXP:
        o->pipe.blocks.separator.regexp = true;
        return 0;
    case OPTION_REMOVE_SEPARATORS:
        o->pipe.blocks.remove = true;
        return 0;
    case OPTION_PROFILE:
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "options stand on the command line alone, not in a profile");
    case OPTION_RESULTS:
        o->results = text;
        return 0;
    case OPTION_RESUME:
        return take_resume(o, EXEC_RESUME);
    case OPTION_RESUME_FAILED:
        return take_resume(o, EXEC_RESUME_FAILED);
    case OPTION_RETRIES:
        return quantity_integer(text, 0, UINT32_MAX, &o->tries, ret_error);
    case OPTION_RETRY_FAILED:
        return take_resume(o, EXEC_RETRY_FAILED);
    case OPTION_SHELL_QUOTE:
        o->quotes++;
        o->dry_run = true;
        return 0;
    case OPTION_SHUF:
        o->sources.shuffle = true;
        return 0;
    case OPTION_SKIP_FIRST:
        o->sources.skip_first = true;
        return 0;
    case OPTION_STATS:
        o->stats = text;
        return 0;
    case OPTION_TAG:
        o->tag = "{}";
        return 0;
    case OPTION_TAG_STRING:
        o->tag = text;
        return 0;
    case OPTION_TEMPORARY:
        o->temporary_folder = text;
        return 0;
    case OPTION_TERMSEQ:
        o->has_termseq = true;
        return exec_termseq_parse(text, &o->termseq, ret_error);
    case OPTION_TIMEOUT:
        return exec_value_timeout(text, &o->timeout_s, &o->pace.timeout_percent, ret_error);
    case OPTION_TRIM:
        return sources_trim_read(text, &o->sources.trim, ret_error);
    case OPTION_WORK_FOLDER:
        o->folder = text;
        return 0;
    }
    return muster_error_set(ret_error, MUSTER_EINVALID, "unknown option");
}

/* How an option is spelled in errors: -j or --halt. */
static void spell(int id, char *text, size_t size)
{
    snprintf(text, size, "-%c", id);
    for (size_t i = 0; names[i].name && id >= OPTION_BASENAME; i++)
        if (names[i].val == id) {
            snprintf(text, size, "--%s", names[i].name);
            return;
        }
}

/* What getopt_long refused. */
static int refuse(int verdict, char *const *argv, struct muster_error *ret_error)
{
    const char *word, *reason;
    char spelled[64];

    if (verdict == ':')
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s needs a value", argv[optind - 1]);
    if (optopt >= OPTION_BASENAME) {
        spell(optopt, spelled, sizeof spelled);
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s takes no value", spelled);
    }
    snprintf(spelled, sizeof spelled, "-%c", optopt);
    word = optopt > 0 ? spelled : argv[optind - 1];
    reason = exec_absent_reason(word);
    if (reason)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s: %s", word, reason);
    return muster_error_set(ret_error, MUSTER_EINVALID, "unknown%s option %s",
                            optopt > 0 ? "" : " or ambiguous", word);
}

/* Whether the word after an option whose value may be left out is its value. */
static bool is_value(int id, const char *word)
{
    if (id == OPTION_MAX_LINES_OLD)
        return *word >= '0' && *word <= '9';
    return (id == OPTION_END_OLD || id == OPTION_REPLACE_OLD) && *word && *word != '-';
}

/* Options, up to the command, whose place is *ret_rest. */
static int take_all(struct exec_options *o, int argc, char **argv, int *ret_rest,
                    struct muster_error *ret_error)
{
    struct muster_error why;
    const char *value;
    char spelled[64];
    int id;

    opterr = 0;
    optind = 0; /* glibc: start over, with nothing remembered */
    while ((id = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        if (id == '?' || id == ':')
            return refuse(id, argv, ret_error);
        value = optarg;
        if (!value && optind < argc && is_value(id, argv[optind]))
            value = argv[optind++];
        if (take(o, (enum option_id)id, value, &why)) {
            spell(id, spelled, sizeof spelled);
            return muster_error_set(ret_error, MUSTER_EINVALID, "%s %s: %s", spelled, value ? value : "",
                                    why.text);
        }
        if (o->help || o->line_length)
            break;
    }
    *ret_rest = optind;
    return 0;
}

/* {##} of --plus is known when all has been read. */
static bool wants_total(const struct exec_options *o)
{
    bool wanted = o->tag && strstr(o->tag, "{##}");

    for (size_t i = 0; i < o->command_count; i++)
        wanted |= strstr(o->command[i], "{##}") != NULL;
    return o->rules.plus && wanted;
}

int exec_options_parse(struct exec_options *options, int argc, char **argv, struct muster_error *ret_error)
{
    int code, rest;

    *options = (struct exec_options){.open = {.model = MUSTER_PROCESSES, .workers = muster_cores()},
                                     .tries = 1,
                                     .termseq = command_steps_usual};
    options->source_list = calloc((size_t)argc, sizeof *options->source_list);
    if (!options->source_list)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    options->sources.sources = options->source_list;
    code = take_all(options, argc, argv, &rest, ret_error);
    if (code || options->help || options->line_length)
        return code;
    if (options->ask && options->progress == PROGRESS_AUTOMATIC)
        options->progress = PROGRESS_NEVER; /* the terminal is for questions */
    if (options->results)
        options->group = EXEC_GROUP_JOBS; /* files have what a job wrote when it has ended */
    if (options->records && options->group != EXEC_GROUP_JOBS)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "-o json shows a job when it has ended: leave out --line-buffer and --ungroup");
    options->rules.context = exec_fill_repeats(&options->fill);
    exec_words_take(options, argc, argv, rest);
    options->sources.read_all |= wants_total(options);
    options->words = argv;
    options->word_count = argc;
    code = exec_pipe_check(options, ret_error);
    return code ? code : exec_again_check(options, ret_error);
}

void exec_options_fini(struct exec_options *options)
{
    exec_pipe_options_fini(&options->pipe);
    free(options->delimiter);
    free(options->source_list);
}
