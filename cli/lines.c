/* SPDX-License-Identifier: MIT
 *
 * Lines of a descriptor. One buffer that slides: its unread part moves to the front when the
 * end is reached, and it grows only for a line that is longer than itself.
 */
#include "cli/lines.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_BYTES = 256 << 10 }; /* four pipes' worth: a read(2) costs little per line */

void lines_init(struct lines *lines, int fd, size_t limit_bytes)
{
    *lines = (struct lines){.fd = fd, .limit = limit_bytes, .delimiter = "\n", .delimiter_size = 1};
}

void lines_delimit(struct lines *lines, const char *delimiter, size_t size)
{
    lines->delimiter = delimiter;
    lines->delimiter_size = size;
    lines->searched = lines->start;
}

void lines_fini(struct lines *lines)
{
    free(lines->buffer);
    lines->buffer = NULL;
}

/* Makes room behind `end`. */
static int make_room(struct lines *lines)
{
    size_t size = lines->size > 0 ? lines->size * 2 : FIRST_BYTES;
    char *buffer;

    if (lines->start > 0) {
        memmove(lines->buffer, lines->buffer + lines->start, lines->end - lines->start);
        lines->searched -= lines->start;
        lines->end -= lines->start;
        lines->start = 0;
    }
    if (lines->end < lines->size)
        return 0;
    buffer = realloc(lines->buffer, size);
    if (!buffer)
        return MUSTER_ENOMEM;
    lines->buffer = buffer;
    lines->size = size;
    return 0;
}

/* Reads what is there. 0 when there was something, or the end. */
static int fill(struct lines *lines, struct muster_error *ret_error)
{
    struct pollfd waiting = {.fd = lines->fd, .events = POLLIN};
    ssize_t count;

    if (lines->start == lines->end)
        lines->start = lines->searched = lines->end = 0;
    if (lines->end == lines->size && make_room(lines))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (poll(&waiting, 1, 0) == 0)
        return MUSTER_EAGAIN;
    count = read(lines->fd, lines->buffer + lines->end, lines->size - lines->end);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return MUSTER_EAGAIN;
    if (count < 0)
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "%s", strerror(errno));
    lines->end += (size_t)count;
    lines->ended = count == 0;
    return 0;
}

/* The next delimiter in what was read, or NULL. */
static const char *find_delimiter(struct lines *lines)
{
    size_t size = lines->delimiter_size, left = lines->end - lines->searched;
    const char *found;

    if (left < size)
        return NULL;
    if (size == 1)
        found = memchr(lines->buffer + lines->searched, lines->delimiter[0], left);
    else
        found = memmem(lines->buffer + lines->searched, left, lines->delimiter, size);
    if (!found)
        lines->searched = lines->end - size + 1;
    return found;
}

int lines_next(struct lines *lines, const char **ret_line, size_t *ret_size, struct muster_error *ret_error)
{
    const char *delimiter;
    size_t length;
    int code;

    for (;;) {
        delimiter = find_delimiter(lines);
        length = delimiter ? (size_t)(delimiter - lines->buffer) - lines->start : lines->end - lines->start;
        if (length > lines->limit + (delimiter || lines->ended ? 0 : lines->delimiter_size - 1)) {
            lines->number++;
            return muster_error_set(ret_error, MUSTER_ELIMIT, "longer than %zu bytes", lines->limit);
        }
        if (delimiter || lines->ended)
            break;
        code = fill(lines, ret_error);
        if (code)
            return code;
    }
    if (!delimiter && length == 0)
        return MUSTER_EEND;
    *ret_line = lines->buffer + lines->start;
    *ret_size = length;
    lines->start += length + (delimiter ? lines->delimiter_size : 0);
    lines->searched = lines->start;
    lines->number++;
    return 0;
}
