/* SPDX-License-Identifier: MIT
 *
 * --colsep. See columns.h.
 */
#include "cli/columns.h"

int columns_init(struct columns *columns, const char *pattern, struct muster_error *ret_error)
{
    struct muster_error why;
    int code = pattern_init(&columns->pattern, pattern, &why);

    return code ? muster_error_set(ret_error, code, "--colsep: %s", why.text) : 0;
}

void columns_fini(struct columns *columns)
{
    pattern_fini(&columns->pattern);
}

/* What groups matched; nothing where one had no part in the match. */
static int add_groups(const struct pattern *pattern, struct word value, struct texts *fields)
{
    regoff_t start, end;

    for (unsigned i = 1; i <= pattern->groups; i++) {
        if (!(pattern->captures & 1U << i))
            continue;
        start = pattern->registers.start[i];
        end = pattern->registers.end[i];
        if (start < 0 ? texts_add(fields, "", 0)
                      : texts_add(fields, value.bytes + start, (size_t)(end - start)))
            return MUSTER_ENOMEM;
    }
    return 0;
}

int columns_split(struct columns *columns, struct word value, struct texts *fields)
{
    struct pattern_match match;
    size_t from = 0;
    int code;

    while (from < value.size) {
        code = pattern_find(&columns->pattern, value, from, &match);
        if (code == MUSTER_EEND)
            break;
        if (code)
            return code;
        if (texts_add(fields, value.bytes + from, match.start - from) ||
            add_groups(&columns->pattern, value, fields))
            return MUSTER_ENOMEM;
        from = match.end;
    }
    return texts_add(fields, value.bytes + from, value.size - from);
}
