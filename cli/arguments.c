/* SPDX-License-Identifier: MIT
 *
 * The arguments of a command line as a source. All of it runs on the thread that calls
 * muster_map.
 */
#include "cli/arguments.h"

#include "cli/json_read.h"
#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const standard_input[] = {"-"};

static bool is_standard_input(const char *item)
{
    return strcmp(item, "-") == 0;
}

static const char *item_name(const char *item)
{
    return is_standard_input(item) ? "standard input" : item;
}

/* Words. */

/* Moves *text behind an integer; false when there is none. */
static bool skip_integer(const char **text)
{
    const char *digits = *text + (**text == '-');
    size_t count = strspn(digits, "0123456789");

    *text = digits + count;
    return count > 0;
}

static bool is_range(const char *word)
{
    const char *at = word;

    if (!skip_integer(&at) || strncmp(at, "..", 2) != 0)
        return false;
    at += 2;
    return skip_integer(&at) && *at == '\0';
}

/* The ends of a word that is_range. */
static int read_range(const char *word, int64_t *ret_first, int64_t *ret_last, struct muster_error *ret_error)
{
    int64_t first, last;
    char *end;

    errno = 0;
    first = strtoll(word, &end, 10);
    last = strtoll(end + 2, NULL, 10);
    if (errno)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "the range %s goes beyond 64 bits with a sign",
                                word);
    if (first > last)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "the range %s is empty: write the smaller number first", word);
    *ret_first = first;
    *ret_last = last;
    return 0;
}

/* Puts where it happened in front of an error. */
static int word_error(size_t number, const struct muster_error *why, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, why->code, "argument %zu: %s", number, why->text);
}

static int check_words(const struct arguments *arguments, struct muster_error *ret_error)
{
    struct muster_error why;
    msgpack_object value;
    msgpack_zone zone;
    int64_t first, last;
    int code = 0;

    if (!msgpack_zone_init(&zone, MSGPACK_ZONE_CHUNK_SIZE))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    for (size_t i = 0; i < arguments->count && !code; i++) {
        if (is_range(arguments->items[i]))
            code = read_range(arguments->items[i], &first, &last, &why);
        else
            code = json_read(arguments->items[i], strlen(arguments->items[i]), &zone, &value, &why);
        if (code)
            word_error(i + 1, &why, ret_error);
        msgpack_zone_clear(&zone);
    }
    msgpack_zone_destroy(&zone);
    return code;
}

static int next_word(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                     struct muster_error *ret_error)
{
    struct arguments *arguments = context;
    struct muster_error why;
    const char *word;
    int code;

    if (!arguments->in_range) {
        if (arguments->next == arguments->count)
            return MUSTER_EEND;
        word = arguments->items[arguments->next++];
        if (!is_range(word)) {
            code = json_read(word, strlen(word), zone, ret_argument, &why);
            return code ? word_error(arguments->next, &why, ret_error) : 0;
        }
        code = read_range(word, &arguments->at, &arguments->last, &why);
        if (code)
            return word_error(arguments->next, &why, ret_error);
    }
    json_read_integer(arguments->at, ret_argument);
    arguments->in_range = arguments->at < arguments->last;
    if (arguments->in_range)
        arguments->at++;
    return 0;
}

static uint64_t count_words(const struct arguments *arguments)
{
    uint64_t total = 0, length;
    int64_t first, last;

    for (size_t i = 0; i < arguments->count; i++) {
        length = 1;
        if (is_range(arguments->items[i]) && read_range(arguments->items[i], &first, &last, NULL) == 0)
            length = (uint64_t)last - (uint64_t)first + 1;
        if (length == 0 || __builtin_add_overflow(total, length, &total))
            return 0; /* more than 64 bits can count */
    }
    return total;
}

/* Lines. */

static int file_error(const char *item, int errno_value, struct muster_error *ret_error)
{
    return muster_error_system(ret_error, errno_value, "cannot read arguments from %s", item_name(item));
}

