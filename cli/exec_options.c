/* SPDX-License-Identifier: MIT
 *
 * From the words of `muster exec` to options, a command and its sources. See exec_options.h; what the
 * options do is in exec_option.c.
 */
#include "cli/exec_options.h"
#include "cli/confined.h"

#include "cli/exec_absent.h"
#include "cli/exec_again.h"
#include "cli/exec_coordinator.h"
#include "cli/exec_option.h"
#include "cli/exec_words.h"
#include "jobs/nearest.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Their long names and letters, all together. */
enum { NAMES_MAX = 192, LETTERS_MAX = 160, NAME_BYTES = 4096 };

/* getopt_long gives a long name as LONG and the place of its option in the table, a letter as itself. */
enum { LONG = 256 };

/* The table as getopt_long wants it. */
struct spellings {
    struct option names[NAMES_MAX];
    char letters[LETTERS_MAX];
    char bytes[NAME_BYTES]; /* of the names */
};

static const struct exec_option *of_letter(int letter)
{
    const struct exec_option *option = exec_option_table;

    for (; option->names; option++)
        for (const char *at = option->names; at; at = strchr(at, ' ')) {
            at += *at == ' ';
            if (at[0] == letter && (at[1] == ' ' || at[1] == '\0'))
                return option;
        }
    return NULL;
}

static const struct exec_option *of_id(int id)
{
    return id >= LONG ? &exec_option_table[id - LONG] : of_letter(id);
}

/* 0: no value, 1: a value, 2: perhaps one. */
static int values_of(const struct exec_option *option)
{
    switch (option->kind) {
    case OPTION_FLAG:
    case OPTION_ALONE:
        return no_argument;
    case OPTION_TEXT:
    case OPTION_VALUE:
        return required_argument;
    case OPTION_PERHAPS:
    case OPTION_PERHAPS_NUMBER:
    case OPTION_PERHAPS_WORD:
        return optional_argument;
    }
    return no_argument;
}

/* GNU parallel wants options before the command, hence '+'; and tells a missing value, hence ':'. */
static void make_spellings(struct spellings *ret_spellings)
{
    char *bytes = ret_spellings->bytes, *rest, *name;
    struct option *next = ret_spellings->names;
    char *letter = stpcpy(ret_spellings->letters, "+:");

    for (const struct exec_option *option = exec_option_table; option->names; option++) {
        assert(strlen(option->names) < sizeof ret_spellings->bytes - (size_t)(bytes - ret_spellings->bytes));
        name = strtok_r(strcpy(bytes, option->names), " ", &rest);
        bytes += strlen(option->names) + 1;
        for (; name; name = strtok_r(NULL, " ", &rest)) {
            assert(next < &ret_spellings->names[NAMES_MAX - 1] &&
                   letter < &ret_spellings->letters[LETTERS_MAX - sizeof "x::"]);
            if (name[1])
                *next++ = (struct option){.name = name,
                                          .has_arg = values_of(option),
                                          .val = LONG + (int)(option - exec_option_table)};
            else
                letter = stpcpy(stpcpy(letter, name), &"::"[2 - values_of(option)]);
        }
    }
    *next = (struct option){.name = NULL};
}

/* How an option is spelled in errors, when getopt did not say how it was spelled. */
static void spell(int id, char *text, size_t size)
{
    const char *name = id >= LONG ? of_id(id)->names : NULL;

    snprintf(text, size, "-%c", id);
    while (name && (name[1] == ' ' || name[1] == '\0')) /* a letter; a long name is behind it */
        name += 2;
    if (name)
        snprintf(text, size, "--%.*s", (int)strcspn(name, " "), name);
}

/* A long option, of a word that is none; NULL: it is like none of them. */
static const char *nearest_option(const char *word, const struct option *names)
{
    const char *nearest = NULL;
    unsigned least = NEAREST_FAR, distance;
    char typed[NEAREST_WORD_MAX];
    size_t size = strcspn(word + 2, "=");

    if (size >= sizeof typed)
        return NULL;
    memcpy(typed, word + 2, size);
    typed[size] = '\0';
    for (; names->name; names++) {
        distance = nearest_distance(typed, names->name);
        if (distance < least) {
            least = distance;
            nearest = names->name;
        }
    }
    return nearest;
}

/* What getopt_long refused. */
static int refuse(int verdict, char *const *argv, const struct option *names, struct muster_error *ret_error)
{
    const char *word, *reason;
    char spelled[64];

    if (verdict == ':')
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s needs a value", argv[optind - 1]);
    if (optopt >= LONG) {
        spell(optopt, spelled, sizeof spelled);
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s takes no value", spelled);
    }
    snprintf(spelled, sizeof spelled, "-%c", optopt);
    word = optopt > 0 ? spelled : argv[optind - 1];
    reason = exec_absent_reason(word);
    if (reason)
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s: %s", word, reason);
    if (optopt > 0)
        return muster_error_set(ret_error, MUSTER_EINVALID, "unknown option %s", word);
    reason = nearest_option(word, names);
    return muster_error_set(ret_error, MUSTER_EINVALID, "unknown or ambiguous option %s%s%s%s", word,
                            reason ? " (did you mean --" : "", reason ? reason : "", reason ? "?)" : "");
}

