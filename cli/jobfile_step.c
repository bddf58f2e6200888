/* SPDX-License-Identifier: MIT
 *
 * One step of a job file: its keys become the words of a command line, whose verb says what is wrong with
 * their values. Types are checked here. See jobfile.h.
 */
#include "cli/jobfile.h"

#include "cli/terms.h"
#include "cli/verbs.h"
#include "proto/limits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    KIND_INTEGER,
    KIND_WORKERS, /* so many; no option's special values */
    KIND_NUMBER,
    KIND_TEXT,
    KIND_SIZE,     /* a text, or a number of bytes */
    KIND_ATTEMPTS, /* further ones; of commands: all */
};

/* Keys that are options. */
static const struct key {
    const char *name;
    enum kind kind;
    const char *of_map, *of_exec;
} keys[] = {
    {"priority", KIND_INTEGER, "priority", "priority"},
    {"max_running", KIND_WORKERS, "max-running", "jobs"},
    {"cpus", KIND_INTEGER, "cpus", "cpus"},
    {"memory", KIND_SIZE, "memory", "memory"},
    {"begin", KIND_TEXT, "begin", "begin"},
    {"backoff", KIND_NUMBER, "backoff", "backoff"},
    {"timeout", KIND_NUMBER, "timeout", "timeout"},
    {"retries", KIND_ATTEMPTS, "retries", "retries"},
};

/* Those that are none. */
static const char *const others[] = {"name",  "function",       "command", "arguments",
                                     "range", "arguments_file", "after"};

enum { KEY_COUNT = sizeof keys / sizeof *keys, OTHER_COUNT = sizeof others / sizeof *others };

/* What a step is made with. */
struct maker {
    const struct jobfile *file;
    json_t *table;
    struct jobfile_step *step;
    struct muster_error *error;
    bool command; /* a command; else a function */
};

static int no_memory(const struct maker *m)
{
    return muster_error_set(m->error, MUSTER_ENOMEM, "out of memory");
}

/* The word is the step's from now on; NULL: out of memory. */
static int add_owned(const struct maker *m, char *word)
{
    struct jobfile_step *step = m->step;
    char **words = step->words;

    if (word && step->word_count == step->word_room) {
        step->word_room = step->word_room ? 2 * step->word_room : 16;
        words = reallocarray(words, step->word_room, sizeof *words);
        if (words)
            step->words = words;
        else
            step->word_room = step->word_count;
    }
    if (!word || !words) {
        free(word);
        return no_memory(m);
    }
    words[step->word_count++] = word;
    return 0;
}

static int add_word(const struct maker *m, const char *word)
{
    return add_owned(m, strdup(word));
}

__attribute__((format(printf, 2, 3))) static int add_formatted(const struct maker *m, const char *format, ...)
{
    va_list arguments;
    char *word;

    va_start(arguments, format);
    if (vasprintf(&word, format, arguments) < 0)
        word = NULL;
    va_end(arguments);
    return add_owned(m, word);
}

static int expected(const struct maker *m, const char *key, const char *what)
{
    return jobfile_fail(m->file, m->step, m->error, "%s: %s is expected", key, what);
}

/* --- options */

static int add_attempts(const struct maker *m, const struct key *key, const json_t *value)
{
    json_int_t retries = json_integer_value(value);

    if (!json_is_integer(value) || retries < 0 || retries > PROTO_RETRIES_MAX)
        return jobfile_fail(m->file, m->step, m->error, "%s: a whole number from 0 to %d is expected",
                            key->name, PROTO_RETRIES_MAX);
    return add_formatted(m, "--%s=%" JSON_INTEGER_FORMAT, m->command ? key->of_exec : key->of_map,
                         retries + m->command);
}