/* Opens items[next] as `fd`, which stays the same number for all files: libmuster polls it. */
static int open_next(struct arguments *arguments, struct muster_error *ret_error)
{
    const char *item = arguments->items[arguments->next];
    int fd, error = 0;

    if (is_standard_input(item))
        fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    else
        fd = open(item, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0 && arguments->fd >= 0) {
        if (dup3(fd, arguments->fd, O_CLOEXEC) < 0)
            error = errno;
        close(fd);
    } else if (fd >= 0) {
        arguments->fd = fd;
    } else {
        error = errno;
    }
    if (error)
        return file_error(item, error, ret_error);
    lines_init(&arguments->lines, arguments->fd, PROTO_VALUE_BYTES_MAX);
    arguments->reading = true;
    arguments->next++;
    return 0;
}

static int check_files(const struct arguments *arguments, struct muster_error *ret_error)
{
    struct stat status;
    const char *item;

    if (arguments->count == 0)
        return muster_error_set(ret_error, MUSTER_EINVALID, ":::: needs the name of a file after it");
    for (size_t i = 0; i < arguments->count; i++) {
        item = arguments->items[i];
        if (is_standard_input(item))
            continue;
        if (stat(item, &status) || access(item, R_OK))
            return file_error(item, errno, ret_error);
        if (S_ISDIR(status.st_mode))
            return file_error(item, EISDIR, ret_error);
    }
    return 0;
}

/* Puts the file, and for what is about one line its number, in front of an error. */
static int line_error(const struct arguments *arguments, const struct muster_error *why,
                      struct muster_error *ret_error)
{
    const char *name = item_name(arguments->items[arguments->next - 1]);

    if (why->code == MUSTER_ESYSTEM)
        return muster_error_set(ret_error, why->code, "cannot read arguments from %s: %s", name, why->text);
    return muster_error_set(ret_error, why->code, "%s, line %" PRIu64 ": %s", name, arguments->lines.number,
                            why->text);
}

static int next_stored_line(struct arguments *arguments, const char **ret_line, size_t *ret_size)
{
    const char *line = arguments->store.data + arguments->store_at;
    size_t left = arguments->store.size - arguments->store_at;

    if (left == 0)
        return MUSTER_EEND;
    *ret_line = line;
    *ret_size = (size_t)((const char *)memchr(line, '\n', left) - line);
    arguments->store_at += *ret_size + 1;
    return 0;
}

static int next_line(struct arguments *arguments, const char **ret_line, size_t *ret_size,
                     struct muster_error *ret_error)
{
    struct muster_error why;
    int code;

    if (arguments->kept)
        return next_stored_line(arguments, ret_line, ret_size);
    for (;;) {
        if (!arguments->reading) {
            if (arguments->next == arguments->count)
                return MUSTER_EEND;
            code = open_next(arguments, ret_error);
            if (code)
                return code;
        }
        code = lines_next(&arguments->lines, ret_line, ret_size, &why);
        if (code == 0 || code == MUSTER_EAGAIN)
            return code;
        if (code != MUSTER_EEND)
            return line_error(arguments, &why, ret_error);
        lines_fini(&arguments->lines);
        arguments->reading = false;
    }
}

/* The next line and its value, which may be a string that points at the line. */
static int read_line(struct arguments *arguments, msgpack_zone *zone, const char **ret_line, size_t *ret_size,
                     msgpack_object *ret_value, struct muster_error *ret_error)
{
    struct muster_error why;
    int code;

    code = next_line(arguments, ret_line, ret_size, ret_error);
    if (code)
        return code;
    code = json_read(*ret_line, *ret_size, zone, ret_value, &why);
    return code ? line_error(arguments, &why, ret_error) : 0;
}

