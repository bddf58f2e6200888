/* SPDX-License-Identifier: MIT
 *
 * One input source of `muster exec`.
 */
#include "cli/source.h"

#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_white(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

const char *source_name(const struct source *source)
{
    if (!source->spec->path)
        return "the command line";
    return strcmp(source->spec->path, "-") == 0 ? "standard input" : source->spec->path;
}

static int system_error(const struct source *source, const char *reason, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot read arguments from %s: %s",
                            source_name(source), reason);
}

static int open_file(struct source *source, struct muster_error *ret_error)
{
    struct stat status;

    source->fd = open(source->spec->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (source->fd < 0 || fstat(source->fd, &status))
        return system_error(source, strerror(errno), ret_error);
    if (S_ISDIR(status.st_mode))
        return system_error(source, strerror(EISDIR), ret_error);
    return 0;
}

int source_init(struct source *source, const struct source_spec *spec, const struct source_rules *rules,
                struct lines *standard_input, struct muster_error *ret_error)
{
    int code;

    *source = (struct source){.spec = spec, .fd = -1};
    if (!spec->path)
        return 0;
    if (strcmp(spec->path, "-") == 0) {
        if (fcntl(standard_input->fd, F_GETFD) < 0)
            return system_error(source, strerror(errno), ret_error);
        source->lines = standard_input;
        return 0;
    }
    code = open_file(source, ret_error);
    if (code)
        return code;
    source->lines = &source->own_lines;
    lines_init(source->lines, source->fd, PROTO_VALUE_BYTES_MAX);
    lines_delimit(source->lines, rules->delimiter.bytes, rules->delimiter.size);
    return 0;
}

void source_fini(struct source *source)
{
    lines_fini(&source->own_lines);
    texts_fini(&source->unfinished);
    texts_fini(&source->values);
    if (source->fd >= 0)
        close(source->fd);
    source->fd = -1;
}

/* The end of a file that lies behind the end of its bytes: somebody took some away. */
static int check_whole(const struct source *source, struct muster_error *ret_error)
{
    struct stat status;
    off_t at;

    if (source->lines->number == 0 || fstat(source->lines->fd, &status) || !S_ISREG(status.st_mode))
        return 0;
    at = lseek(source->lines->fd, 0, SEEK_CUR);
    if (at > status.st_size)
        return system_error(source, "it became shorter meanwhile", ret_error);
    return 0;
}

static int next_in_file(struct source *source, struct word *ret_record, struct muster_error *ret_error)
{
    struct muster_error why;
    int code;

    code = lines_next(source->lines, &ret_record->bytes, &ret_record->size, &why);
    if (code == 0 || code == MUSTER_EAGAIN)
        return code;
    if (code == MUSTER_EEND)
        return check_whole(source, ret_error) ? MUSTER_ESYSTEM : MUSTER_EEND;
    if (code == MUSTER_ESYSTEM)
        return system_error(source, why.text, ret_error);
    return muster_error_set(ret_error, code, "%s, argument %" PRIu64 ": %s", source_name(source),
                            source->lines->number, why.text);
}

static int next_in_words(struct source *source, const struct source_rules *rules, struct word *ret_record)
{
    const char *rest, *delimiter;
    size_t size;

    if (source->word == source->spec->count)
        return MUSTER_EEND;
    rest = source->spec->words[source->word] + source->word_at;
    size = strlen(rest);
    delimiter = memmem(rest, size, rules->delimiter.bytes, rules->delimiter.size);
    if (delimiter) {
        size = (size_t)(delimiter - rest);
        source->word_at += size + rules->delimiter.size;
    } else {
        source->word++;
        source->word_at = 0;
    }
    *ret_record = (struct word){.bytes = rest, .size = size};
    return 0;
}

int source_record(struct source *source, const struct source_rules *rules, struct word *ret_record,
                  struct muster_error *ret_error)
{
    int code = MUSTER_EEND;

    if (!source->ended)
        code = source->lines ? next_in_file(source, ret_record, ret_error)
                             : next_in_words(source, rules, ret_record);
    if (code == MUSTER_EEND)
        source->ended = true;
    return code;
}

static bool is_end(const struct word *value, const struct source_rules *rules)
{
    return rules->end.size > 0 && value->size == rules->end.size &&
           memcmp(value->bytes, rules->end.bytes, value->size) == 0;
}

static bool is_blank(const struct word *value)
{
    for (size_t i = 0; i < value->size; i++)
        if (!is_white(value->bytes[i]))
            return false;
    return true;
}

/* Puts a record behind the value that is unfinished. */
static int join(struct source *source, const struct word *record, struct muster_error *ret_error)
{
    if (record->size > PROTO_VALUE_BYTES_MAX - source->unfinished.size)
        return muster_error_set(ret_error, MUSTER_ELIMIT,
                                "%s: lines joined by white space at their ends are longer than %d bytes",
                                source_name(source), PROTO_VALUE_BYTES_MAX);
    if (source->unfinished.count > 0 ? texts_append(&source->unfinished, record->bytes, record->size)
                                     : texts_add(&source->unfinished, record->bytes, record->size))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return 0;
}

static int add_value(struct source *source, const struct word *value, struct muster_error *ret_error)
{
    if (texts_add(&source->values, value->bytes, value->size))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    texts_clear(&source->unfinished);
    source->count++;
    return 0;
}

int source_read(struct source *source, const struct source_rules *rules, struct muster_error *ret_error)
{
    struct word value;
    int code;

    for (;;) {
        code = source_record(source, rules, &value, ret_error);
        if (code && code != MUSTER_EEND)
            return code;
        if (code == MUSTER_EEND || is_end(&value, rules)) {
            source->ended = true;
            if (source->unfinished.count == 0)
                return MUSTER_EEND;
            value = texts_get(&source->unfinished, 0);
            return add_value(source, &value, ret_error);
        }
        if (source->unfinished.count > 0) {
            code = join(source, &value, ret_error);
            if (code)
                return code;
            value = texts_get(&source->unfinished, 0);
        }
        if (rules->skip_blank && is_blank(&value)) {
            texts_clear(&source->unfinished);
            continue;
        }
        if (!rules->continued || value.size == 0 || !is_white(value.bytes[value.size - 1]))
            return add_value(source, &value, ret_error);
        if (source->unfinished.count == 0) {
            code = join(source, &value, ret_error);
            if (code)
                return code;
        }
    }
}
