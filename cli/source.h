/* SPDX-License-Identifier: MIT
 *
 * One input source of `muster exec`: the words of a `:::`, the records of a file, or those of
 * standard input, as values one after another. Words are cut at the delimiter as records are,
 * as GNU parallel does. How sources are combined is the business of cli/sources.h.
 */
#ifndef MUSTER_CLI_SOURCE_H
#define MUSTER_CLI_SOURCE_H

#include "base/error.h"
#include "cli/lines.h"
#include "cli/row.h"
#include "cli/texts.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct source_spec {
    const char *path;         /* "-": standard input; NULL: words */
    const char *const *words; /* of a ::: or :::+ */
    size_t count;
    bool linked; /* :::+ and ::::+: to the source before it */
};

/* Which values there are: the same for all sources. */
struct source_rules {
    struct word delimiter; /* at least a byte */
    struct word end;       /* -E; size 0: none */
    bool skip_blank;       /* -r */
    bool continued;        /* -L */
};

struct source {
    const struct source_spec *spec; /* borrowed */
    size_t word, word_at;           /* words: the next value begins at byte word_at of words[word] */
    int fd;                         /* owned; -1 when there is none of its own */
    struct lines own_lines;
    struct lines *lines;     /* own_lines, or borrowed: of standard input; NULL for words */
    struct texts unfinished; /* -L: the value so far, if any */
    bool ended;              /* there is nothing more to read */
    uint64_t count;          /* values that were read */

    /* For cli/records.c: */
    struct texts values; /* read ahead; with `kept` all of them */
    size_t at;           /* the present one */
    bool kept;           /* values come again */
    bool wrapped;        /* --link: every value has had its turn */
};

/* Opens what `spec` names; sources of standard input share `standard_input`. The source must
 * not move in memory. 0 or an error that names the file; source_fini in either case. */
int source_init(struct source *source, const struct source_spec *spec, const struct source_rules *rules,
                struct lines *standard_input, struct muster_error *ret_error);
void source_fini(struct source *source);

/* What messages call it. */
const char *source_name(const struct source *source);

/* The next record as it stands; valid until the next call on any source. 0; MUSTER_EEND;
 * MUSTER_EAGAIN, never for words (poll lines->fd); or an error that names the source. */
int source_record(struct source *source, const struct source_rules *rules, struct word *ret_record,
                  struct muster_error *ret_error);

/* The next value under the rules, added to `values`. Returns as source_record. */
int source_read(struct source *source, const struct source_rules *rules, struct muster_error *ret_error);

#endif
