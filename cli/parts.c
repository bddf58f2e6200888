/* SPDX-License-Identifier: MIT
 *
 * A file in parts. See parts.h.
 */
#include "cli/parts.h"

#include "proto/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WINDOW_BYTES = 32 << 10, /* what is read first around a cut; doubled until a record ends there */
    HEADER_BYTES = 1 << 20,  /* at the beginning of a file, in which its header is looked for */
};

static int cannot_read(const struct parts *parts, struct muster_error *ret_error)
{
    return muster_error_system(ret_error, errno, "cannot read %s", parts->path);
}

/* Reads so many bytes into the window, of which `kept` are there already, or up to the end of the file. */
static int read_window(struct parts *parts, uint64_t offset, size_t kept, size_t size, size_t *ret_size,
                       struct muster_error *ret_error)
{
    char *window = size > parts->room ? realloc(parts->window, size) : parts->window;
    ssize_t got = 1;

    if (!window)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    parts->room = size > parts->room ? size : parts->room;
    parts->window = window;
    for (; kept < size && got != 0; kept += (size_t)got)
        if ((got = TEMP_FAILURE_RETRY(pread(parts->fd, window + kept, size - kept, (off_t)(offset + kept)))) <
            0)
            return cannot_read(parts, ret_error);
    *ret_size = kept;
    return 0;
}

static int find_header(struct parts *parts, struct block_header *header, struct muster_error *ret_error)
{
    size_t size, header_size;
    int code = read_window(parts, 0, 0, HEADER_BYTES, &size, ret_error);

    if (code)
        return code;
    if (!block_header_find(header, (struct word){parts->window, size}, true, &header_size)) {
        if (size == HEADER_BYTES)
            return muster_error_set(ret_error, MUSTER_ELIMIT, "%s: the header is longer than %d bytes",
                                    parts->path, HEADER_BYTES);
        header_size = size;
    }
    parts->header_size = parts->at = header_size;
    return 0;
}

int parts_open(struct parts *parts, const char *path, struct separator *separator,
               struct block_header *header, uint64_t part_bytes, uint64_t count,
               struct muster_error *ret_error)
{
    struct stat status;
    off_t end;

    *parts = (struct parts){.separator = separator, .path = path};
    parts->fd =
        open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO is refused, not waited for */
    if (parts->fd < 0 || fstat(parts->fd, &status) != 0)
        return cannot_read(parts, ret_error);
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return muster_error_set(ret_error, MUSTER_EINVALID, "--pipepart: %s is no file to seek in", path);
    end = lseek(parts->fd, 0, SEEK_END);
    if (end < 0)
        return cannot_read(parts, ret_error);
    parts->size = (uint64_t)end;
    parts->part_bytes = part_bytes > 0 ? part_bytes : parts->size / count + 1;
    return find_header(parts, header, ret_error);
}

void parts_close(struct parts *parts)
{
    if (parts->fd >= 0)
        close(parts->fd);
    free(parts->window);
    *parts = (struct parts){.fd = -1};
}

/* Where the first record ends from `target` on, which is before the end of the file, and not its beginning.
 */
static int find_cut(struct parts *parts, uint64_t target, uint64_t *ret_cut, struct muster_error *ret_error)
{
    size_t from = 0, kept = 0, size, cut;
    int code;

    if (parts->separator->text && parts->separator->end_size == 0)
        target--; /* a record may start right there */
    for (size_t wanted = WINDOW_BYTES;; wanted *= 2) {
        code = read_window(parts, target, kept, wanted, &size, ret_error);
        if (code)
            return code;
        code =
            separator_next(parts->separator, (struct word){parts->window, size}, from, size == wanted, &cut);
        if (code == 0) {
            *ret_cut = target + cut;
            return 0;
        }
        if (code != MUSTER_EEND)
            return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        if (size < wanted) {
            *ret_cut = parts->size;
            return 0;
        }
        if (wanted >= PROTO_VALUE_BYTES_MAX)
            return muster_error_set(ret_error, MUSTER_ELIMIT,
                                    "%s: no record ends within %d bytes from %" PRIu64 " on", parts->path,
                                    PROTO_VALUE_BYTES_MAX, target);
        from = separator_resume(parts->separator, size, from);
        kept = size;
    }
}

int parts_next(struct parts *parts, struct part *ret_part, struct muster_error *ret_error)
{
    uint64_t cut = parts->size;
    int code = 0;

    if (parts->at >= parts->size)
        return MUSTER_EEND;
    if (parts->part_bytes < parts->size - parts->at)
        code = find_cut(parts, parts->at + parts->part_bytes, &cut, ret_error);
    if (code)
        return code;
    cut = cut < parts->size ? cut : parts->size; /* it grew meanwhile */
    *ret_part = (struct part){.offset = parts->at, .size = cut - parts->at};
    parts->at = cut;
    return 0;
}