/* Whether the word after an option whose value may be left out is its value. */
static bool is_value(const struct exec_option *option, const char *word)
{
    if (option->kind == OPTION_PERHAPS_NUMBER)
        return *word >= '0' && *word <= '9';
    return option->kind == OPTION_PERHAPS_WORD && *word && *word != '-';
}

/* One option. On failure *ret_error says what was expected. */
static int take(struct exec_options *o, const struct exec_option *option, const char *text,
                struct muster_error *ret_error)
{
    void *member = (char *)o + option->member;

    if (option->kind == OPTION_FLAG)
        *(bool *)member = true;
    else if (option->kind == OPTION_TEXT)
        *(const char **)member = text;
    else
        return option->take(o, text, ret_error);
    return 0;
}

/* Options, up to the command, whose place is *ret_rest. */
static int take_all(struct exec_options *o, int argc, char **argv, int *ret_rest,
                    struct muster_error *ret_error)
{
    const struct exec_option *option;
    struct spellings spellings;
    struct muster_error why;
    const char *value;
    char spelled[64];
    int id, place = -1;

    make_spellings(&spellings);
    opterr = 0;
    optind = 0; /* glibc: start over, with nothing remembered */
    while ((id = getopt_long(argc, argv, spellings.letters, spellings.names, &place)) != -1) {
        if (id == '?' || id == ':')
            return refuse(id, argv, spellings.names, ret_error);
        option = of_id(id);
        value = optarg;
        if (!value && optind < argc && is_value(option, argv[optind]))
            value = argv[optind++];
        if (take(o, option, value, &why)) {
            if (id >= LONG)
                snprintf(spelled, sizeof spelled, "--%s", spellings.names[place].name);
            else
                snprintf(spelled, sizeof spelled, "-%c", id);
            return muster_error_set(ret_error, MUSTER_EINVALID, "%s%s%s: %s", spelled, value ? " " : "",
                                    value ? value : "", why.text);
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

/* What a program that is confined cannot have. */
static int check_sandbox(const struct exec_options *options, struct muster_error *ret_error)
{
    if (options->limits.sandbox == 0)
        return 0;
    if (options->limits.privileges)
        return muster_error_set(ret_error, MUSTER_EINVALID, "either --sandbox or --privileges");
    if (options->pipe.as_file)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "--cat and --fifo give jobs a file of the worker's, which --sandbox keeps "
                                "from them: use --pipe");
    return options->open.coordinator || options->dry_run ? 0
                                                         : confined_begin(options->limits.sandbox, ret_error);
}

int exec_options_parse(struct exec_options *options, int argc, char **argv, struct muster_error *ret_error)
{
    int code, rest = argc;

    *options = (struct exec_options){
        .open = {.model = MUSTER_PROCESSES}, .tries = 1, .termseq = command_steps_usual};
    options->source_list = calloc((size_t)argc, sizeof *options->source_list);
    options->variables = calloc((size_t)argc, sizeof *options->variables);
    if (!options->source_list || !options->variables)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    options->sources.sources = options->source_list;
    code = take_all(options, argc, argv, &rest, ret_error);
    if (code || options->help || options->line_length)
        return code;
    if (options->ask && options->progress == PROGRESS_AUTOMATIC)
        options->progress = PROGRESS_NEVER; /* the terminal is for questions */
    if (options->results || options->files)
        options->group = EXEC_GROUP_JOBS; /* files have what a job wrote when it has ended */
    if (options->records && options->files)
        return muster_error_set(ret_error, MUSTER_EINVALID, "one of -o json and --files is enough");
    if (options->records && options->group != EXEC_GROUP_JOBS)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "-o json shows a job when it has ended: leave out --line-buffer and --ungroup");
    options->pace.halts = options->halt.cause != HALT_NEVER;
    options->rules.context = exec_fill_repeats(&options->fill);
    exec_words_take(options, argc, argv, rest);
    options->sources.read_all |= wants_total(options) || options->halt.percent > 0;
    options->words = argv;
    options->word_count = argc;
    if ((code = exec_coordinator_check(options, ret_error)) == 0)
        code = exec_pipe_check(options, ret_error);
    if (code == 0)
        code = exec_again_check(options, ret_error);
    if (code == 0)
        code = check_sandbox(options, ret_error);
    return code ? code : terms_check(&options->terms, options->open.coordinator, ret_error);
}

void exec_options_fini(struct exec_options *options)
{
    exec_pipe_options_fini(&options->pipe);
    free(options->delimiter);
    free(options->variables);
    free(options->source_list);
}
