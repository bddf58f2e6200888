/* SPDX-License-Identifier: MIT
 *
 * A job by itself. See again.h.
 *
 * Under the model inline: the debugger has the function in the process that it starts.
 */
#include "cli/again.h"

#include "base/log.h"
#include "cli/json_write.h"
#include "cli/shell.h"
#include "cli/verbs.h"

#include <string.h>

/* A line of log_error takes it whole, with what stands before it. */
enum { COMMAND_BYTES = 1900 };

static void add_word(struct shell_line *line, const char *word)
{
    shell_line_add(line, " ", 1);
    shell_line_quote(line, word, strlen(word));
}

static void add_job(struct shell_line *line, const struct options *options, const msgpack_sbuffer *argument)
{
    shell_line_quote(line, program_path(), strlen(program_path()));
    add_word(line, "map");
    add_word(line, options->function);
    for (unsigned i = 0; i < options->open.plugin_count; i++) {
        add_word(line, "--plugin");
        add_word(line, options->plugins[i]);
    }
    add_word(line, "--model");
    add_word(line, "inline");
    add_word(line, ":::");
    shell_line_add(line, " ", 1);
    shell_line_quote(line, argument->data, argument->size);
    shell_line_add(line, "", 1);
}

void again_tell(const struct options *options, const struct muster_result *result)
{
    struct shell_line line = {.escaped = shell_escaped()};
    msgpack_sbuffer json;

    if (!result->argument)
        return;
    msgpack_sbuffer_init(&json);
    if (json_write(result->argument, &json) == 0) {
        add_job(&line, options, &json);
        if (!line.failed && line.size <= COMMAND_BYTES) {
            log_error("that job alone: %s", line.bytes);
            log_error("in a debugger: gdb -ex run --args %s", line.bytes);
        }
    }
    shell_line_fini(&line);
    msgpack_sbuffer_destroy(&json);
}
