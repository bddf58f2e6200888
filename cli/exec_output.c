/* SPDX-License-Identifier: MIT
 *
 * What commands wrote, written again. See exec_output.h.
 */
#include "cli/exec_output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 64 << 10,
    SEND_BYTES = 1 << 30, /* at a time: the kernel sends no more */
};

static int cannot_write(const char *name, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_EOUTPUT, "%s: %s", name, strerror(errno));
}

bool exec_output_again(int fd)
{
    struct pollfd item = {.fd = fd, .events = POLLOUT};

    if (errno == EAGAIN)
        return poll(&item, 1, -1) >= 0 || errno == EINTR;
    return errno == EINTR;
}

bool exec_output_left(int fd)
{
    struct pollfd item = {.fd = fd};

    return poll(&item, 1, 0) == 1 && (item.revents & (POLLERR | POLLHUP)) != 0;
}

int exec_output_bytes(int fd, const char *name, const char *bytes, size_t size,
                      struct muster_error *ret_error)
{
    while (size > 0) {
        ssize_t wrote = write(fd, bytes, size);

        if (wrote < 0 && !exec_output_again(fd))
            return cannot_write(name, ret_error);
        if (wrote > 0) {
            bytes += wrote;
            size -= (size_t)wrote;
        }
    }
    return 0;
}

static int tag_lines(struct exec_tagger *tagger, const char *bytes, size_t size)
{
    msgpack_sbuffer_clear(&tagger->lines);
    while (size > 0) {
        const char *newline = memchr(bytes, '\n', size);
        size_t length = newline ? (size_t)(newline - bytes) + 1 : size;

        if ((!tagger->in_line && (!exec_output_gather(&tagger->lines, tagger->tag.bytes, tagger->tag.size) ||
                                  !exec_output_gather(&tagger->lines, "\t", 1))) ||
            !exec_output_gather(&tagger->lines, bytes, length))
            return MUSTER_ENOMEM;
        tagger->in_line = !newline;
        bytes += length;
        size -= length;
    }
    return 0;
}

int exec_output_piece(int fd, const char *name, struct exec_tagger *tagger, const char *bytes, size_t size,
                      struct muster_error *ret_error)
{
    if (!tagger->tag.bytes)
        return exec_output_bytes(fd, name, bytes, size, ret_error);
    if (tag_lines(tagger, bytes, size))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return exec_output_bytes(fd, name, tagger->lines.data, tagger->lines.size, ret_error);
}

static int copy_file(int fd, const char *name, struct exec_tagger *tagger, int from, const char *path,
                     struct muster_error *ret_error)
{
    char block[BLOCK_BYTES];
    int code = 0;
    ssize_t got;

    while (!code && (got = read(from, block, sizeof block)) != 0) {
        if (got > 0)
            code = exec_output_piece(fd, name, tagger, block, (size_t)got, ret_error);
        else if (errno != EINTR)
            return muster_error_set(ret_error, MUSTER_EOUTPUT, "%s: %s", path, strerror(errno));
    }
    return code;
}

/* Without a copy through this process where the kernel can do it: sendfile does not write to files that
 * are appended to, nor tags. */
static int write_file(int fd, const char *name, struct exec_tagger *tagger,
                      const struct exec_written *written, struct muster_error *ret_error)
{
    int from = written->fd;
    ssize_t got = 1;

    if (lseek(from, 0, SEEK_SET) != 0)
        return cannot_write(written->path, ret_error);
    while (!tagger->tag.bytes && got != 0) {
        got = sendfile(fd, from, NULL, SEND_BYTES);
        if (got < 0 && errno == EINVAL)
            break;
        if (got < 0 && !exec_output_again(fd))
            return cannot_write(name, ret_error);
    }
    return got == 0 ? 0 : copy_file(fd, name, tagger, from, written->path, ret_error);
}

/* Whether `name` is the file that is open. */
static bool is_same(int fd, int folder_fd, const char *name)
{
    struct stat file, named;

    return fstat(fd, &file) == 0 && fstatat(folder_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
           file.st_dev == named.st_dev && file.st_ino == named.st_ino;
}

bool exec_output_move(const struct exec_written *written, mode_t mode, int folder_fd, const char *name)
{
    bool moved = fchmod(written->fd, mode) == 0 && renameat(AT_FDCWD, written->path, folder_fd, name) == 0;

    if (moved && !is_same(written->fd, folder_fd, name)) { /* a job was quicker */
        unlinkat(folder_fd, name, 0);
        moved = false;
    }
    return moved;
}

int exec_output_write(int fd, const char *name, const struct exec_written *written, struct word tag,
                      struct muster_error *ret_error)
{
    struct exec_tagger tagger = {.tag = tag};
    int code;

    msgpack_sbuffer_init(&tagger.lines);
    code = written->bytes ? exec_output_piece(fd, name, &tagger, written->bytes, written->size, ret_error)
                          : write_file(fd, name, &tagger, written, ret_error);
    msgpack_sbuffer_destroy(&tagger.lines);
    return code;
}
