/* SPDX-License-Identifier: MIT
 *
 * The part of the shell's grammar that dash and bash agree on and that needs no shell: blanks,
 * words of harmless bytes, backslashes and both kinds of quotes without expansions. The first
 * word must not be anything that a shell does itself.
 */
#include "cli/plain.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Keywords and builtins of dash 0.5.12 and bash 5.2, without those of `programs`; sorted. */
static const char *const shell_words[] = {
    "!",        ".",         ":",        "[",      "[[",      "alias",   "bg",      "bind",     "break",
    "builtin",  "caller",    "case",     "cd",     "chdir",   "command", "compgen", "complete", "compopt",
    "continue", "coproc",    "declare",  "dirs",   "disown",  "do",      "done",    "elif",     "else",
    "enable",   "esac",      "eval",     "exec",   "exit",    "export",  "fc",      "fg",       "fi",
    "for",      "function",  "getopts",  "hash",   "help",    "history", "if",      "in",       "jobs",
    "kill",     "let",       "local",    "logout", "mapfile", "popd",    "printf",  "pushd",    "pwd",
    "read",     "readarray", "readonly", "return", "select",  "set",     "shift",   "shopt",    "source",
    "suspend",  "test",      "then",     "time",   "times",   "trap",    "type",    "typeset",  "ulimit",
    "umask",    "unalias",   "unset",    "until",  "wait",    "while",   "{",       "}",
};

/* Builtins that are programs as well, and do the same as these unless plain_arguments objects. */
static const struct program {
    const char *name, *path;
} programs[] = {{"echo", "/bin/echo"}, {"false", "/bin/false"}, {"true", "/bin/true"}};

bool plain_environment(const char *shell)
{
    /* bash reads the file of the first, and sets options by the others. */
    static const char *const meddlers[] = {"BASH_ENV", "SHELLOPTS", "BASHOPTS", "POSIXLY_CORRECT"};
    static const char handler[] = "BASH_FUNC_command_not_found_handle";
    char path[PATH_MAX];
    const char *name = strrchr(shell, '/'), *real, *search = getenv("PATH");

    /* The name tells how it behaves (rbash), the file what it is: sh may be any shell. */
    name = name ? name + 1 : shell;
    if (!realpath(shell, path) || !search || !*search)
        return false;
    real = strrchr(path, '/') + 1;
    if ((strcmp(name, "sh") != 0 && strcmp(name, real) != 0) ||
        (strcmp(real, "dash") != 0 && strcmp(real, "bash") != 0))
        return false;
    for (size_t i = 0; i < sizeof(meddlers) / sizeof(meddlers[0]); i++)
        if (getenv(meddlers[i]))
            return false;
    for (char **entry = environ; *entry; entry++)
        if (strncmp(*entry, handler, sizeof(handler) - 1) == 0)
            return false;
    return true;
}

/* Whether the environment brings a shell function of this name. */
static bool is_function(const char *name)
{
    static const char prefix[] = "BASH_FUNC_";
    size_t length = strlen(name);

    for (char **entry = environ; *entry; entry++) {
        const char *rest = *entry + sizeof(prefix) - 1;

        if (strncmp(*entry, prefix, sizeof(prefix) - 1) == 0 && strncmp(rest, name, length) == 0 &&
            (rest[length] == '%' || rest[length] == '('))
            return true;
    }
    return false;
}

static int compare_names(const void *key, const void *entry)
{
    return strcmp(key, *(const char *const *)entry);
}

/* dash's echo looks at backslashes, bash's at -e, the program's at --help. */
static bool plain_arguments(const struct plain *plain)
{
    for (size_t i = 1; i < plain->argc; i++)
        if (plain->argv[i].bytes[0] == '-' || memchr(plain->argv[i].bytes, '\\', plain->argv[i].size))
            return false;
    return true;
}

/* What a shell would make of the first word of a command. 0 or MUSTER_ENOMEM. */
static int look_up(struct plain *plain, const char *name)
{
    char *program = strdup(name);

    if (!program)
        return MUSTER_ENOMEM;
    free(plain->program);
    plain->program = program;
    plain->path = NULL;
    plain->shell = !*name || strchr("+-", *name) || strpbrk(name, "=%:,@\1") || is_function(name) ||
                   bsearch(name, shell_words, sizeof(shell_words) / sizeof(shell_words[0]),
                           sizeof(shell_words[0]), compare_names);
    for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
        if (strcmp(name, programs[i].name) == 0) {
            plain->path = programs[i].path;
            plain->shell |= access(programs[i].path, X_OK) != 0;
        }
    return 0;
}

