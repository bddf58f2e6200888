/* SPDX-License-Identifier: MIT
 *
 * Command templates: whatever words, names and arguments are, the line has an end, is no longer than was
 * said before, and holds no NUL; and so do the words of a command that needs no shell.
 */
#include "cli/template.h"
#include "fuzz.h"
#include "input.h"

enum { WORDS_MAX = 8, ARGUMENTS_MAX = 12, EXPANSIONS = 2 };

enum {
    PLUS = 1,
    QUOTE = 2,
    CONTEXT = 4,
    NO_APPEND = 8,
    ALWAYS_SHELL = 16,
    TEXT = 32,
    RENAMED = 64,
    NAMED = 128
};

struct asked {
    struct template_rules rules;
    char *words[WORDS_MAX + ARGUMENTS_MAX];
    struct word arguments[ARGUMENTS_MAX];
    size_t word_count, argument_count, row_size;
};

static void read_asked(struct input *input, struct asked *asked)
{
    static const struct word names[] = {{"a", 1}, {"long name", 9}, {"", 0}, {"a", 1}};
    unsigned flags = input_byte(input), counts = input_byte(input);
    size_t size;

    *asked = (struct asked){
        .rules = {.plus = flags & PLUS,
                  .quote = (flags & (QUOTE | TEXT)) == QUOTE, /* a text is not quoted */
                  .context = flags & CONTEXT,
                  .no_append = flags & NO_APPEND,
                  .always_shell = flags & ALWAYS_SHELL,
                  .text = flags & TEXT},
        .row_size = (counts >> 4 & 3) + 1,
    };
    if (flags & RENAMED) {
        asked->rules.all = "xx";
        asked->rules.no_extension = "x";
        asked->rules.dirname = ",,";
        asked->rules.sequence = "{}";
    }
    if (flags & NAMED) {
        asked->rules.names = names;
        asked->rules.name_count = sizeof names / sizeof *names;
    }
    while (asked->word_count < counts % (WORDS_MAX + 1))
        asked->words[asked->word_count++] = input_text(input, '\0', &size);
    while (input->size > 0 && asked->argument_count < ARGUMENTS_MAX) {
        char **bytes = &asked->words[asked->word_count + asked->argument_count];

        *bytes = input_text(input, '\1', &size); /* an argument may hold a NUL */
        asked->arguments[asked->argument_count++] = (struct word){*bytes, size};
    }
}

static void check_command(const struct command *command, bool text)
{
    FUZZ_CHECK(command->line.bytes[command->line.size] == '\0');
    FUZZ_CHECK(text || !memchr(command->line.bytes, '\0', command->line.size));
    if (command->shell)
        return;
    FUZZ_CHECK(text || command->argc > 0);
    for (size_t i = 0; i < command->argc; i++)
        FUZZ_CHECK(strlen(command->argv[i].bytes) == command->argv[i].size);
}

static void expand(struct template *t, const struct asked *asked)
{
    struct row rows[ARGUMENTS_MAX];
    struct muster_error error = {0};
    struct command command;
    size_t count = 0, size = 0;

    t->total = 1234;
    for (size_t at = 0; at < asked->argument_count; at += asked->row_size) {
        size_t left = asked->argument_count - at;

        rows[count] = (struct row){asked->arguments + at, left < asked->row_size ? left : asked->row_size};
        size += template_size(t, &rows[count], 7, count > 0);
        count++;
    }
    for (unsigned i = 0; i < EXPANSIONS; i++) {
        if (template_expand(t, rows, count, 7, &command, &error) != 0) {
            FUZZ_CHECK(error.code < 0 && error.text[0]);
            return;
        }
        check_command(&command, asked->rules.text);
        /* With -X a {N} in a word that is repeated counts as the argument of each row. */
        FUZZ_CHECK(count == 0 || asked->rules.text || asked->rules.context || command.line.size <= size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    struct template t = {0};
    struct muster_error error = {0};
    struct asked asked;

    setenv("PARALLEL_SHELL", "/bin/sh", 1);
    read_asked(&input, &asked);
    if (template_init(&t, (const char *const *)asked.words, asked.word_count, &asked.rules, &error) == 0)
        expand(&t, &asked);
    else
        FUZZ_CHECK(error.code < 0 && error.text[0]);
    template_fini(&t);
    for (size_t i = 0; i < asked.word_count + asked.argument_count; i++)
        free(asked.words[i]);
    return 0;
}