static int add_option(const struct maker *m, const struct key *key, const json_t *value)
{
    const char *option = m->command ? key->of_exec : key->of_map;

    switch (key->kind) {
    case KIND_INTEGER:
        if (!json_is_integer(value))
            return expected(m, key->name, "a whole number");
        break;
    case KIND_WORKERS:
        if (!json_is_integer(value) || json_integer_value(value) < 1 ||
            json_integer_value(value) > PROTO_WORKERS_MAX)
            return jobfile_fail(m->file, m->step, m->error, "%s: a whole number from 1 to %d is expected",
                                key->name, PROTO_WORKERS_MAX);
        break;
    case KIND_NUMBER:
        if (!json_is_number(value))
            return expected(m, key->name, "a number");
        break;
    case KIND_TEXT:
        if (!json_is_string(value))
            return expected(m, key->name, "a text");
        break;
    case KIND_SIZE:
        if (!json_is_string(value) && !json_is_integer(value))
            return expected(m, key->name, "a text such as \"2G\", or a number of bytes");
        break;
    case KIND_ATTEMPTS:
        return add_attempts(m, key, value);
    }
    if (json_is_string(value))
        return add_formatted(m, "--%s=%s", option, json_string_value(value));
    if (json_is_integer(value))
        return add_formatted(m, "--%s=%" JSON_INTEGER_FORMAT, option, json_integer_value(value));
    return add_formatted(m, "--%s=%.17g", option, json_real_value(value));
}

static int add_options(const struct maker *m)
{
    int code = add_formatted(m, "--name=%s", m->step->name);

    for (size_t i = 0; i < KEY_COUNT && !code; i++) {
        const json_t *value = json_object_get(m->table, keys[i].name);

        if (value)
            code = add_option(m, &keys[i], value);
    }
    return code;
}

/* --- what it runs */

/* Whether a word would be taken for what separates arguments; that is said. */
static int check_separator(const struct maker *m, const char *key, const char *word, const char *instead)
{
    return strncmp(word, ":::", 3) == 0
               ? jobfile_fail(m->file, m->step, m->error, "%s: '%s' would begin arguments: %s", key, word,
                              instead)
               : 0;
}

/* Words that no shell looks at, or a line for one. */
static int add_command(const struct maker *m, const json_t *command)
{
    const json_t *word;
    size_t i;
    static const char instead[] = "a line for the shell can have it, quoted";
    int code;

    if (json_is_string(command) && json_string_length(command) > 0) {
        if ((code = check_separator(m, "command", json_string_value(command), instead)))
            return code;
        code = add_word(m, "--");
        return code ? code : add_word(m, json_string_value(command));
    }
    if (!json_is_array(command) || json_array_size(command) == 0)
        return expected(m, "command", "a line for the shell, or an array of words,");
    if ((code = add_word(m, "-q")) || (code = add_word(m, "--")))
        return code;
    json_array_foreach(command, i, word)
    {
        if (!json_is_string(word))
            return expected(m, "command", "a line for the shell, or an array of words,");
        if ((code = check_separator(m, "command", json_string_value(word), instead)) ||
            (code = add_word(m, json_string_value(word))))
            return code;
    }
    return 0;
}

static int add_function(const struct maker *m, const json_t *function)
{
    int code;

    if (!json_is_string(function) || json_string_length(function) == 0)
        return expected(m, "function", "a name");
    code = add_word(m, "--");
    return code ? code : add_word(m, json_string_value(function));
}

/* --- its arguments */

/* One of a function: JSON. */
static int add_value(const struct maker *m, const json_t *value)
{
    return add_owned(m, json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT));
}

/* One of a command: a text, which must not look like the end of arguments, or a number. */
static int add_argument(const struct maker *m, const json_t *value)
{
    const char *text = json_string_value(value);
    int code;

    if (!text && !json_is_number(value))
        return expected(m, "arguments", "a text or a number for each command");
    if (!text)
        return add_value(m, value);
    code = check_separator(m, "arguments", text, "put it in a file");
    return code ? code : add_word(m, text);
}

static int add_list(const struct maker *m, const json_t *list)
{
    int code = add_word(m, ":::");
    const json_t *value;
    size_t i;

    if (!json_is_array(list))
        return expected(m, "arguments", "an array");
    json_array_foreach(list, i, value)
    {
        if (code)
            return code;
        code = m->command ? add_argument(m, value) : add_value(m, value);
    }
    return code;
}

