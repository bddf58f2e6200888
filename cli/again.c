/* SPDX-License-Identifier: MIT
 *
 * A job by itself. See again.h.
 *
 * A function runs under the model inline, so that a debugger has it in the process that it starts; with a
 * sandbox, in a worker. A command is an argument to no template: then nothing in it is replaced.
 */
#include "cli/again.h"

#include "base/log.h"
#include "base/sandbox.h"
#include "cli/json_write.h"
#include "cli/verbs.h"

#include <signal.h>
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

static void add_sandbox(struct shell_line *line, unsigned sandbox)
{
    char word[sizeof "--sandbox=" + SANDBOX_WORDS_BYTES] = "--sandbox=";
    size_t size = strlen(word);

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

const char *again_map(const struct options *options, const struct muster_result *result,
                      struct shell_line *line)
{
    const char *again = NULL;
    msgpack_sbuffer json;

    if ((result->code != MUSTER_ECRASHED && result->code != MUSTER_EQUARANTINED) || !result->argument)
        return NULL;
    begin(line, "map");
    add_word(line, options->function);
    for (unsigned i = 0; i < options->open.plugin_count; i++) {
        add_word(line, "--plugin");
        add_word(line, options->plugins[i]);
    }
    if (options->open.sandbox) {
        add_sandbox(line, options->open.sandbox);
        shell_line_add(line, " -j1 --crash-limit 1", strlen(" -j1 --crash-limit 1"));
    } else {
        shell_line_add(line, " --model inline", strlen(" --model inline"));
    }
    msgpack_sbuffer_init(&json);
    if (json_write(result->argument, &json) == 0)
        again = end(line, json.data, json.size);
    msgpack_sbuffer_destroy(&json);
    return again;
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
    if (options->limits.sandbox)
        add_sandbox(line, options->limits.sandbox);
    if (options->folder) {
        add_word(line, "--workdir");
        add_word(line, options->folder);
    }
    return end(line, command.bytes, command.size);
}

void again_tell_map(const struct options *options, const char *again)
{
    log_error("that job alone: %s", again);
    if (!options->open.sandbox)
        log_error("in a debugger: gdb -ex run --args %s", again);
}

void again_tell_exec(const struct exec_options *options, struct word command, const char *again)
{
    struct shell_line line = {.escaped = shell_escaped()};

    log_error("that job alone: %s", again);
    shell_line_quote(&line, shell_name(), strlen(shell_name()));
    shell_line_add(&line, " -c ", strlen(" -c "));
    shell_line_quote(&line, command.bytes, command.size);
    shell_line_add(&line, "", 1);
    if (!options->limits.sandbox && !line.failed && line.size <= COMMAND_BYTES)
        log_error("in a debugger: gdb -ex 'set follow-fork-mode child' -ex run --args %s", line.bytes);
    shell_line_fini(&line);
}
