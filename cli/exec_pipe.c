/* SPDX-License-Identifier: MIT
 *
 * Jobs of blocks and parts. See exec_pipe.h.
 */
#include "cli/exec_pipe.h"

#include "cli/exec_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_VARIABLE "$PARALLEL_TMP"

static int refuse(const char *option, const char *text, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_EINVALID, "%s: %s", option, text);
}

static int out_of_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

/* --- options */

static bool has_words(const struct sources_spec *sources)
{
    for (size_t i = 0; i < sources->source_count; i++)
        if (!sources->sources[i].path)
            return true;
    return false;
}

static int check_parts(const struct exec_options *options, struct muster_error *ret_error)
{
    const struct sources_spec *sources = &options->sources;

    if (sources->source_count == 0 || has_words(sources))
        return refuse("--pipepart", "a file is expected: -a FILE, or :::: FILE", ret_error);
    for (size_t i = 0; i < sources->source_count; i++)
        if (strcmp(sources->sources[i].path, "-") == 0)
            return refuse("--pipepart", "standard input cannot be sought in", ret_error);
    if (options->fill.max_args || options->fill.max_lines)
        return refuse("--pipepart", "records are not counted: -N and -L are for --pipe", ret_error);
    if (options->pipe.blocks.remove)
        return refuse("--pipepart", "files are read as they are: --rrs is for --pipe", ret_error);
    return 0;
}

static int check_stream(const struct exec_options *options, struct muster_error *ret_error)
{
    if (options->sources.source_count > 1 || has_words(&options->sources))
        return refuse("--pipe", "the input is standard input, or one file with -a", ret_error);
    if (options->pipe.slot_parts)
        return refuse("--block", "a number of blocks is for --pipepart", ret_error);
    return 0;
}

/* Writes the word with the variable in place of the replacement string. Returns the end; counts. */
static char *replace(const char *word, const char *string, char *to, size_t *count)
{
    const char *found;

    while ((found = strstr(word, string)) != NULL) {
        to = mempcpy(to, word, (size_t)(found - word));
        to = stpcpy(to, FILE_VARIABLE);
        word = found + strlen(string);
        ++*count;
    }
    return stpcpy(to, word) + 1;
}

/* --cat: the shell puts the path where {} stands, or at the end, since only the worker knows it. */
static int name_file(struct exec_options *options, struct muster_error *ret_error)
{
    static const char variable[] = FILE_VARIABLE;
    const char *string = options->rules.all && options->rules.all[0] ? options->rules.all : "{}";
    size_t size = 0, count = options->command_count, found = 0;
    const char **words = calloc(count + 1, sizeof *words);
    char *to;

    for (size_t i = 0; i < count; i++)
        size += strlen(options->command[i]) * sizeof variable + 1;
    options->pipe.texts = to = malloc(size);
    options->pipe.words = words;
    if (!words || !to)
        return out_of_memory(ret_error);
    for (size_t i = 0; i < count; i++) {
        words[i] = to;
        to = replace(options->command[i], string, to, &found);
    }
    words[count] = variable;
    options->pipe.word_count = found > 0 ? count : count + 1;
    return 0;
}

int exec_pipe_check(struct exec_options *options, struct muster_error *ret_error)
{
    struct blocks_spec *blocks = &options->pipe.blocks;
    int code;

    if (!options->pipe.wanted)
        return 0;
    if (options->command_count == 0)
        return refuse("--pipe", "a command is expected", ret_error);
    if (options->halt.percent > 0)
        return refuse("--halt", "N% is for jobs that are counted before they run: with --pipe give a number",
                      ret_error);
    if (options->resume == EXEC_RETRY_FAILED)
        return refuse("--retry-failed", "the job log does not have the input of --pipe: use --resume-failed",
                      ret_error);
    code = options->pipe.parts ? check_parts(options, ret_error) : check_stream(options, ret_error);
    if (code)
        return code;
    if (blocks->block_bytes == 0)
        blocks->block_bytes = EXEC_PIPE_BLOCK_DEFAULT;
    blocks->records = options->fill.max_args;
    blocks->lines = options->fill.max_lines;
    blocks->header = options->sources.header;
    options->fill = (struct exec_fill_options){.max_args = 0};
    options->rules.no_append = true;
    options->rules.context = false;
    return options->pipe.as_file ? name_file(options, ret_error) : 0;
}