static int next_line_value(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                           struct muster_error *ret_error)
{
    const char *line;
    size_t size;
    char *copy;
    int code;

    code = read_line(context, zone, &line, &size, ret_argument, ret_error);
    if (code)
        return code;
    if (ret_argument->type == MSGPACK_OBJECT_STR && ret_argument->via.str.ptr == line) {
        copy = msgpack_zone_malloc(zone, size > 0 ? size : 1);
        if (!copy)
            return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        ret_argument->via.str.ptr = memcpy(copy, line, size);
    }
    return 0;
}

/* Waits for more input. */
static int wait_for_line(const struct arguments *arguments, int interrupt_fd, struct muster_error *ret_error)
{
    struct pollfd waiting[] = {{.fd = arguments->fd, .events = POLLIN},
                               {.fd = interrupt_fd, .events = POLLIN}};

    if (poll(waiting, 2, -1) < 0 && errno != EINTR)
        return muster_error_system(ret_error, errno, "cannot wait for arguments");
    if (waiting[1].revents)
        return muster_error_set(ret_error, MUSTER_ECANCELLED, "interrupted");
    return 0;
}

int arguments_keep(struct arguments *arguments, int interrupt_fd, struct muster_error *ret_error)
{
    msgpack_object value;
    msgpack_zone zone;
    const char *line;
    size_t size;
    int code = 0;

    if (arguments->family == ARGUMENTS_WORDS || arguments->kept)
        return 0;
    if (!msgpack_zone_init(&zone, MSGPACK_ZONE_CHUNK_SIZE))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    while (!code) {
        code = read_line(arguments, &zone, &line, &size, &value, ret_error);
        if (code == MUSTER_EAGAIN)
            code = wait_for_line(arguments, interrupt_fd, ret_error);
        else if (!code && (msgpack_sbuffer_write(&arguments->store, line, size) ||
                           msgpack_sbuffer_write(&arguments->store, "\n", 1)))
            code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        msgpack_zone_clear(&zone);
    }
    msgpack_zone_destroy(&zone);
    if (code != MUSTER_EEND)
        return code;
    arguments->kept = true;
    return 0;
}

uint64_t arguments_total(const struct arguments *arguments)
{
    return arguments->family == ARGUMENTS_WORDS ? count_words(arguments) : 0;
}

int arguments_rewind(void *context)
{
    struct arguments *arguments = context;

    if (arguments->family != ARGUMENTS_WORDS && !arguments->kept)
        return MUSTER_ESTATE;
    if (arguments->family == ARGUMENTS_WORDS)
        arguments->next = 0;
    arguments->in_range = false;
    arguments->store_at = 0;
    return 0;
}

/* Both. */

int arguments_init(struct arguments *arguments, enum arguments_family family, const char *const *items,
                   size_t count, struct muster_error *ret_error)
{
    int code;

    *arguments = (struct arguments){.family = family, .items = items, .count = count, .fd = -1};
    if (family == ARGUMENTS_STDIN) {
        arguments->items = standard_input;
        arguments->count = 1;
    }
    if (family == ARGUMENTS_WORDS)
        return check_words(arguments, ret_error);
    code = check_files(arguments, ret_error);
    return code ? code : open_next(arguments, ret_error);
}

void arguments_fini(struct arguments *arguments)
{
    lines_fini(&arguments->lines);
    msgpack_sbuffer_destroy(&arguments->store);
    if (arguments->fd >= 0)
        close(arguments->fd);
    arguments->fd = -1;
}

struct muster_source arguments_source(struct arguments *arguments)
{
    struct muster_source source = {.kind = MUSTER_SOURCE_STREAM, .context = arguments, .fd = arguments->fd};

    if (arguments->family != ARGUMENTS_WORDS) {
        source.next = next_line_value;
        return source;
    }
    if (arguments->count == 1 && is_range(arguments->items[0]) &&
        read_range(arguments->items[0], &source.first, &source.last, NULL) == 0)
        source.kind = MUSTER_SOURCE_RANGE;
    source.next = next_word;
    return source;
}
