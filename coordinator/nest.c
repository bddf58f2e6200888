/* SPDX-License-Identifier: MIT
 *
 * The names of coordinators' ipc sockets. See nest.h.
 *
 * They are files of one folder: to make a folder and remove it costs a file system on disk ten times what
 * a file costs.
 */
#include "coordinator/nest.h"

#include "base/clock.h"
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    CHANCE_DIGITS = 16,                                                 /* of 64 bits */
    ENDING_BYTES = sizeof "-" + sizeof "-" + 2 * 2 * sizeof(uintmax_t), /* what such a name ends with */
};

/* Of a folder that is noted. */
static const char FOLDER[] = "/muster-exec-";

/* Of what is locked for a moment: who has it for longer is stopped, or hangs. */
enum { LOCK_WAIT_S = 10, LOCK_POLL_MS = 2 };

/* Of a lock, and what the name of its socket does not have. */
static const char NAME[] = "XXXXXX.lock", ENDING[] = ".lock";

/* A note that was cut short lacks it. */
static const char NOTE_END = '\n';

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

    if (fd < 0 && errno == ENOENT)
        return muster_error_set(ret_error, MUSTER_ENOTFOUND, "the folder %s for sockets is not there", path);
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

int nest_lock(int fd, const char *path, struct muster_error *ret_error)
{
    static const struct timespec moment = {.tv_nsec = LOCK_POLL_MS * CLOCK_NS_PER_MS};
    uint64_t deadline_ns = clock_after(clock_now_ns(), LOCK_WAIT_S * CLOCK_NS_PER_S);

    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return muster_error_system(ret_error, errno, "cannot lock %s", path);
        if (clock_now_ns() >= deadline_ns)
            return muster_error_set(ret_error, MUSTER_ESTATE,
                                    "%s has been locked for %d s by another muster: is it stopped? ('fuser "
                                    "-v %s' shows who has it open)",
                                    path, LOCK_WAIT_S, path);
        nanosleep(&moment, NULL);
    }
    return 0;
}

int nest_lock_folder(const char *path, int *ret_fd, struct muster_error *ret_error)
{
    struct stat status;
    int fd = -1, result = nest_open_folder(path, &fd, ret_error);

    if (result != 0)
        return result;
    result = nest_lock(fd, path, ret_error);
    if (result == 0 && fstat(fd, &status) != 0)
        result = muster_error_system(ret_error, errno, "cannot look at the folder %s", path);
    else if (result == 0 && status.st_nlink == 0)
        result = muster_error_set(ret_error, MUSTER_ENOTFOUND, "the folder %s was removed by another process",
                                  path);
    if (result == 0)
        *ret_fd = fd;
    else
        close(fd);
    return result;
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

static bool is_lock(const char *name)
{
    size_t size = strlen(name);

    return size == sizeof NAME - 1 && strcmp(name + size - (sizeof ENDING - 1), ENDING) == 0;
}

/* If it is this user's, whatever mode a job gave it. False if something is left in it. */
static bool remove_folder(const char *path)
{
    int path_fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), fd = -1;

    if (path_fd >= 0) {
        fd = folder_open_own(path_fd);
        close(path_fd);
    }
    if (fd < 0)
        return true;
    folder_empty(fd);
    return rmdir(path) == 0 || errno != ENOTEMPTY;
}

/* What ends the name of the folder that a lock notes: the lock's file. */
static bool ending_of(int lock_fd, char ret_ending[ENDING_BYTES])
{
    struct stat status;

    return fstat(lock_fd, &status) == 0 &&
           snprintf(ret_ending, ENDING_BYTES, "-%jx-%jx", (uintmax_t)status.st_dev,
                    (uintmax_t)status.st_ino) < ENDING_BYTES;
}

/* Whether a lock may name this folder. Notes can be forged where jobs can write, and these can have any name
 * there; but elsewhere nobody has folders that are named after their lock's file. */
static bool is_of_lock(const char *folder, int lock_fd)
{
    const char *name = strrchr(folder, '/');
    char ending[ENDING_BYTES];

    return name && strncmp(name, FOLDER, sizeof FOLDER - 1) == 0 &&
           strspn(name + sizeof FOLDER - 1, "0123456789abcdef") == CHANCE_DIGITS &&
           ending_of(lock_fd, ending) && strcmp(name + sizeof FOLDER - 1 + CHANCE_DIGITS, ending) == 0;
}

/* The folder that a lock notes, if that is its own, and the note is whole. */
static bool read_note(int lock_fd, char folder[PATH_MAX + 1])
{
    ssize_t size = pread(lock_fd, folder, PATH_MAX, 0);

    if (size <= 1 || folder[0] != '/' || folder[size - 1] != NOTE_END)
        return false;
    folder[size - 1] = '\0';
    return strlen(folder) == (size_t)size - 1 && is_of_lock(folder, lock_fd);
}

/* The lock goes last: nothing is left of which it does not tell. A worker that outlived its coordinator for a
 * moment may make a file behind the look into the folder: the next muster looks again. */
