/* SPDX-License-Identifier: MIT
 *
 * The folder for large output. See exec_folder.h.
 */
#include "cli/exec_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *exec_folder_temporary(const char *asked)
{
    const char *usual = getenv("TMPDIR");

    if (asked && *asked)
        return asked;
    return usual && *usual ? usual : "/tmp";
}

int exec_folder_make(struct exec_folder *folder, const char *parent, struct muster_error *ret_error)
{
    int size = snprintf(folder->path, sizeof folder->path, "%s/muster-exec-XXXXXX", parent);

    if (size >= 0 && (size_t)size < sizeof folder->path && mkdtemp(folder->path))
        return 0;
    folder->path[0] = '\0';
    return muster_error_system(ret_error, (size_t)size < sizeof folder->path ? errno : ENAMETOOLONG,
                               "cannot make a folder for output in %s", parent);
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
    DIR *entries = folder->path[0] ? opendir(folder->path) : NULL;
    const struct dirent *entry;

    while (entries && (entry = readdir(entries)) != NULL)
        if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN)
            unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        closedir(entries);
    if (folder->path[0])
        rmdir(folder->path);
    folder->path[0] = '\0';
}