/* Both ends are in it. Commands have it written out. */
static int add_range(const struct maker *m, const json_t *range)
{
    const json_t *from = json_array_get(range, 0), *to = json_array_get(range, 1);
    json_int_t first = json_integer_value(from), last = json_integer_value(to);
    int code;

    if (json_array_size(range) != 2 || !json_is_integer(from) || !json_is_integer(to) || first > last)
        return expected(m, "range", "an array [FIRST, LAST] of two whole numbers");
    code = add_word(m, ":::");
    if (code || !m->command)
        return code ? code : add_formatted(m, "%" JSON_INTEGER_FORMAT "..%" JSON_INTEGER_FORMAT, first, last);
    if ((uint64_t)last - (uint64_t)first >= JOBFILE_RANGE_MAX)
        return jobfile_fail(m->file, m->step, m->error, "range: of commands it has at most %d numbers",
                            JOBFILE_RANGE_MAX);
    for (json_int_t i = 0; i <= last - first && !code; i++)
        code = add_formatted(m, "%" JSON_INTEGER_FORMAT, first + i);
    return code;
}

/* A name, from the folder of the job file on; no verb takes it for an option, or for what separates
 * arguments. */
static int add_file(const struct maker *m, const json_t *name)
{
    const char *text = json_string_value(name), *place = m->file->place;

    if (!text || !*text)
        return expected(m, "arguments_file", "a name, or an array of names,");
    if (strcmp(text, "-") == 0)
        return jobfile_fail(m->file, m->step, m->error,
                            "arguments_file: a step has no standard input; a file of this name is './-'");
    if (*text == '/')
        place = "";
    return add_formatted(m, "%s%s%s", *text == '/' || *place == '/' ? "" : "./", place, text);
}

static int add_files(const struct maker *m, const json_t *names)
{
    int code = add_word(m, "::::");
    const json_t *name;
    size_t i;

    if (code || !json_is_array(names))
        return code ? code : add_file(m, names);
    if (json_array_size(names) == 0)
        return expected(m, "arguments_file", "a name, or an array of names,");
    json_array_foreach(names, i, name)
    {
        if ((code = add_file(m, name)))
            return code;
    }
    return 0;
}

static int add_arguments(const struct maker *m)
{
    const json_t *list = json_object_get(m->table, "arguments"), *range = json_object_get(m->table, "range"),
                 *file = json_object_get(m->table, "arguments_file");
    int given = (list != NULL) + (range != NULL) + (file != NULL), code;

    if (given > 1)
        return jobfile_fail(m->file, m->step, m->error,
                            "one of arguments, range and arguments_file is enough");
    if (list)
        return add_list(m, list);
    if (range)
        return add_range(m, range);
    if (file)
        return add_files(m, file);
    if (!m->command)
        return jobfile_fail(m->file, m->step, m->error,
                            "a function needs arguments, a range, or an arguments_file");
    code = add_word(m, ":::"); /* runs once: see add_verb */
    return code ? code : add_word(m, "");
}

/* --- what it waits for */

static int add_after(const struct maker *m, const json_t *value)
{
    struct jobfile_after *after = &m->step->after[m->step->after_count];
    const char *text = json_string_value(value), *colon = text ? strrchr(text, ':') : NULL;

    if (json_is_integer(value) && json_integer_value(value) > 0) {
        after->batch = (uint64_t)json_integer_value(value);
        m->step->after_count++;
        return 0;
    }
    if (!text || !*text || text == colon)
        return expected(m, "after",
                        "the name of a step, with :ok or :any behind it, or the number of a batch,");
    if (colon && strcmp(colon, ":any") != 0 && strcmp(colon, ":ok") != 0)
        return jobfile_fail(m->file, m->step, m->error, "after: '%s': :ok or :any is expected behind a name",
                            text);
    after->any = colon && strcmp(colon, ":any") == 0;
    after->name = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
    if (!after->name)
        return no_memory(m);
    m->step->after_count++;
    return 0;
}

