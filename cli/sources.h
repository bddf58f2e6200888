/* SPDX-License-Identifier: MIT
 *
 * The input sources of `muster exec` in GNU parallel's grammar: values of words, files and
 * standard input, combined into rows of arguments. Rows come as the input does: nothing is
 * waited for, and memory does not grow with the last source, nor with the only one; values
 * that have to come again (the cross product, linking with wrapping) are kept.
 */
#ifndef MUSTER_CLI_SOURCES_H
#define MUSTER_CLI_SOURCES_H

#include "base/error.h"
#include "cli/columns.h"
#include "cli/records.h"
#include "cli/row.h"
#include "cli/source.h"
#include "cli/texts.h"

#include <stdbool.h>
#include <stdint.h>

enum sources_trim {
    SOURCES_TRIM_DEFAULT, /* both ends with `colsep`, else none */
    SOURCES_TRIM_NONE,
    SOURCES_TRIM_LEFT,
    SOURCES_TRIM_RIGHT,
    SOURCES_TRIM_BOTH,
};

/* What is read and how; zeroed, it is one argument a line of standard input. All of it is
 * borrowed, and must outlive the sources. */
struct sources_spec {
    const struct source_spec *sources; /* -a first, then :::, ::::, :::+ and ::::+ */
    size_t source_count;               /* 0: standard input */
    struct word delimiter;             /* -d, -0 (see cli/escapes.h); size 0: a newline */
    const char *end;                   /* -E: the value that ends a source; NULL or "": none */
    bool skip_blank;                   /* -r: values of white space alone are none */
    bool continued;                    /* -L: white space at its end joins a value to the next */
    const char *colsep;                /* -C; NULL: values are not split */
    const char *header;                /* --header without --pipe: "0": names of files; NULL: none;
                                          otherwise the first value of each source has the names */
    bool skip_first;                   /* --skip-first-line: of the first source */
    enum sources_trim trim;            /* --trim */
    bool link;                         /* --link */
    bool no_args;                      /* -n 0: rows have no arguments, and are as many */
    bool read_all;                     /* before the first row: their number is known then */
    bool shuffle;                      /* --shuf; reads all first */
    uint64_t seed;                     /* of the order; the same seed gives the same one */
};

struct sources {
    struct sources_spec spec;
    int fd;      /* owned, the same number all along: poll it after MUSTER_EAGAIN; -1: never needed */
    int awaited; /* the descriptor that `fd` is a copy of */
    struct source_rules rules;
    struct columns columns;      /* with spec.colsep */
    struct lines standard_input; /* of all sources that read it */
    struct source *sources;      /* owned: records.count of them */

    bool skipped;        /* the first line has been */
    size_t headers;      /* sources whose header has been read */
    struct texts header; /* names of the columns */
    struct word *names;  /* owned: the same as handed out, once all have been read */

    struct records records;
    struct texts columns_of_value;
    struct texts row;   /* its arguments */
    uint64_t rows;      /* made */
    struct word *words; /* owned: `row` as it is handed out */
    size_t words_room;
};

/* Opens every file. 0; or an error that names the file or the option. *s must not move in
 * memory afterwards. */
int sources_init(struct sources *s, const struct sources_spec *spec, struct muster_error *ret_error);

/* The names of the columns, of `header`: none without. They may be empty, and are what stands
 * in the input. 0; MUSTER_EAGAIN until the headers are there (poll s->fd); or an error. */
int sources_names(struct sources *s, const struct word **ret_names, size_t *ret_count,
                  struct muster_error *ret_error);

/* The next row; valid until the next call. 0; MUSTER_EEND; MUSTER_EAGAIN when there is
 * nothing yet (poll s->fd); or an error, after which nothing but sources_fini follows. */
int sources_next(struct sources *s, struct row *ret_row, struct muster_error *ret_error);

/* How many rows there are; 0 while nobody knows. */
uint64_t sources_total(const struct sources *s);

/* Takes zeroed ones, too. */
void sources_fini(struct sources *s);

/* The word after --trim. 0 or MUSTER_EINVALID. */
int sources_trim_read(const char *text, enum sources_trim *ret_trim, struct muster_error *ret_error);

#endif
