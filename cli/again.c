/* SPDX-License-Identifier: MIT
 *
 * A job by itself. See again.h.
 *
 * A function runs under the model inline, so that a debugger has it in the process that it starts; where what
 * its worker was decides whether it crashes (a sandbox, a limit, a small stack), in a worker; and one of a
 * coordinator there, since only that has it, and knows what its workers are. A command is an argument to no
 * template: then nothing in it is replaced.
 */
#include "cli/again.h"

#include "base/controls.h"
#include "base/log.h"
#include "base/sandbox.h"
#include "cli/json_write.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

/* A line of log_error takes it whole, with what stands before it. */
enum { COMMAND_BYTES = 1900 };

static void add_word(struct shell_line *line, const char *word)
{
    shell_line_add(line, " ", 1);
    shell_line_quote(line, word, strlen(word));
}

static void begin(struct shell_line *line, const char *verb)
{
    shell_line_clear(line);
    line->escaped = shell_escaped();
    shell_line_quote(line, program_path(), strlen(program_path()));
    add_word(line, verb);
}

static void add_words(struct shell_line *line, const char *words)
{
    shell_line_add(line, words, strlen(words));
}

/* 0: it was not given. */
static void add_number(struct shell_line *line, const char *option, uint64_t number)
{
    char word[24];

    if (number == 0)
        return;
    snprintf(word, sizeof word, "%" PRIu64, number);
    add_word(line, option);
    add_word(line, word);
}

static void add_sandbox(struct shell_line *line, unsigned sandbox)
{
    char word[sizeof "--sandbox=" + SANDBOX_WORDS_BYTES] = "--sandbox=";
    size_t size = strlen(word);

    if (!sandbox)
        return;
    sandbox_words(sandbox, word + size);
    if (!word[size])
        word[size - 1] = '\0';
    add_word(line, word);
}

/* The one argument, and the end. */
static const char *end(struct shell_line *line, const char *bytes, size_t size)
{
    add_word(line, ":::");
    shell_line_add(line, " ", 1);
    shell_line_quote(line, bytes, size);
    shell_line_add(line, "", 1);
    return line->failed || line->size > COMMAND_BYTES ? NULL : line->bytes;
}

/* The one argument as JSON, and the end. */
static const char *end_value(struct shell_line *line, const msgpack_object *argument)
{
    const char *again = NULL;
    msgpack_sbuffer json;

    msgpack_sbuffer_init(&json);
    if (json_write(argument, &json) == 0)
        again = end(line, json.data, json.size);
    msgpack_sbuffer_destroy(&json);
    return again;
}

/* Whether what its worker was may be why it crashed. */
static bool needs_worker(const struct muster_options *open)
{
    return open->sandbox || open->memory_bytes > 0 || open->concurrency > 1;
}

static bool killed_workers(const struct muster_result *result)
{
    return (result->code == MUSTER_ECRASHED || result->code == MUSTER_EQUARANTINED) && result->argument;
}

static bool has_limits(const struct exec_limits *limits)
{
    return limits->sandbox || limits->memory_bytes > 0 || limits->cpu_time_s > 0 || limits->open_files > 0 ||
           limits->file_bytes > 0;
}

const char *again_at(const char *coordinator, const char *function, const struct muster_result *result,
                     struct shell_line *line)
{
    if (!killed_workers(result) || function[0] == '-')
        return NULL;
    begin(line, "map");
    add_word(line, function);
    add_word(line, "--coordinator");
    add_word(line, coordinator);
    add_words(line, " --crash-limit 1");
    return end_value(line, result->argument);
}

const char *again_map(const struct options *options, const struct muster_result *result,
                      struct shell_line *line)
{
    if (options->open.coordinator)
        return again_at(options->open.coordinator, options->function, result, line);
    if (!killed_workers(result))
        return NULL;
    begin(line, "map");
    add_word(line, options->function);
    for (unsigned i = 0; i < options->open.plugin_count; i++) {
        add_word(line, "--plugin");
        add_word(line, options->plugins[i]);
    }
    add_sandbox(line, options->open.sandbox);
    add_number(line, "--memory", options->open.memory_bytes);
    add_number(line, "--concurrency", options->open.concurrency > 1 ? options->open.concurrency : 0);
    add_words(line,
              needs_worker(&options->open) ? " --coordinator none -j1 --crash-limit 1" : " --model inline");
    return end_value(line, result->argument);
}

static bool is_crash(const struct exec_result *result)
{
    switch (result->timed_out ? 0 : result->signal) {
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGABRT:
    case SIGTRAP:
    case SIGSYS:
        return true;
    default:
        return false;
    }
}

const char *again_exec(const struct exec_options *options, const struct exec_result *result,
                       struct word command, struct shell_line *line)
{
    if (!is_crash(result) || options->pipe.wanted || command.size > COMMAND_BYTES)
        return NULL;
    begin(line, "exec");
    add_words(line, " --coordinator none");
    add_sandbox(line, options->limits.sandbox);
    add_number(line, "--memory", options->limits.memory_bytes);
    add_number(line, "--cpu-time", options->limits.cpu_time_s);
    add_number(line, "--open-files", options->limits.open_files);
    add_number(line, "--file-size", options->limits.file_bytes);
    if (options->limits.privileges)
        add_words(line, " --privileges");
    if (options->folder) {
        add_word(line, "--workdir");
        add_word(line, options->folder);
    }
    return end(line, command.bytes, command.size);
}

bool again_tell(const char *again)
{
    if (controls_in(again, strlen(again)))
        return false;
    log_error("that job alone: %s", again);
    return true;
}

bool again_tell_map(const struct options *options, const char *again)
{
    if (!again_tell(again))
        return false;
    if (!options->open.coordinator && !needs_worker(&options->open))
        log_error("in a debugger: gdb -ex run --args %s", again);
    return true;
}

bool again_tell_exec(const struct exec_options *options, struct word command, const char *again)
{
    struct shell_line line = {.escaped = shell_escaped()};

    if (!again_tell(again))
        return false;
    shell_line_quote(&line, shell_name(), strlen(shell_name()));
    shell_line_add(&line, " -c ", strlen(" -c "));
    shell_line_quote(&line, command.bytes, command.size);
    shell_line_add(&line, "", 1);
    if (!has_limits(&options->limits) && !options->folder && !line.failed && line.size <= COMMAND_BYTES)
        log_error("in a debugger: gdb -ex 'set follow-fork-mode child' -ex run --args %s", line.bytes);
    shell_line_fini(&line);
    return true;
}
