/* SPDX-License-Identifier: MIT
 *
 * Patterns. One without any operator, which is what most are, is looked for with memmem, NUL bytes
 * and all; others are rewritten into what regcomp(3) takes.
 */
#include "cli/pattern.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* What a byte of a pattern becomes at most: `[a]`, three bytes, a list of all others. */
enum { GROWTH = 90, PATTERN_BYTES_MAX = 4096 };

/* One pattern on its way from Perl's notation to POSIX's. */
struct rewriting {
    const char *at; /* what is left of the pattern */
    char *to;       /* the end of what has been written */
    char *plain;    /* the same as bytes, as long as it is nothing else: `literal` */
    bool literal;
    bool repeated; /* a quantifier came last */
    unsigned groups, captures;
};

static int refuse(const char *what, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_EINVALID, "%s", what);
}

static void put(struct rewriting *rewriting, const char *operator_text)
{
    size_t size = strlen(operator_text);

    memcpy(rewriting->to, operator_text, size);
    rewriting->to += size;
    rewriting->literal = false;
    rewriting->repeated = false;
}

/* A byte that stands for itself. NUL only while the whole pattern is plain: see finish. */
static void put_byte(struct rewriting *rewriting, char byte)
{
    if (byte != '\0' && strchr(".[]()*+?{}|^$\\", byte))
        *rewriting->to++ = '\\';
    *rewriting->to++ = byte;
    *rewriting->plain++ = byte;
    rewriting->repeated = false;
}

/* The byte of an escape such as \t or \x2c, whose backslash is behind us; -1 when it is not
 * one of those. Moves behind it. */
static int read_byte(const char **at)
{
    static const char names[] = "tnrfea", bytes[] = "\t\n\r\f\033\a";
    const char *name = **at != '\0' ? strchr(names, **at) : NULL;
    int byte = -1;

    if (name) {
        byte = bytes[name - names];
        ++*at;
    } else if (**at == '0') {
        for (byte = 0; **at >= '0' && **at <= '7' && byte < 32; ++*at)
            byte = byte * 8 + (**at - '0');
    } else if (**at == 'x' && isxdigit((unsigned char)(*at)[1]) && isxdigit((unsigned char)(*at)[2])) {
        byte = (int)strtol((const char[]){(*at)[1], (*at)[2], '\0'}, NULL, 16);
        *at += 3;
    }
    return byte;
}

/* Sets: [ ]. */

struct set {
    bool has[256];
    bool negated;
};

static bool is_word_byte(int byte)
{
    return isalnum(byte) || byte == '_';
}

static const struct class
{
    const char *name;
    int (*contains)(int byte);
} classes[] = {
    {"[:alnum:]", isalnum}, {"[:alpha:]", isalpha}, {"[:blank:]", isblank}, {"[:cntrl:]", iscntrl},
    {"[:digit:]", isdigit}, {"[:graph:]", isgraph}, {"[:lower:]", islower}, {"[:print:]", isprint},
    {"[:punct:]", ispunct}, {"[:space:]", isspace}, {"[:upper:]", isupper}, {"[:xdigit:]", isxdigit},
    {"\\d", isdigit},       {"\\s", isspace},       {"\\h", isblank},
};

/* Adds what a class at `at` stands for; false when there is none. Moves behind it. */
static bool add_class(const char **at, struct set *set)
{
    const struct class *class = NULL;
    bool word = strncmp(*at, "\\w", 2) == 0;

    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strncmp(*at, classes[i].name, strlen(classes[i].name)) == 0)
            class = &classes[i];
    if (!class && !word)
        return false;
    for (int byte = 0; byte < 256; byte++)
        if (word ? is_word_byte(byte) : class->contains(byte) != 0)
            set->has[byte] = true;
    *at += word ? 2 : strlen(class->name);
    return true;
}

/* A byte within [ ]; -1 when it is no byte. */
static int read_member(const char **at)
{
    int byte;

    if (**at != '\\')
        return **at != '\0' ? (unsigned char)*(*at)++ : -1;
    ++*at;
    byte = read_byte(at);
    if (byte >= 0)
        return byte;
    return **at == '\0' || isalnum((unsigned char)**at) ? -1 : (unsigned char)*(*at)++;
}

