/* SPDX-License-Identifier: MIT
 *
 * A job file as a whole: its text as values, and its steps one after another. See jobfile.h.
 */
#include "cli/jobfile.h"

#include "cli/json_load.h"
#include "cli/toml.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jobfile_line {
    const json_t *table;
    unsigned line;
};

static int no_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

int jobfile_fail(const struct jobfile *file, const struct jobfile_step *step, struct muster_error *ret_error,
                 const char *format, ...)
{
    char why[MUSTER_ERROR_TEXT_BYTES / 2], line[16] = "";
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    if (step->line)
        snprintf(line, sizeof line, ":%u", step->line);
    if (step->name)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s%s: step '%s': %s", file->name, line,
                                step->name, why);
    return muster_error_set(ret_error, MUSTER_EINVALID, "%s%s: step %zu: %s", file->name, line,
                            (size_t)(step - file->steps) + 1, why);
}

/* --- its text */

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), end_size = strlen(end);

    return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

enum jobfile_format jobfile_format(const char *name, const char *text, size_t size)
{
    size_t at = 0;

    if (ends_with(name, ".toml"))
        return JOBFILE_TOML;
    while (at < size && isspace((unsigned char)text[at]))
        at++;
    return ends_with(name, ".json") || (at < size && text[at] == '{') ? JOBFILE_JSON : JOBFILE_TOML;
}

/* What is not noted for want of memory is an error without a line. */
static void note_line(void *context, const json_t *table, unsigned line)
{
    struct jobfile *file = context;
    struct jobfile_line *lines = file->lines;

    if (file->line_count == file->line_room) {
        file->line_room = file->line_room ? 2 * file->line_room : 64;
        lines = reallocarray(lines, file->line_room, sizeof *lines);
        if (!lines) {
            file->line_room = file->line_count;
            return;
        }
        file->lines = lines;
    }
    lines[file->line_count++] = (struct jobfile_line){table, line};
}

/* Tables were noted in the order in which steps are read: *from is behind the one found last. */
static unsigned line_of(const struct jobfile *file, const json_t *table, size_t *from)
{
    for (size_t i = *from; i < file->line_count; i++) {
        if (file->lines[i].table != table)
            continue;
        *from = i + 1;
        return file->lines[i].line;
    }
    return 0;
}

static int read_json(struct jobfile *file, const char *text, size_t size, struct muster_error *ret_error)
{
    json_error_t error;

    file->root = json_load_text(text, size, JSON_REJECT_DUPLICATES, &error);
    if (file->root)
        return 0;
    if (json_error_code(&error) == json_error_out_of_memory)
        return no_memory(ret_error);
    return muster_error_set(ret_error, MUSTER_EINVALID, "%s:%d:%d: %s", file->name, error.line, error.column,
                            error.text);
}

/* --- its steps */

/* The array of steps, and nothing beside it. */
static int find_steps(const struct jobfile *file, const json_t **ret_steps, struct muster_error *ret_error)
{
    const json_t *steps = json_object_get(file->root, "step");
    const char *key;
    json_t *value;

    json_object_foreach(file->root, key, value) if (strcmp(key, "step") != 0) return muster_error_set(
        ret_error, MUSTER_EINVALID, "%s: there is no key '%s' beside the steps, each of which is %s",
        file->name, key, "a table [[step]], or an object of the array \"step\"");
    if (!json_is_array(steps) || json_array_size(steps) == 0)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%s: there is no step: each is a table [[step]], or an object of the array "
                                "\"step\"",
                                file->name);
    if (json_array_size(steps) > JOBFILE_STEPS_MAX)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "%s: %zu steps are too many: at most %d",
                                file->name, json_array_size(steps), JOBFILE_STEPS_MAX);
    *ret_steps = steps;
    return 0;
}

static int read_steps(struct jobfile *file, struct muster_error *ret_error)
{
    const json_t *steps;
    size_t noted = 0;
    int code = find_steps(file, &steps, ret_error);

    if (code)
        return code;
    file->steps = calloc(json_array_size(steps), sizeof *file->steps);
    if (!file->steps)
        return no_memory(ret_error);
    for (size_t i = 0; i < json_array_size(steps) && !code; i++) {
        struct jobfile_step *step = &file->steps[file->count++];
        json_t *table = json_array_get(steps, i);

        step->line = line_of(file, table, &noted);
        code = jobfile_step_read(file, table, step, ret_error);
    }
    return code;
}

int jobfile_read(const char *name, const char *place, enum jobfile_format format, const char *text,
                 size_t size, struct jobfile *ret_file, struct muster_error *ret_error)
{
    struct jobfile file = {.name = name, .place = place};
    int code;

    if (size > JOBFILE_BYTES_MAX)
        return muster_error_set(
            ret_error, MUSTER_ELIMIT,
            "%s: a job file has at most %d bytes: arguments can stand in a file of their own", name,
            JOBFILE_BYTES_MAX);
    code = format == JOBFILE_JSON ? read_json(&file, text, size, ret_error)
                                  : toml_read(name, text, size, note_line, &file, &file.root, ret_error);
    if (code == 0)
        code = read_steps(&file, ret_error);
    if (code == 0)
        code = jobfile_sort(&file, ret_error);
    if (code)
        jobfile_fini(&file);
    else
        *ret_file = file;
    return code;
}

void jobfile_fini(struct jobfile *file)
{
    for (size_t i = 0; i < file->count; i++)
        jobfile_step_fini(&file->steps[i]);
    free(file->steps);
    free(file->order);
    free(file->lines);
    json_decref(file->root);
    *file = (struct jobfile){0};
}
