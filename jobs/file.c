/* SPDX-License-Identifier: MIT
 *
 * Reading a file through muster_call_block. See file.h.
 *
 * Thousands of jobs may read at once under `loop`, more than there are descriptors: a job
 * without one waits for those that have theirs, which need nothing more to end.
 */
#include "jobs/file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 64 << 10,      /* a system call for every 200 us of hashing */
    DESCRIPTOR_WAITS_MAX = 3000, /* 30 s; then it is not jobs of ours that hold them */
    DESCRIPTOR_WAIT_MS = 10,
};

struct file {
    const char *path;
    int descriptor; /* -1: not open */
    struct stat status;
    uint8_t *block; /* owned */
    ssize_t got;    /* bytes of the block; -1: failed */
    int cause;      /* errno of what failed; 0 when nothing did */
};

static int fail(muster_call *call, const char *verb, const struct file *file)
{
    return muster_call_fail(call, "cannot %s \"%s\": %s", verb, file->path, strerror(file->cause));
}

/* Where it may block: opens it and learns what it is. */
static void open_file(void *context)
{
    struct file *file = context;

    file->cause = 0;
    file->descriptor =
        open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* a FIFO would block */
    if (file->descriptor < 0 || fstat(file->descriptor, &file->status) != 0)
        file->cause = errno;
}

/* Where it may block: the next block, and at the end how long the file is by now. */
static void read_block(void *context)
{
    struct file *file = context;

    file->cause = 0;
    do
        file->got = read(file->descriptor, file->block, BLOCK_BYTES);
    while (file->got < 0 && errno == EINTR);
    if (file->got < 0 || (file->got == 0 && fstat(file->descriptor, &file->status) != 0))
        file->cause = errno;
}

static int open_when_there_is_a_descriptor(muster_call *call, struct file *file)
{
    int waits, code;

    for (waits = 0;; waits++) {
        code = muster_call_block(call, open_file, file);
        if (code != 0)
            return code;
        if ((file->cause != EMFILE && file->cause != ENFILE) || waits == DESCRIPTOR_WAITS_MAX)
            return file->cause == 0 ? 0 : fail(call, "open", file);
        code = muster_call_sleep(call, DESCRIPTOR_WAIT_MS / 1000.0);
        if (code != 0)
            return code;
    }
}

static int check_kind(muster_call *call, struct file *file)
{
    file->cause = EISDIR;
    if (S_ISDIR(file->status.st_mode))
        return fail(call, "read", file);
    if (!S_ISREG(file->status.st_mode) && !S_ISBLK(file->status.st_mode))
        return muster_call_fail(call, "cannot read \"%s\": it is neither a file nor a disk", file->path);
    return 0;
}

/* The size at the beginning says little: it is 0 for files of /proc, a page for those of /sys,
 * and may grow. But a file that has become shorter was not read whole. */
static int read_blocks(muster_call *call, struct file *file,
                       void (*take)(void *context, const uint8_t *bytes, size_t size), void *context)
{
    off_t size = file->status.st_size;
    double done = 0;
    int code;

    for (;;) {
        if (muster_call_cancelled(call))
            return MUSTER_ECANCELLED;
        code = muster_call_block(call, read_block, file);
        if (code != 0)
            return code;
        if (file->cause != 0)
            return fail(call, "read", file);
        if (file->got == 0)
            break;
        take(context, file->block, (size_t)file->got);
        done += (double)file->got;
        muster_call_progress(call, size > 0 ? done / (double)size : 0);
    }
    if (file->status.st_size < size)
        return muster_call_fail(
            call, "cannot read \"%s\": it was cut from %" PRIdMAX " to %" PRIdMAX " bytes meanwhile",
            file->path, (intmax_t)size, (intmax_t)file->status.st_size);
    return 0;
}

int file_read(muster_call *call, const char *path,
              void (*take)(void *context, const uint8_t *bytes, size_t size), void *context)
{
    struct file file = {.path = path, .descriptor = -1};
    int code;

    code = open_when_there_is_a_descriptor(call, &file);
    if (code == 0)
        code = check_kind(call, &file);
    if (code != 0)
        goto out;
    file.block = malloc(BLOCK_BYTES);
    code = file.block ? read_blocks(call, &file, take, context)
                      : muster_call_fail(call, "out of memory for a block of a file");
out:
    free(file.block);
    if (file.descriptor >= 0)
        close(file.descriptor);
    return code;
}
