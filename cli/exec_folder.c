/* SPDX-License-Identifier: MIT
 *
 * The folder for large output. See exec_folder.h.
 */
#include "cli/exec_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "live-%" PRIu64
enum { FILE_BYTES = sizeof "live-18446744073709551615" };

const char *exec_folder_temporary(const char *asked)
{
    const char *usual = getenv("TMPDIR");

    if (asked && *asked)
        return asked;
    return usual && *usual ? usual : "/tmp";
}

static int cannot_make(const char *parent, int error, struct muster_error *ret_error)
{
    return muster_error_system(ret_error, error, "cannot make a folder for output in %s", parent);
}

/* Whether files can be made in it; errno says why not. */
static bool is_usable(const char *folder)
{
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool usable = fd >= 0 && faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
    int error = errno;

    if (fd >= 0)
        close(fd);
    errno = error;
    return usable;
}

int exec_folder_init(struct exec_folder *folder, const char *parent, struct muster_error *ret_error)
{
    bool usable = realpath(parent, folder->parent) && is_usable(folder->parent);

    folder->fd = folder->parent_fd = -1;
    return usable ? 0 : cannot_make(parent, errno, ret_error);
}

int exec_folder_share(struct exec_folder *folder, struct muster_error *ret_error)
{
    int fd = open(folder->parent, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0)
        folder->parent_fd = fcntl(fd, F_DUPFD, STDERR_FILENO + 1);
    if (folder->parent_fd < 0)
        muster_error_system(ret_error, errno, "cannot share the folder %s with workers", folder->parent);
    if (fd >= 0)
        close(fd);
    return folder->parent_fd >= 0 ? 0 : MUSTER_ESYSTEM;
}

void exec_folder_take(struct exec_folder *folder, const char *path)
{
    snprintf(folder->path, sizeof folder->path, "%s", path);
}

int exec_folder_make(struct exec_folder *folder, struct muster_error *ret_error)
{
    if (mkdir(folder->path, 0700) == 0)
        folder->fd = open(folder->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return folder->fd >= 0 ? 0 : cannot_make(folder->parent, errno, ret_error);
}

/* Whether it is what was made, whose inode something else may have by now. */
static bool is_same(int fd, struct exec_folder_file *file)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return false;
    if (!file->made)
        *file = (struct exec_folder_file){file->number, status.st_dev, status.st_ino, true};
    return S_ISREG(status.st_mode) && status.st_nlink == 1 && file->device == status.st_dev &&
           file->inode == status.st_ino;
}

/* It must not wait for who reads a pipe. */
int exec_folder_open(const struct exec_folder *folder, struct exec_folder_file *file, int flags, int *ret_fd,
                     struct muster_error *ret_error)
{
    char name[FILE_BYTES];
    int fd;

    snprintf(name, sizeof name, FILE_NAME, file->number);
    flags |= O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
    fd = openat(folder->fd, name, file->made ? flags : flags | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return muster_error_system(ret_error, errno, "cannot keep output in %s/%s", folder->path, name);
    if (!is_same(fd, file)) {
        close(fd);
        return muster_error_set(ret_error, MUSTER_ESYSTEM,
                                "cannot keep output in %s/%s: a job has put something in its place",
                                folder->path, name);
    }
    *ret_fd = fd;
    return 0;
}

void exec_folder_unlink(const struct exec_folder *folder, struct exec_folder_file *file)
{
    char name[FILE_BYTES];

    snprintf(name, sizeof name, FILE_NAME, file->number);
    if (file->made)
        unlinkat(folder->fd, name, 0);
    file->made = false;
}

int exec_folder_want(const char *path, struct muster_error *ret_error)
{
    size_t size = strlen(path);
    char above[PATH_MAX];
    struct stat status;
    int error = 0; /* why the first folder that is missing could not be made */

    if (strcmp(path, "...") == 0 || strchr(path, '{'))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "--wd %s: one folder for all commands is expected; let them make their own",
                                path);
    if (size >= sizeof above)
        return muster_error_system(ret_error, ENAMETOOLONG, "--wd %s", path);
    for (size_t i = 1; i <= size; i++)
        if (path[i] == '/' || path[i] == '\0') {
            memcpy(above, path, i);
            above[i] = '\0';
            if (mkdir(above, 0777) != 0 && errno != EEXIST && error == 0)
                error = errno;
        }
    if (stat(path, &status) != 0)
        return muster_error_system(ret_error, errno == ENOENT && error ? error : errno, "--wd %s", path);
    return S_ISDIR(status.st_mode) ? 0 : muster_error_system(ret_error, ENOTDIR, "--wd %s", path);
}

void exec_folder_close(struct exec_folder *folder)
{
    if (folder->parent[0] && folder->fd >= 0)
        close(folder->fd);
    if (folder->parent[0] && folder->parent_fd >= 0)
        close(folder->parent_fd);
    folder->parent[0] = '\0';
}