/* Settles what runs, most often the same as before. 0, MUSTER_EINVALID or MUSTER_ENOMEM. */
static int check_program(struct plain *plain)
{
    const char *name = plain->argc > 0 ? plain->argv[0].bytes : "";
    int code = plain->program && strcmp(name, plain->program) == 0 ? 0 : look_up(plain, name);

    if (code)
        return code;
    if (plain->shell || (plain->path && !plain_arguments(plain)))
        return MUSTER_EINVALID;
    if (plain->path)
        plain->argv[0] = (struct word){plain->path, strlen(plain->path)};
    return 0;
}

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

/* Bytes that mean themselves outside of quotes wherever they stand in a word. */
static bool is_harmless(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           (byte != 0 && strchr("_+-./,:@%=", byte));
}

/* How many bytes at `at`, which a mark starts with, are the mark: all or 0. */
static size_t mark_size(const char *at, const char *end)
{
    return end - at >= PLAIN_SLOT_MARK_BYTES && memcmp(at, PLAIN_SLOT_MARK, PLAIN_SLOT_MARK_BYTES) == 0
               ? PLAIN_SLOT_MARK_BYTES
               : 0;
}

/* The end of what is quoted from `at`, the quote, on; NULL when a shell must look at it. */
static const char *quoted_end(const char *at, const char *end)
{
    const char *close = memchr(at + 1, *at, (size_t)(end - at) - 1);

    if (!close)
        return NULL;
    for (const char *p = at + 1; p < close; p++)
        if (*p == 0 || (*p == '\1' && mark_size(p, close) == 0) || (*at == '"' && strchr("$`\\!", *p)))
            return NULL;
    return close;
}

/* Copies a word without its quotes. Its end, or NULL when it needs a shell. */
static const char *copy_word(const char *at, const char *end, char **to)
{
    const char *close;
    size_t count;

    while (at < end && !is_blank(*at)) {
        count = 1;
        if (*at == '\'' || *at == '"') {
            close = quoted_end(at, end);
            if (!close)
                return NULL;
            count = (size_t)(close - at) - 1;
            *to = mempcpy(*to, at + 1, count);
            at = close + 1;
            continue;
        }
        if (*at == '\\') {
            at++;
            if (at == end || *at == '\n' || *at <= 1)
                return NULL;
        } else if (*at == '\1') {
            count = mark_size(at, end);
            if (count == 0)
                return NULL;
        } else if (!is_harmless(*at)) {
            return NULL;
        }
        *to = mempcpy(*to, at, count);
        at += count;
    }
    return at;
}

static int make_room(struct plain *plain, size_t bytes)
{
    size_t room = plain->argv_room > 0 ? plain->argv_room * 2 : 16;
    struct word *argv;
    char *grown;

    if (bytes > plain->room) {
        grown = realloc(plain->bytes, bytes);
        if (!grown)
            return MUSTER_ENOMEM;
        plain->bytes = grown;
        plain->room = bytes;
    }
    if (plain->argc < plain->argv_room)
        return 0;
    argv = realloc(plain->argv, room * sizeof(*argv));
    if (!argv)
        return MUSTER_ENOMEM;
    plain->argv = argv;
    plain->argv_room = room;
    return 0;
}

int plain_split(struct plain *plain, struct word line)
{
    const char *at = line.bytes, *end = at + line.size;
    char *start, *to;
    int code;

    plain->argc = 0;
    code = make_room(plain, line.size + 1); /* each word has a blank or the end behind it, for its NUL */
    for (to = plain->bytes; code == 0 && at < end;) {
        if (is_blank(*at)) {
            at++;
            continue;
        }
        start = to;
        at = copy_word(at, end, &to);
        if (!at)
            return MUSTER_EINVALID;
        code = make_room(plain, 0);
        if (code)
            return code;
        plain->argv[plain->argc++] = (struct word){start, (size_t)(to - start)};
        *to++ = '\0';
    }
    return code ? code : check_program(plain);
}

void plain_fini(struct plain *plain)
{
    free(plain->argv);
    free(plain->bytes);
    free(plain->program);
    *plain = (struct plain){0};
}