static int read_after(const struct maker *m)
{
    const json_t *after = json_object_get(m->table, "after"), *value;
    size_t count = json_is_array(after) ? json_array_size(after) : 1, i;
    int code;

    if (!after || count == 0)
        return 0;
    if (count > PROTO_AFTER_MAX)
        return jobfile_fail(m->file, m->step, m->error, "after: a step can wait for at most %d others",
                            PROTO_AFTER_MAX);
    m->step->after = calloc(count, sizeof *m->step->after);
    if (!m->step->after)
        return no_memory(m);
    if (!json_is_array(after))
        return add_after(m, after);
    json_array_foreach(after, i, value)
    {
        if ((code = add_after(m, value)))
            return code;
    }
    return 0;
}

/* --- the step */

static int check_keys(const struct maker *m)
{
    const char *names[KEY_COUNT + OTHER_COUNT], *key;
    struct muster_error why;
    json_t *value;
    size_t place;

    for (size_t i = 0; i < KEY_COUNT; i++)
        names[i] = keys[i].name;
    memcpy(names + KEY_COUNT, others, sizeof others);
    json_object_foreach(m->table, key,
                        value) if (word_find(key, names, KEY_COUNT + OTHER_COUNT, "key", &place,
                                             &why)) return jobfile_fail(m->file, m->step, m->error, "%s",
                                                                        why.text);
    return 0;
}

static int read_name(const struct maker *m)
{
    const json_t *name = json_object_get(m->table, "name");
    struct muster_error why;
    struct terms terms;

    if (!name)
        return jobfile_fail(m->file, m->step, m->error, "it has no name");
    if (!json_is_string(name))
        return expected(m, "name", "a text");
    if (terms_take_name(&terms, json_string_value(name), &why))
        return jobfile_fail(m->file, m->step, m->error, "name: %s", why.text);
    if (strpbrk(json_string_value(name), ":,"))
        return jobfile_fail(m->file, m->step, m->error, "name: '%s' has a colon or a comma in it",
                            json_string_value(name));
    m->step->name = json_string_value(name);
    return 0;
}

/* The verb; for a command that texts with newlines are one argument each; and for one without arguments that
 * it runs once, and gets none. */
static int add_verb(const struct maker *m)
{
    static const char *const arguments[] = {"arguments", "range", "arguments_file"};
    int code;

    if ((code = add_word(m, m->command ? "exec" : "map")) || (code = add_word(m, "--detach")) || !m->command)
        return code;
    if (json_object_get(m->table, "arguments"))
        return add_word(m, "-0");
    for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++)
        if (json_object_get(m->table, arguments[i]))
            return 0;
    return add_word(m, "-n0");
}

int jobfile_step_read(const struct jobfile *file, json_t *table, struct jobfile_step *step,
                      struct muster_error *ret_error)
{
    const json_t *function = json_object_get(table, "function"), *command = json_object_get(table, "command");
    struct maker m = {file, table, step, ret_error, command != NULL};
    int code;

    if (!json_is_object(table))
        return jobfile_fail(file, step, ret_error, "it is no table (or object)");
    if ((code = read_name(&m)) || (code = check_keys(&m)))
        return code;
    if ((function == NULL) == (command == NULL))
        return jobfile_fail(file, step, ret_error,
                            function ? "it has both a function and a command"
                                     : "it has neither a function nor a command");
    if ((code = add_verb(&m)) || (code = add_options(&m)) ||
        (code = command ? add_command(&m, command) : add_function(&m, function)) ||
        (code = add_arguments(&m)))
        return code;
    return read_after(&m);
}

void jobfile_step_fini(struct jobfile_step *step)
{
    for (size_t i = 0; i < step->word_count; i++)
        free(step->words[i]);
    for (size_t i = 0; i < step->after_count; i++)
        free(step->after[i].name);
    free(step->words);
    free(step->after);
}
