/* SPDX-License-Identifier: MIT
 *
 * Where records end. See separator.h.
 */
#include "cli/separator.h"

#include "cli/escapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int out_of_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

static int init_text(struct separator *separator, const char *start, const char *end,
                     struct muster_error *ret_error)
{
    separator->text = malloc(strlen(end) + strlen(start) + 1);
    if (!separator->text)
        return out_of_memory(ret_error);
    separator->end_size = escapes_read(end, separator->text);
    separator->size = separator->end_size + escapes_read(start, separator->text + separator->end_size);
    return 0;
}

static int init_pattern(struct pattern *pattern, const char *text, const char *option,
                        struct muster_error *ret_error)
{
    struct muster_error why;
    int code = pattern_init(pattern, text, &why);

    return code ? muster_error_set(ret_error, code, "%s: %s", option, why.text) : 0;
}

static int init_patterns(struct separator *separator, const char *start, const char *end,
                         struct muster_error *ret_error)
{
    char *both;
    int code;

    if ((code = init_pattern(&separator->start, start, "--recstart", ret_error)) != 0 ||
        (code = init_pattern(&separator->end, end, "--recend", ret_error)) != 0)
        return code;
    if (asprintf(&both, "(%s)(?:%s)", end, start) < 0)
        return out_of_memory(ret_error);
    code = init_pattern(&separator->between, both, "--regexp", ret_error);
    free(both);
    return code;
}

int separator_init(struct separator *separator, const struct separator_spec *spec,
                   struct muster_error *ret_error)
{
    const char *start = spec->start ? spec->start : "";
    const char *end = spec->end ? spec->end : spec->start ? "" : "\n";
    int code;

    *separator = (struct separator){.text = NULL};
    if (spec->regexp && (*start || *end))
        code = init_patterns(separator, start, end, ret_error);
    else
        code = init_text(separator, start, end, ret_error);
    if (code)
        separator_fini(separator);
    return code;
}

void separator_fini(struct separator *separator)
{
    free(separator->text);
    pattern_fini(&separator->between);
    pattern_fini(&separator->end);
    pattern_fini(&separator->start);
    *separator = (struct separator){.text = NULL};
}

/* --- finding */

static int next_text(const struct separator *separator, struct word bytes, size_t from, size_t *ret_cut)
{
    size_t at = from + (separator->end_size == 0); /* a start at `from` begins the record that is there */
    const char *found;

    if (at > bytes.size || bytes.size - at < separator->size)
        return MUSTER_EEND;
    if (separator->size == 1)
        found = memchr(bytes.bytes + at, separator->text[0], bytes.size - at);
    else
        found = memmem(bytes.bytes + at, bytes.size - at, separator->text, separator->size);
    if (!found)
        return MUSTER_EEND;
    *ret_cut = (size_t)(found - bytes.bytes) + separator->end_size;
    return 0;
}

static int next_match(struct separator *separator, struct word bytes, size_t from, bool more, size_t *ret_cut)
{
    struct pattern_match match;
    size_t at = from, cut;
    int code;

    do {
        code = at < bytes.size ? pattern_find(&separator->between, bytes, at, &match) : MUSTER_EEND;
        if (code)
            return code;
        cut = (size_t)separator->between.registers.end[1];
        at = match.start + 1;
    } while (cut <= from);
    if (more && match.end == bytes.size)
        return MUSTER_EEND;
    *ret_cut = cut;
    return 0;
}

int separator_next(struct separator *separator, struct word bytes, size_t from, bool more, size_t *ret_cut)
{
    return separator->text ? next_text(separator, bytes, from, ret_cut)
                           : next_match(separator, bytes, from, more, ret_cut);
}

size_t separator_resume(const struct separator *separator, size_t size, size_t from)
{
    return separator->text && size > from + separator->size ? size - separator->size : from;
}

static int last_text(const struct separator *separator, struct word bytes, size_t *ret_cut)
{
    size_t size = separator->size, at = bytes.size;
    const char *found = NULL;

    if (size == 0 && at > 0) {
        *ret_cut = at;
        return 0;
    }
    if (size == 0 || at < size)
        return MUSTER_EEND;
    for (at = at - size + 1; (found = memrchr(bytes.bytes, separator->text[0], at)) != NULL;
         at = (size_t)(found - bytes.bytes))
        if (memcmp(found, separator->text, size) == 0)
            break;
    if (!found || (found == bytes.bytes && separator->end_size == 0))
        return MUSTER_EEND;
    *ret_cut = (size_t)(found - bytes.bytes) + separator->end_size;
    return 0;
}

int separator_last(struct separator *separator, struct word bytes, size_t *ret_cut)
{
    struct pattern_match match;
    size_t at = bytes.size, cut;
    int code;

    if (separator->text)
        return last_text(separator, bytes, ret_cut);
    do {
        code = pattern_find_last(&separator->between, bytes, at, &match);
        if (code)
            return code;
        cut = (size_t)separator->between.registers.end[1];
        at = match.start > 0 ? match.start - 1 : 0;
    } while (cut == 0 && match.start > 0);
    if (cut == 0)
        return MUSTER_EEND;
    *ret_cut = cut;
    return 0;
}

/* --- removing */

/* What stands between records, from `from` on. Whether there is any. */
static bool find_between(struct separator *separator, struct word bytes, size_t from,
                         struct pattern_match *ret_match)
{
    const char *found;

    if (from >= bytes.size)
        return false;
    if (!separator->text)
        return pattern_find(&separator->between, bytes, from, ret_match) == 0;
    found = memmem(bytes.bytes + from, bytes.size - from, separator->text, separator->size);
    if (!found || separator->size == 0)
        return false;
    ret_match->start = (size_t)(found - bytes.bytes);
    ret_match->end = ret_match->start + separator->size;
    return true;
}

/* How many bytes at the beginning are a start. */
static size_t leading(struct separator *separator, struct word bytes)
{
    size_t size = separator->size - separator->end_size;

    if (!separator->text)
        return pattern_prefix(&separator->start, bytes);
    return size <= bytes.size && memcmp(bytes.bytes, separator->text + separator->end_size, size) == 0 ? size
                                                                                                       : 0;
}

/* How many bytes at the end are an end. */
static size_t trailing(struct separator *separator, struct word bytes)
{
    struct pattern_match match = {.end = 0};
    size_t size = separator->end_size;

    if (separator->text)
        return size <= bytes.size && memcmp(bytes.bytes + bytes.size - size, separator->text, size) == 0
                   ? size
                   : 0;
    while (match.end < bytes.size)
        if (pattern_find(&separator->end, bytes, match.end, &match))
            return 0;
    return match.end - match.start;
}

size_t separator_remove(struct separator *separator, char *bytes, size_t size)
{
    struct word all = {bytes, size}, rest;
    size_t from = leading(separator, all), to = 0;
    struct pattern_match match;

    while (find_between(separator, all, from, &match)) {
        memmove(bytes + to, bytes + from, match.start - from);
        to += match.start - from;
        from = match.end;
    }
    rest = (struct word){bytes + from, size - from};
    rest.size -= rest.size > 0 ? trailing(separator, rest) : 0;
    memmove(bytes + to, rest.bytes, rest.size);
    return to + rest.size;
}