/* The set whose [ is behind us. */
static int read_set(const char **at, struct set *ret_set, struct muster_error *ret_error)
{
    int low, high;

    *ret_set = (struct set){.negated = **at == '^'};
    *at += ret_set->negated;
    for (bool first = true; first || **at != ']'; first = false) {
        if (add_class(at, ret_set))
            continue;
        low = high = read_member(at);
        if (low >= 0 && **at == '-' && (*at)[1] != ']') {
            ++*at;
            high = read_member(at);
        }
        if (low < 0 || high < low)
            return refuse("a [ that is not closed, or something within it that is not understood", ret_error);
        for (int byte = low; byte <= high; byte++)
            ret_set->has[byte] = true;
    }
    ++*at;
    return ret_set->has[0] ? refuse("a NUL byte within [ ] is not supported", ret_error) : 0;
}

/* As POSIX lists it: `]` first, `-` last, `^` not first, and `[` before neither . : nor =. */
static void put_set(struct rewriting *rewriting, const struct set *set)
{
    char list[260] = "[^", *to = list + 1 + set->negated, *start = to;

    if (set->has[']'])
        *to++ = ']';
    for (int byte = 1; byte < 256; byte++)
        if (set->has[byte] && !strchr("[]^-", byte))
            *to++ = (char)byte;
    if (set->has['['])
        *to++ = '[';
    if (set->has['^'] && to == start && !set->negated) {
        put(rewriting, set->has['-'] ? "[-^]" : "\\^");
        return;
    }
    if (set->has['^'])
        *to++ = '^';
    if (set->has['-'])
        *to++ = '-';
    memcpy(to, "]", 2);
    put(rewriting, list);
}

/* The rest. */

static int rewrite_escape(struct rewriting *rewriting, struct muster_error *ret_error)
{
    static const struct {
        char name;
        const char *set;
    } sets[] = {{'d', "[0-9]"}, {'D', "[^0-9]"},      {'h', "[ \t]"},        {'H', "[^ \t]"},
                {'N', "[^\n]"}, {'s', "[[:space:]]"}, {'S', "[^[:space:]]"}, {'v', "[\n\v\f\r]"},
                {'w', "\\w"},   {'W', "\\W"},         {'b', "\\b"},          {'B', "\\B"}};
    int byte = read_byte(&rewriting->at);

    for (size_t i = 0; byte < 0 && i < sizeof sets / sizeof sets[0]; i++)
        if (*rewriting->at == sets[i].name) {
            rewriting->at++;
            put(rewriting, sets[i].set);
            return 0;
        }
    if (byte < 0 && *rewriting->at == '\0')
        return refuse("a backslash at its end", ret_error);
    if (byte < 0 && isalnum((unsigned char)*rewriting->at))
        return muster_error_set(ret_error, MUSTER_EINVALID, "the escape \\%.1s is not supported",
                                rewriting->at);
    put_byte(rewriting, (char)(byte >= 0 ? byte : *rewriting->at++));
    return 0;
}

/* ( and (?: whose bracket is behind us. */
static int rewrite_group(struct rewriting *rewriting, struct muster_error *ret_error)
{
    bool captures = *rewriting->at != '?';

    if (!captures && rewriting->at[1] != ':')
        return refuse("of all that begins with (? only (?: is supported", ret_error);
    if (rewriting->groups == PATTERN_GROUPS_MAX)
        return refuse("too many groups", ret_error);
    rewriting->groups++;
    if (captures)
        rewriting->captures |= 1U << rewriting->groups;
    else
        rewriting->at += 2;
    put(rewriting, "(");
    return 0;
}

/* * + ? and {n,m}, which is behind us; a { that is none of those is a byte. */
static int rewrite_quantifier(struct rewriting *rewriting, char first, struct muster_error *ret_error)
{
    size_t size = first == '{' ? strspn(rewriting->at, "0123456789,") : 0;

    if (first == '{' && (size == 0 || rewriting->at[size] != '}')) {
        put_byte(rewriting, first);
        return 0;
    }
    if (rewriting->repeated)
        return refuse("lazy and possessive quantifiers (such as *? and *+) are not supported", ret_error);
    put(rewriting, (const char[]){first, '\0'});
    if (first == '{') {
        memcpy(rewriting->to, rewriting->at, size + 1);
        rewriting->to += size + 1;
        rewriting->at += size + 1;
    }
    rewriting->repeated = true;
    return 0;
}

static int rewrite(struct rewriting *rewriting, struct muster_error *ret_error)
{
    struct set set;
    int code = 0;
    char byte;

    while (*rewriting->at != '\0' && !code) {
        byte = *rewriting->at++;
        if (byte == '\\') {
            code = rewrite_escape(rewriting, ret_error);
        } else if (byte == '[') {
            code = read_set(&rewriting->at, &set, ret_error);
            if (!code)
                put_set(rewriting, &set);
        } else if (byte == '(') {
            code = rewrite_group(rewriting, ret_error);
        } else if (strchr("*+?{", byte)) {
            code = rewrite_quantifier(rewriting, byte, ret_error);
        } else if (byte == '.') {
            put(rewriting, "[^\n]");
        } else if (strchr(")|^$", byte)) {
            put(rewriting, (const char[]){byte, '\0'});
        } else {
            put_byte(rewriting, byte);
        }
    }
    return code;
}