void exec_pipe_options_fini(struct exec_pipe_options *options)
{
    free(options->words);
    free(options->texts);
}

/* --- a stream */

static int open_file(struct exec_pipe *pipe, const char *path, struct muster_error *ret_error)
{
    pipe->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (pipe->fd < 0)
        return muster_error_system(ret_error, errno, "cannot read %s", path);
    pipe->owned = true;
    return 0;
}

static int open_stream(struct exec_pipe *pipe, const struct exec_options *options,
                       struct muster_error *ret_error)
{
    const char *path = pipe->sources->source_count > 0 ? pipe->sources->sources[0].path : "-", *name = path;
    int code = 0;

    if (strcmp(path, "-") == 0) {
        name = "standard input";
        pipe->fd = STDIN_FILENO;
    } else {
        code = open_file(pipe, path, ret_error);
    }
    return code ? code : blocks_init(&pipe->blocks, &options->pipe.blocks, pipe->fd, name, ret_error);
}

/* --- parts of files */

static int open_parts(struct exec_pipe *pipe, const struct exec_options *options,
                      struct muster_error *ret_error)
{
    const struct exec_pipe_options *own = &options->pipe;
    struct parts probe = {.fd = -1};
    int code = separator_init(&pipe->separator, &own->blocks.separator, ret_error);

    if (!code)
        code = block_header_init(&pipe->header, own->blocks.header, ret_error);
    pipe->part_bytes = own->slot_parts ? 0 : own->blocks.block_bytes;
    pipe->part_count = (uint64_t)own->slot_parts * options->open.workers;
    for (size_t i = 0; i < pipe->sources->source_count && !code; i++) {
        code = parts_open(&probe, pipe->sources->sources[i].path, &pipe->separator, &pipe->header,
                          pipe->part_bytes, pipe->part_count, ret_error);
        parts_close(&probe);
    }
    return code;
}

/* The next file, with a path that workers can open, whatever their working directory. */
static int begin_file(struct exec_pipe *pipe, struct muster_error *ret_error)
{
    const char *path = pipe->sources->sources[pipe->files++].path;

    free(pipe->path);
    pipe->path = realpath(path, NULL);
    if (!pipe->path)
        return muster_error_system(ret_error, errno, "cannot read %s", path);
    return parts_open(&pipe->parts, path, &pipe->separator, &pipe->header, pipe->part_bytes, pipe->part_count,
                      ret_error);
}

static int next_part(struct exec_pipe *pipe, struct muster_error *ret_error)
{
    int code = pipe->parts.fd >= 0 ? parts_next(&pipe->parts, &pipe->part, ret_error) : MUSTER_EEND;

    while (code == MUSTER_EEND && pipe->files < pipe->sources->source_count) {
        parts_close(&pipe->parts);
        code = begin_file(pipe, ret_error);
        if (code == 0)
            code = parts_next(&pipe->parts, &pipe->part, ret_error);
    }
    return code;
}

/* --- either */

int exec_pipe_open(struct exec_pipe *pipe, const struct exec_options *options, struct muster_error *ret_error)
{
    pipe->sources = &options->sources;
    pipe->open = true;
    return options->pipe.parts ? open_parts(pipe, options, ret_error) : open_stream(pipe, options, ret_error);
}

void exec_pipe_close(struct exec_pipe *pipe)
{
    blocks_fini(&pipe->blocks);
    separator_fini(&pipe->separator);
    block_header_fini(&pipe->header);
    parts_close(&pipe->parts);
    free(pipe->path);
    pipe->path = NULL;
    if (pipe->owned)
        close(pipe->fd);
    pipe->owned = false;
    pipe->fd = -1;
}

int exec_pipe_next(struct exec_pipe *pipe, struct row *ret_row, struct muster_error *ret_error)
{
    static const struct word none = {.bytes = "", .size = 0};
    int code =
        pipe->fd >= 0 ? blocks_next(&pipe->blocks, &pipe->latest, ret_error) : next_part(pipe, ret_error);

    if (code == 0)
        *ret_row = (struct row){.args = &none, .count = pipe->fd >= 0};
    return code;
}
