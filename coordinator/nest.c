/* SPDX-License-Identifier: MIT
 *
 * The folder of a coordinator's ipc socket. See nest.h.
 */
#include "coordinator/nest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char LOCK[] = "lock", SOCKET[] = "socket";

/* Folders of coordinators that users start (place.h) are in the same one. Theirs have other names. */
static const char NAME[] = "XXXXXX", DAEMON[] = "daemon";

/* Where temporary things go, and the name of the variable that says so. */
static const char *parent_folder(const char **ret_variable)
{
    static const char *const variables[] = {"XDG_RUNTIME_DIR", "TMPDIR"};

    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *folder = getenv(variables[i]);

        *ret_variable = variables[i];
        if (folder && *folder)
            return folder;
    }
    *ret_variable = "TMPDIR";
    return "/tmp";
}

int nest_home(char ret_home[NEST_HOME_BYTES], const char **ret_variable, struct muster_error *ret_error)
{
    const char *variable, *parent = parent_folder(&variable);
    char home[NEST_HOME_BYTES];

    if (parent[0] != '/')
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s must name a folder from the root on, not %s",
                                variable, parent);
    if (snprintf(home, sizeof home, "%s/muster-%u", parent, (unsigned)geteuid()) >= NEST_HOME_BYTES)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "%s names a folder too long for sockets: %s",
                                variable, parent);
    memcpy(ret_home, home, sizeof home);
    if (ret_variable)
        *ret_variable = variable;
    return 0;
}

int nest_open_folder(const char *path, int *ret_fd, struct muster_error *ret_error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return muster_error_system(ret_error, errno, "cannot open the folder %s for sockets", path);
    if (fstat(fd, &status) != 0 || status.st_uid != geteuid() || (status.st_mode & 077) != 0) {
        close(fd);
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "the folder %s must belong to this user and be closed to others (mode 0700)",
                                path);
    }
    *ret_fd = fd;
    return 0;
}

int nest_open_home(int *ret_fd, struct muster_error *ret_error)
{
    char home[NEST_HOME_BYTES];
    const char *variable;
    int result = nest_home(home, &variable, ret_error);

    if (result != 0)
        return result;
    if (mkdir(home, 0700) != 0 && errno != EEXIST)
        return muster_error_system(ret_error, errno,
                                   "cannot make the folder %s for sockets (set %s to a folder "
                                   "that can be written)",
                                   home, variable);
    return nest_open_folder(home, ret_fd, ret_error);
}

static void remove_folder(int home_fd, int folder_fd, const char *name)
{
    unlinkat(folder_fd, SOCKET, 0);
    unlinkat(folder_fd, LOCK, 0);
    unlinkat(home_fd, name, AT_REMOVEDIR);
}

/* Removes folders whose coordinator is gone. The caller holds the lock on home. */
static void sweep(int home_fd)
{
    int list_fd = openat(home_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = list_fd < 0 ? NULL : fdopendir(list_fd);
    const struct dirent *entry;

    if (!list) {
        if (list_fd >= 0)
            close(list_fd);
        return;
    }
    while ((entry = readdir(list)) != NULL) {
        int folder_fd, lock_fd;

        if (strlen(entry->d_name) != strlen(NAME) || strcmp(entry->d_name, DAEMON) == 0)
            continue;
        folder_fd = openat(home_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (folder_fd < 0)
            continue;
        lock_fd = openat(folder_fd, LOCK, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (lock_fd < 0 ? errno == ENOENT : flock(lock_fd, LOCK_EX | LOCK_NB) == 0)
            remove_folder(home_fd, folder_fd, entry->d_name);
        if (lock_fd >= 0)
            close(lock_fd);
        close(folder_fd);
    }
    closedir(list);
}

/* Makes the folder and takes its lock. The caller holds the lock on home, so that nobody
 * sweeps the folder away before it is locked. */
static int make_folder(struct nest *nest, const char *home, struct muster_error *ret_error)
{
    char path[sizeof nest->folder + sizeof LOCK];
    int error;

    snprintf(nest->folder, sizeof nest->folder, "%.*s/%s", NEST_HOME_BYTES - 1, home, NAME);
    if (!mkdtemp(nest->folder))
        return muster_error_system(ret_error, errno, "cannot make a folder for sockets in %s", home);
    snprintf(path, sizeof path, "%s/%s", nest->folder, LOCK);
    nest->lock_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (nest->lock_fd >= 0 && flock(nest->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return 0;
    error = errno;
    if (nest->lock_fd >= 0)
        close(nest->lock_fd);
    unlink(path);
    rmdir(nest->folder);
    return muster_error_system(ret_error, error, "cannot lock %s", path);
}

int nest_init(struct nest *nest, struct muster_error *ret_error)
{
    char home[NEST_HOME_BYTES];
    int home_fd = -1, result = nest_home(home, NULL, ret_error);

    if (result == 0)
        result = nest_open_home(&home_fd, ret_error);
    if (result != 0)
        return result;
    if (flock(home_fd, LOCK_EX) != 0)
        result = muster_error_system(ret_error, errno, "cannot lock %s", home);
    if (result == 0) {
        sweep(home_fd);
        result = make_folder(nest, home, ret_error);
    }
    close(home_fd);
    if (result == 0)
        snprintf(nest->endpoint, sizeof nest->endpoint, "ipc://%s/%s", nest->folder, SOCKET);
    return result;
}

void nest_fini(struct nest *nest)
{
    char path[sizeof nest->folder + sizeof SOCKET];

    snprintf(path, sizeof path, "%s/%s", nest->folder, SOCKET);
    unlink(path);
    snprintf(path, sizeof path, "%s/%s", nest->folder, LOCK);
    unlink(path);
    rmdir(nest->folder);
    close(nest->lock_fd);
}
