/* SPDX-License-Identifier: MIT
 *
 * muster key: makes the key that this user is known by, shows it, and allows those of others.
 */
#include "cli/options.h"
#include "cli/verbs.h"
#include "coordinator/keys.h"
#include "coordinator/role.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Prints the public key of a secret one. */
static int print(const struct curve_key *secret, struct muster_error *ret_error)
{
    char text[CURVE_TEXT_BYTES];
    struct curve_key public;
    struct output output;
    int code = curve_public(secret, &public, ret_error);

    if (code)
        return code;
    curve_write(&public, text);
    output_init(&output, STDOUT_FILENO, "standard output", OUTPUT_TEXT);
    code = output_text(&output, "%s\n", text) ? MUSTER_ENOMEM : output_flush(&output, ret_error);
    output_fini(&output);
    return code;
}

/* Prints the key of this user, which it gets so. */
static int print_own(const struct options *options, int (*get)(struct curve_key *, struct muster_error *),
                     struct muster_error *ret_error)
{
    struct curve_key secret;
    int code;

    if (options->word_count > 1)
        return muster_error_set(ret_error, MUSTER_EINVALID, "unexpected word '%s'", options->words[1]);
    code = get(&secret, ret_error);
    if (!code)
        code = print(&secret, ret_error);
    explicit_bzero(&secret, sizeof secret);
    return code;
}

static int make(const struct options *options, struct muster_error *ret_error)
{
    return print_own(options, keys_create, ret_error);
}

static int show(const struct options *options, struct muster_error *ret_error)
{
    return print_own(options, keys_load, ret_error);
}

/* The words are what a line of the list consists of. */
static int allow(const struct options *options, struct muster_error *ret_error)
{
    enum { WORDS = 4, LINE_BYTES = CURVE_TEXT_BYTES + PROTO_USER_MAX + 32 };
    struct allowed_key key;
    char line[LINE_BYTES];
    const char *why;

    if (options->word_count != WORDS)
        return muster_error_set(ret_error, MUSTER_EINVALID, "it takes three words: KEY ROLE[,ROLE...] NAME");
    if (snprintf(line, sizeof line, "%s %s %s", options->words[1], options->words[2], options->words[3]) >=
        (int)sizeof line)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "KEY has 64 bytes, and ROLE[,ROLE...] and NAME together 90 at most");
    why = allowed_read_line(line, strlen(line), &key);
    if (!why && strpbrk(line, "\t\r\n#"))
        why = "they are words, without blanks or #";
    if (why)
        return muster_error_set(ret_error, MUSTER_EINVALID, "'%s': %s", line, why);
    return keys_allow(&key, line, ret_error);
}

int verb_key(int argc, char **argv)
{
    static const char *const words[] = {"make", "show", "allow"};
    static int (*const run[])(const struct options *options, struct muster_error *ret_error) = {make, show,
                                                                                                allow};
    struct options options;
    struct muster_error error;
    size_t place;
    int code;

    if (options_parse(&options, VERB_KEY, argc, argv, &error) ||
        (!options.help &&
         word_find(options.function, words, sizeof words / sizeof *words, "subject of key", &place, &error)))
        return usage_error(argv[0], &error);
    if (options.help)
        return help_print(argv[0]);
    code = run[place](&options, &error);
    if (code == MUSTER_EINVALID)
        return usage_error(argv[0], &error);
    return code ? plain_error(&error) : 0;
}
