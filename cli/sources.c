/* SPDX-License-Identifier: MIT
 *
 * The input sources of `muster exec`: headers first, then rows of records.
 */
#include "cli/sources.h"

#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct source_spec only_standard_input = {.path = "-"};
static const struct word newline = {.bytes = "\n", .size = 1};

static int out_of_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

int sources_trim_read(const char *text, enum sources_trim *ret_trim, struct muster_error *ret_error)
{
    static const struct {
        const char *text;
        enum sources_trim trim;
    } trims[] = {{"n", SOURCES_TRIM_NONE},
                 {"l", SOURCES_TRIM_LEFT},
                 {"r", SOURCES_TRIM_RIGHT},
                 {"lr", SOURCES_TRIM_BOTH},
                 {"rl", SOURCES_TRIM_BOTH}};

    for (size_t i = 0; i < sizeof trims / sizeof trims[0]; i++)
        if (strcmp(text, trims[i].text) == 0) {
            *ret_trim = trims[i].trim;
            return 0;
        }
    return muster_error_set(ret_error, MUSTER_EINVALID, "--trim is one of n, l, r, lr and rl, not '%s'",
                            text);
}

/* Beginning. */

static bool has_names_of_files(const struct sources *s)
{
    return s->spec.header && strcmp(s->spec.header, "0") == 0;
}

static bool has_header(const struct sources *s)
{
    return s->spec.header && !has_names_of_files(s);
}

static void set_rules(struct sources *s)
{
    s->rules = (struct source_rules){
        .delimiter = s->spec.delimiter.size > 0 ? s->spec.delimiter : newline,
        .end = {.bytes = s->spec.end, .size = s->spec.end ? strlen(s->spec.end) : 0},
        .skip_blank = s->spec.skip_blank,
        .continued = s->spec.continued,
    };
    if (s->spec.trim == SOURCES_TRIM_DEFAULT)
        s->spec.trim = s->spec.colsep ? SOURCES_TRIM_BOTH : SOURCES_TRIM_NONE;
    if (s->spec.header && !s->spec.colsep)
        s->spec.colsep = "\\t";
    s->spec.read_all = s->spec.read_all || s->spec.shuffle;
}

