/* SPDX-License-Identifier: MIT
 *
 * The folder for large output. See exec_folder.h.
 */
#include "cli/exec_folder.h"

#include "coordinator/nest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

const char *exec_folder_temporary(const char *asked)
{
    const char *usual = getenv("TMPDIR");

    if (asked && *asked)
        return asked;
    return usual && *usual ? usual : "/tmp";
}

static int cannot_make(const struct exec_folder *folder, int error, struct muster_error *ret_error)
{
    return muster_error_system(ret_error, error, "cannot make a folder for output in %s", folder->parent);
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

/* Nobody guesses it, and takes it first, in the time until it is made. */
int exec_folder_init(struct exec_folder *folder, const char *parent, struct muster_error *ret_error)
{
    unsigned long long chance;
    char *real = realpath(parent, NULL);
    bool found = real && getrandom(&chance, sizeof chance, 0) == sizeof chance && is_usable(real);
    int error = errno;

    folder->parent = parent;
    if (found && snprintf(folder->path, sizeof folder->path, "%s/muster-exec-%016llx", real, chance) >=
                     (int)sizeof folder->path) {
        found = false;
        error = ENAMETOOLONG;
    }
    free(real);
    if (found)
        return 0;
    folder->path[0] = '\0';
    return cannot_make(folder, error, ret_error);
}

int exec_folder_make(const struct exec_folder *folder, struct muster_error *ret_error)
{
    return mkdir(folder->path, 0700) == 0 ? 0 : cannot_make(folder, errno, ret_error);
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

void exec_folder_remove(struct exec_folder *folder)
{
    if (folder->path[0])
        nest_remove_folder(folder->path);
    folder->path[0] = '\0';
}