static int compile(struct pattern *pattern, const struct rewriting *rewriting, char *posix,
                   struct muster_error *ret_error)
{
    char reason[128];
    int code;

    *rewriting->to = '\0';
    if (strlen(posix) != (size_t)(rewriting->to - posix))
        return refuse("a NUL byte is supported only in a pattern without operators", ret_error);
    code = regcomp(&pattern->regex, posix, REG_EXTENDED);
    if (code) {
        regerror(code, &pattern->regex, reason, sizeof reason);
        return refuse(reason, ret_error);
    }
    pattern->compiled = true;
    pattern->groups = rewriting->groups;
    pattern->captures = rewriting->captures;
    return 0;
}

int pattern_init(struct pattern *pattern, const char *text, struct muster_error *ret_error)
{
    struct rewriting rewriting = {.at = text, .literal = true};
    size_t size = strlen(text);
    char *posix;
    int code;

    *pattern = (struct pattern){0};
    if (size > PATTERN_BYTES_MAX)
        return refuse("the pattern is too long", ret_error);
    posix = malloc(size * GROWTH + 1);
    pattern->literal = malloc(size + 1);
    if (!posix || !pattern->literal) {
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        goto out;
    }
    rewriting.to = posix;
    rewriting.plain = pattern->literal;
    code = rewrite(&rewriting, ret_error);
    pattern->literal_size = (size_t)(rewriting.plain - pattern->literal);
    if (!code && !rewriting.literal)
        code = compile(pattern, &rewriting, posix, ret_error);
out:
    free(posix);
    if (code || pattern->compiled) {
        free(pattern->literal);
        pattern->literal = NULL;
    }
    return code;
}

void pattern_fini(struct pattern *pattern)
{
    if (pattern->compiled)
        regfree(&pattern->regex);
    free(pattern->registers.start);
    free(pattern->registers.end);
    free(pattern->literal);
    *pattern = (struct pattern){0};
}

/* Finding. */

static int find_literal(const struct pattern *pattern, struct word value, size_t from,
                        struct pattern_match *ret_match)
{
    size_t start = from + (pattern->literal_size == 0);
    const char *found =
        memmem(value.bytes + start, value.size - start, pattern->literal, pattern->literal_size);

    if (!found)
        return MUSTER_EEND;
    ret_match->start = (size_t)(found - value.bytes);
    ret_match->end = ret_match->start + pattern->literal_size;
    return 0;
}

int pattern_find(struct pattern *pattern, struct word value, size_t from, struct pattern_match *ret_match)
{
    regoff_t size = (regoff_t)value.size, start = (regoff_t)from, end;

    if (pattern->literal)
        return find_literal(pattern, value, from, ret_match);
    for (; start <= size; start++) {
        start = re_search(&pattern->regex, value.bytes, size, start, size - start, &pattern->registers);
        if (start < 0)
            return start == -1 ? MUSTER_EEND : MUSTER_ENOMEM;
        end = pattern->registers.end[0];
        if ((size_t)end > from) {
            *ret_match = (struct pattern_match){.start = (size_t)start, .end = (size_t)end};
            return 0;
        }
    }
    return MUSTER_EEND;
}

int pattern_find_last(struct pattern *pattern, struct word value, size_t from,
                      struct pattern_match *ret_match)
{
    regoff_t start = (regoff_t)from;

    start = re_search(&pattern->regex, value.bytes, (regoff_t)value.size, start, -start, &pattern->registers);
    if (start < 0)
        return start == -1 ? MUSTER_EEND : MUSTER_ENOMEM;
    *ret_match = (struct pattern_match){.start = (size_t)start, .end = (size_t)pattern->registers.end[0]};
    return 0;
}

size_t pattern_prefix(struct pattern *pattern, struct word value)
{
    regoff_t size;

    if (pattern->literal)
        return pattern->literal_size <= value.size &&
                       memcmp(pattern->literal, value.bytes, pattern->literal_size) == 0
                   ? pattern->literal_size
                   : 0;
    size = re_match(&pattern->regex, value.bytes, (regoff_t)value.size, 0, NULL);
    return size > 0 ? (size_t)size : 0;
}