static void remove_left_over(int home_fd, const char *lock, int lock_fd)
{
    char socket[sizeof NAME - sizeof ENDING + 1], folder[PATH_MAX + 1];

    if (read_note(lock_fd, folder) && !remove_folder(folder))
        return;
    snprintf(socket, sizeof socket, "%s", lock);
    unlinkat(home_fd, socket, 0);
    unlinkat(home_fd, lock, 0);
}

/* Removes what is left of coordinators that are gone. The caller holds the lock on home. */
static void sweep(int home_fd)
{
    int list_fd = openat(home_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = folder_list(list_fd);
    const struct dirent *entry;

    if (!list)
        return;
    while ((entry = readdir(list)) != NULL) {
        int lock_fd;

        if (!is_lock(entry->d_name))
            continue;
        lock_fd = openat(home_fd, entry->d_name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
        if (lock_fd < 0)
            continue;
        if (flock(lock_fd, LOCK_EX | LOCK_NB) == 0)
            remove_left_over(home_fd, entry->d_name, lock_fd);
        close(lock_fd);
    }
    closedir(list);
}

/* Makes the lock's file and takes the lock, after which nobody removes it. Whoever sweeps may have been
 * quicker: MUSTER_ENOTFOUND. */
static int take_name(struct nest *nest, const char *home, struct muster_error *ret_error)
{
    char path[NEST_HOME_BYTES + sizeof NAME];
    struct stat status;
    int error = 0;

    snprintf(path, sizeof path, "%s/%s", home, NAME);
    nest->lock_fd = mkostemps(path, sizeof ENDING - 1, O_CLOEXEC);
    if (nest->lock_fd < 0)
        return muster_error_system(ret_error, errno, "cannot make a file for sockets in %s", home);
    if (flock(nest->lock_fd, LOCK_EX | LOCK_NB) != 0 || fstat(nest->lock_fd, &status) != 0)
        error = errno;
    else if (status.st_nlink > 0) {
        snprintf(nest->socket, sizeof nest->socket, "%.*s", (int)(strlen(path) - (sizeof ENDING - 1)), path);
        return 0;
    }
    close(nest->lock_fd);
    if (error == 0 || error == EWOULDBLOCK)
        return muster_error_set(ret_error, MUSTER_ENOTFOUND, "files for sockets in %s are removed at once",
                                home);
    unlink(path);
    return muster_error_system(ret_error, error, "cannot lock %s", path);
}

int nest_init(struct nest *nest, struct muster_error *ret_error)
{
    char home[NEST_HOME_BYTES];
    int home_fd = -1, result = nest_home(home, NULL, ret_error);

    nest->folder[0] = '\0';
    if (result == 0)
        result = nest_open_home(&home_fd, ret_error);
    if (result != 0)
        return result;
    if (flock(home_fd, LOCK_EX | LOCK_NB) == 0)
        sweep(home_fd); /* else somebody does that now, and may have been stopped as he did */
    close(home_fd);
    result = MUSTER_ENOTFOUND;
    for (unsigned tried = 0; tried < NEST_TRIES && result == MUSTER_ENOTFOUND; tried++)
        result = take_name(nest, home, ret_error);
    if (result == 0)
        snprintf(nest->endpoint, sizeof nest->endpoint, "ipc://%s", nest->socket);
    return result;
}

/* What could not be written whole is not believed (remove_left_over). */
int nest_note(struct nest *nest, const char *parent, struct muster_error *ret_error)
{
    char ending[ENDING_BYTES], line[PATH_MAX];
    unsigned long long chance;
    int size;

    if (getrandom(&chance, sizeof chance, 0) != sizeof chance || !ending_of(nest->lock_fd, ending))
        return muster_error_system(ret_error, errno, "cannot name a folder in %s", parent);
    size = snprintf(line, sizeof line, "%s%s%0*llx%s%c", parent, FOLDER, CHANCE_DIGITS, chance, ending,
                    NOTE_END);
    if (size >= (int)sizeof line)
        return muster_error_system(ret_error, ENAMETOOLONG, "cannot name a folder in %s", parent);
    (void)!pwrite(nest->lock_fd, line, (size_t)size, 0);
    snprintf(nest->folder, sizeof nest->folder, "%.*s", size - 1, line);
    return 0;
}

int nest_listen(const struct nest *nest, int *ret_fd, struct muster_error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, nest->socket);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0 &&
        listen(fd, SOMAXCONN) == 0) {
        *ret_fd = fd;
        return 0;
    }
    muster_error_system(ret_error, errno, "cannot listen on %s", nest->endpoint);
    if (fd >= 0)
        close(fd);
    return ret_error->code;
}

void nest_fini(struct nest *nest)
{
    char lock[sizeof nest->socket + sizeof ENDING];
    bool over = !nest->folder[0] || remove_folder(nest->folder);

    snprintf(lock, sizeof lock, "%s%s", nest->socket, ENDING);
    unlink(nest->socket);
    if (over)
        unlink(lock);
    close(nest->lock_fd);
}
