/* SPDX-License-Identifier: MIT
 *
 * From words to a command and its sources. See exec_words.h.
 */
#include "cli/exec_words.h"

#include <string.h>

enum separator_kind { SEPARATOR_NONE, SEPARATOR_WORDS, SEPARATOR_FILES };

/* Whether the word is the separator, perhaps with a + behind it. */
static bool is(const char *word, const char *separator, bool *ret_linked)
{
    size_t size = strlen(separator);

    if (strncmp(word, separator, size) != 0 || (word[size] && strcmp(word + size, "+") != 0))
        return false;
    *ret_linked = word[size] != '\0';
    return true;
}

static enum separator_kind separator(const struct exec_options *o, const char *word, bool *ret_linked)
{
    if (is(word, o->file_separator ? o->file_separator : "::::", ret_linked))
        return SEPARATOR_FILES;
    return is(word, o->word_separator ? o->word_separator : ":::", ret_linked) ? SEPARATOR_WORDS
                                                                               : SEPARATOR_NONE;
}

/* Each separator begins a source, of all its words, or of each file. */
static void take_sources(struct exec_options *o, int argc, char *const *argv, int at)
{
    enum separator_kind kind = SEPARATOR_NONE, found;
    struct source_spec *source = NULL;
    bool linked = false;

    for (; at < argc; at++) {
        if ((found = separator(o, argv[at], &linked)) != SEPARATOR_NONE) {
            kind = found;
            if (kind == SEPARATOR_WORDS) {
                source = &o->source_list[o->sources.source_count++];
                *source = (struct source_spec){.words = (const char *const *)&argv[at + 1], .linked = linked};
            }
        } else if (kind == SEPARATOR_WORDS) {
            source->count++;
        } else {
            o->source_list[o->sources.source_count++] =
                (struct source_spec){.path = argv[at], .linked = linked};
        }
    }
}

void exec_words_take(struct exec_options *o, int argc, char *const *argv, int at)
{
    bool linked;

    o->command = (const char *const *)&argv[at];
    for (; at < argc && separator(o, argv[at], &linked) == SEPARATOR_NONE; at++)
        o->command_count++;
    take_sources(o, argc, argv, at);
}
