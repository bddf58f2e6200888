/* SPDX-License-Identifier: MIT
 *
 * A temporary file beside the path, and rename. See save.h.
 */
#include "cli/save.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file being saved. */
struct draft {
    const char *path;         /* as it was given; borrowed */
    char target[PATH_MAX];    /* the same without symbolic links: a link stays one */
    char temporary[PATH_MAX]; /* "" when the target is written to as it is */
    int fd;
};

static int fail(const struct draft *draft, int errno_value, struct muster_error *ret_error)
{
    return muster_error_system(ret_error, errno_value, "cannot write %s",
                               draft->path[0] ? draft->path : "a file without a name");
}

/* Decides what will be written, and where. */
static int draft_plan(struct draft *draft, const char *path, struct muster_error *ret_error)
{
    bool exists = realpath(path, draft->target) != NULL;
    struct stat status;

    draft->path = path;
    draft->temporary[0] = '\0';
    if (path[0] == '\0')
        return fail(draft, ENOENT, ret_error);
    if (!exists && snprintf(draft->target, PATH_MAX, "%s", path) >= PATH_MAX)
        return fail(draft, ENAMETOOLONG, ret_error);
    if (exists && stat(draft->target, &status) == 0 && !S_ISREG(status.st_mode))
        return S_ISDIR(status.st_mode) ? fail(draft, EISDIR, ret_error) : 0;
    if (snprintf(draft->temporary, PATH_MAX, "%s.%ld.tmp", draft->target, (long)getpid()) >= PATH_MAX)
        return fail(draft, ENAMETOOLONG, ret_error);
    return 0;
}

static int draft_open(struct draft *draft, struct muster_error *ret_error)
{
    const int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY;

    if (draft->temporary[0])
        draft->fd = open(draft->temporary, flags | O_CREAT | O_EXCL, 0666);
    else
        draft->fd = open(draft->target, flags);
    return draft->fd < 0 ? fail(draft, errno, ret_error) : 0;
}

/* Writes it all; a disk that is full says so here or in fsync. Returns 0 or errno. */
static int draft_write(const struct draft *draft, const char *bytes, size_t size)
{
    ssize_t count;

    for (; size > 0; bytes += count, size -= (size_t)count) {
        do
            count = write(draft->fd, bytes, size);
        while (count < 0 && errno == EINTR);
        if (count < 0)
            return errno;
    }
    return draft->temporary[0] && fsync(draft->fd) ? errno : 0;
}

int save_check(const char *path, struct muster_error *ret_error)
{
    struct draft draft;
    int code = draft_plan(&draft, path, ret_error);

    if (code || !draft.temporary[0])
        return code;
    code = draft_open(&draft, ret_error);
    if (code)
        return code;
    close(draft.fd);
    unlink(draft.temporary);
    return 0;
}

int save_file(const char *path, const char *bytes, size_t size, struct muster_error *ret_error)
{
    struct draft draft;
    int code = draft_plan(&draft, path, ret_error), error;

    if (!code)
        code = draft_open(&draft, ret_error);
    if (code)
        return code;
    error = draft_write(&draft, bytes, size);
    close(draft.fd);
    if (!error && draft.temporary[0] && rename(draft.temporary, draft.target))
        error = errno;
    if (error && draft.temporary[0])
        unlink(draft.temporary);
    return error ? fail(&draft, error, ret_error) : 0;
}