static int open_sources(struct sources *s, struct muster_error *ret_error)
{
    const struct source *source;
    int code;

    s->sources = calloc(s->spec.source_count, sizeof *s->sources);
    if (!s->sources)
        return out_of_memory(ret_error);
    lines_init(&s->standard_input, STDIN_FILENO, PROTO_VALUE_BYTES_MAX);
    lines_delimit(&s->standard_input, s->rules.delimiter.bytes, s->rules.delimiter.size);
    for (size_t i = 0; i < s->spec.source_count; i++) {
        source = &s->sources[i];
        code = source_init(&s->sources[i], &s->spec.sources[i], &s->rules, &s->standard_input, ret_error);
        s->records.count++;
        if (code)
            return code;
        if (!source->lines || s->fd >= 0)
            continue;
        s->awaited = source->lines->fd;
        s->fd = fcntl(s->awaited, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        if (s->fd < 0)
            return muster_error_system(ret_error, errno, "cannot read arguments from %s",
                                       source_name(source));
    }
    return 0;
}

/* Makes `fd` a copy of the descriptor that has nothing yet. */
static int await(struct sources *s, size_t i, struct muster_error *ret_error)
{
    int fd = s->sources[i].lines->fd;

    if (fd != s->awaited && dup3(fd, s->fd, O_CLOEXEC) < 0)
        return muster_error_system(ret_error, errno, "cannot wait for %s", source_name(&s->sources[i]));
    s->awaited = fd;
    return MUSTER_EAGAIN;
}

int sources_init(struct sources *s, const struct sources_spec *spec, struct muster_error *ret_error)
{
    int code;

    *s = (struct sources){.spec = *spec, .fd = -1};
    if (s->spec.source_count == 0) {
        s->spec.sources = &only_standard_input;
        s->spec.source_count = 1;
    }
    set_rules(s);
    code = s->spec.colsep ? columns_init(&s->columns, s->spec.colsep, ret_error) : 0;
    if (!code)
        code = open_sources(s, ret_error);
    s->records.sources = s->sources;
    s->records.rules = &s->rules;
    s->records.link = s->spec.link;
    s->records.read_all = s->spec.read_all;
    s->records.shuffle = s->spec.shuffle;
    s->records.seed = s->spec.seed;
    if (!code)
        code = sources_names(s, &(const struct word *){NULL}, &(size_t){0}, ret_error);
    if (code && code != MUSTER_EAGAIN) {
        sources_fini(s);
        return code;
    }
    return 0;
}

void sources_fini(struct sources *s)
{
    for (size_t i = 0; i < s->records.count; i++)
        source_fini(&s->sources[i]);
    lines_fini(&s->standard_input);
    columns_fini(&s->columns);
    texts_fini(&s->header);
    texts_fini(&s->columns_of_value);
    texts_fini(&s->row);
    free(s->names);
    free(s->words);
    if (s->sources && s->fd >= 0)
        close(s->fd);
    free(s->sources);
    *s = (struct sources){.fd = -1};
}

/* Headers. */

/* A header's columns, without the empty ones at its end, as Perl's split leaves them out. */
static int add_header(struct sources *s, struct word line)
{
    size_t filled;

    if (line.size > 0 && line.bytes[line.size - 1] == '\r')
        line.size--;
    texts_clear(&s->columns_of_value);
    if (columns_split(&s->columns, line, &s->columns_of_value))
        return MUSTER_ENOMEM;
    filled = s->columns_of_value.count;
    while (filled > 0 && texts_get(&s->columns_of_value, filled - 1).size == 0)
        filled--;
    for (size_t i = 0; i < filled; i++) {
        struct word name = texts_get(&s->columns_of_value, i);

        if (texts_add(&s->header, name.bytes, name.size))
            return MUSTER_ENOMEM;
    }
    return 0;
}

static int read_headers(struct sources *s, struct muster_error *ret_error)
{
    struct word line;
    int code = 0;

    if (s->spec.skip_first && !s->skipped)
        code = source_record(&s->sources[0], &s->rules, &line, ret_error);
    if (code == MUSTER_EAGAIN)
        return await(s, 0, ret_error);
    if (code && code != MUSTER_EEND)
        return code;
    s->skipped = true;
    for (; has_header(s) && s->headers < s->records.count; s->headers++) {
        code = source_record(&s->sources[s->headers], &s->rules, &line, ret_error);
        if (code == MUSTER_EAGAIN)
            return await(s, s->headers, ret_error);
        if (code == 0 && add_header(s, line))
            return out_of_memory(ret_error);
        if (code && code != MUSTER_EEND)
            return code;
    }
    return 0;
}

/* --header 0: the names of files; other sources go by their numbers. */
static int name_files(struct sources *s)
{
    char number[24];
    const char *name;

    for (size_t i = 0; i < s->records.count; i++) {
        snprintf(number, sizeof number, "%zu", i + 1);
        name = s->sources[i].spec->path ? s->sources[i].spec->path : number;
        if (texts_add(&s->header, name, strlen(name)))
            return MUSTER_ENOMEM;
    }
    return 0;
}

int sources_names(struct sources *s, const struct word **ret_names, size_t *ret_count,
                  struct muster_error *ret_error)
{
    int code;

    if (!s->names) {
        code = read_headers(s, ret_error);
        if (code)
            return code;
        if ((has_names_of_files(s) && name_files(s)) || texts_list(&s->header, &s->names, &(size_t){0}))
            return out_of_memory(ret_error);
    }
    *ret_names = s->names;
    *ret_count = s->header.count;
    return 0;
}

/* Rows. */

static bool is_white(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct word trim(const struct sources *s, struct word word)
{
    if (s->spec.trim == SOURCES_TRIM_LEFT || s->spec.trim == SOURCES_TRIM_BOTH)
        for (; word.size > 0 && is_white(word.bytes[0]); word.bytes++)
            word.size--;
    if (s->spec.trim == SOURCES_TRIM_RIGHT || s->spec.trim == SOURCES_TRIM_BOTH)
        while (word.size > 0 && is_white(word.bytes[word.size - 1]))
            word.size--;
    return word;
}

static int add_argument(struct sources *s, struct word word)
{
    word = trim(s, word);
    return texts_add(&s->row, word.bytes, word.size);
}

static int add_value(struct sources *s, struct word value)
{
    if (!s->spec.colsep)
        return add_argument(s, value);
    texts_clear(&s->columns_of_value);
    if (columns_split(&s->columns, value, &s->columns_of_value))
        return MUSTER_ENOMEM;
    for (size_t i = 0; i < s->columns_of_value.count; i++)
        if (add_argument(s, texts_get(&s->columns_of_value, i)))
            return MUSTER_ENOMEM;
    return 0;
}

/* The arguments of the present record. */
static int make_row(struct sources *s, struct muster_error *ret_error)
{
    texts_clear(&s->row);
    for (size_t i = 0; i < s->records.count && !s->spec.no_args; i++)
        if (add_value(s, records_value(&s->records, i)))
            return out_of_memory(ret_error);
    if (s->row.size > PROTO_VALUE_BYTES_MAX)
        return muster_error_set(ret_error, MUSTER_ELIMIT,
                                "the arguments of job %" PRIu64 " are longer than %d bytes", s->rows + 1,
                                PROTO_VALUE_BYTES_MAX);
    return 0;
}

int sources_next(struct sources *s, struct row *ret_row, struct muster_error *ret_error)
{
    int code = sources_names(s, &(const struct word *){NULL}, &(size_t){0}, ret_error);

    if (code)
        return code;
    code = records_next(&s->records, ret_error);
    if (code == MUSTER_EAGAIN)
        return await(s, s->records.awaited, ret_error);
    if (!code)
        code = make_row(s, ret_error);
    if (code)
        return code;
    if (texts_list(&s->row, &s->words, &s->words_room))
        return out_of_memory(ret_error);
    s->rows++;
    *ret_row = (struct row){.args = s->words, .count = s->row.count};
    return 0;
}

uint64_t sources_total(const struct sources *s)
{
    return records_total(&s->records);
}
