/* SPDX-License-Identifier: MIT
 *
 * Reads from a disk, past the page cache, and writes that are safe on it. The file that this
 * needs has no name: whatever ends the process, nothing is left.
 */
#include "lab/rung.h"

#include "base/clock.h"
#include "jobs/random.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 4096,
    PIECE_BYTES = 1 << 20,
    FILE_BYTES = 32 << 20, /* for reads: more than a disk reads ahead */
    SYNCED_BYTES = 1 << 20,
};

struct file {
    int fd;         /* owned */
    uint8_t *piece; /* owned; PIECE_BYTES, aligned as direct reads ask for */
    struct random random;
};

/* A file without a name; where the filesystem knows of none, one whose name is taken away. */
static int open_nameless(const char *folder, int flags)
{
    char path[PATH_MAX];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT))
        return fd;
    if (snprintf(path, sizeof path, "%s/muster-XXXXXX", folder) >= (int)sizeof path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC | flags);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Writes `bytes` of it, in pieces. */
static int fill(const struct ladder_spec *spec, const struct file *file, size_t bytes,
                struct muster_error *ret_error)
{
    for (size_t at = 0; at < bytes; at += PIECE_BYTES) {
        ssize_t count = pwrite(file->fd, file->piece, PIECE_BYTES, (off_t)at);

        if (count != PIECE_BYTES)
            return muster_error_system(ret_error, count < 0 ? errno : ENOSPC, "cannot write a file in %s",
                                       spec->folder);
    }
    if (fsync(file->fd) != 0)
        return muster_error_system(ret_error, errno, "cannot write a file in %s to its disk", spec->folder);
    return 0;
}

static void file_fini(struct file *file)
{
    close(file->fd);
    free(file->piece);
}

static int file_init(const struct ladder_spec *spec, int flags, size_t bytes, struct file *file,
                     struct muster_error *ret_error)
{
    void *piece;
    int code;

    if ((file->fd = open_nameless(spec->folder, flags)) < 0) {
        if (errno == EINVAL && flags == O_DIRECT)
            return muster_error_set(ret_error, MUSTER_ENOTFOUND,
                                    "the filesystem of %s refuses reads past its cache (--dir)",
                                    spec->folder);
        return muster_error_system(ret_error, errno, "cannot make a file in %s (--dir)", spec->folder);
    }
    if (posix_memalign(&piece, BLOCK_BYTES, PIECE_BYTES) != 0) {
        close(file->fd);
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory for %d bytes", PIECE_BYTES);
    }
    memset(piece, 'm', PIECE_BYTES);
    file->piece = piece;
    random_seed(&file->random, clock_now_ns());
    if ((code = fill(spec, file, bytes, ret_error)) != 0)
        file_fini(file);
    return code;
}

static off_t any_block(struct file *file, size_t bytes)
{
    return (off_t)(random_next(&file->random) % (bytes / BLOCK_BYTES) * BLOCK_BYTES);
}

static int read_often(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct file *file = context;
    uint64_t began_ns = clock_now_ns();

    for (uint64_t i = 0; i < times; i++)
        if (pread(file->fd, file->piece, BLOCK_BYTES, any_block(file, FILE_BYTES)) != BLOCK_BYTES)
            return muster_error_system(ret_error, errno, "cannot read a file past the cache");
    *ret_ns = clock_now_ns() - began_ns;
    return 0;
}

static int sync_often(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct file *file = context;
    uint64_t began_ns = clock_now_ns();

    for (uint64_t i = 0; i < times; i++)
        if (pwrite(file->fd, file->piece, BLOCK_BYTES, any_block(file, SYNCED_BYTES)) != BLOCK_BYTES ||
            fsync(file->fd) != 0)
            return muster_error_system(ret_error, errno, "cannot write a file to its disk");
    *ret_ns = clock_now_ns() - began_ns;
    return 0;
}

/* What stands behind the folder's name, where that is no disk. */
static const char *kind_of(const struct file *file)
{
    struct statfs status;

    if (fstatfs(file->fd, &status) != 0)
        return "";
    return status.f_type == TMPFS_MAGIC || status.f_type == RAMFS_MAGIC ? ", which is in memory" : "";
}

/* Blocks of a file of so many bytes. */
static int measure_file(const struct ladder_spec *spec, int flags, size_t bytes, const char *how,
                        rung_block *block, struct ladder_figure *figure, struct sample *sample,
                        struct muster_error *ret_error)
{
    struct file file;
    int code = file_init(spec, flags, bytes, &file, ret_error);

    if (code)
        return code;
    snprintf(figure->note, sizeof figure->note, "%s, in %.80s%s", how, spec->folder, kind_of(&file));
    code = rung_measure(spec, block, &file, RUNG_BY_TIME, sample, ret_error);
    file_fini(&file);
    return code;
}

int rung_disk_read(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
                   struct muster_error *ret_error)
{
    return measure_file(spec, O_DIRECT, FILE_BYTES, "at random, past the page cache", read_often, figure,
                        sample, ret_error);
}

int rung_fsync(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
               struct muster_error *ret_error)
{
    return measure_file(spec, 0, SYNCED_BYTES, "after a write of 4 KiB", sync_often, figure, sample,
                        ret_error);
}
