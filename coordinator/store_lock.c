/* SPDX-License-Identifier: MIT
 *
 * The lock of a store's file. See store_lock.h.
 */
#include "coordinator/store_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { LOOKS = 8 }; /* for the holder: the list changes while it is read, and a line may be missed */

/* Who has the lock, by the kernel's list of all; 0: it does not say. */
static long look_for_holder(int fd)
{
    static const char kind[] = "FLOCK  ADVISORY  WRITE ";
    char line[256], wanted[64];
    FILE *locks = fopen("/proc/locks", "re");
    struct stat status;
    long found = 0;

    if (!locks)
        return 0;
    if (fstat(fd, &status) == 0) {
        snprintf(wanted, sizeof wanted, " %02x:%02x:%llu ", major(status.st_dev), minor(status.st_dev),
                 (unsigned long long)status.st_ino);
        while (found == 0 && fgets(line, sizeof line, locks)) {
            const char *lock = strstr(line, kind);

            if (lock && strstr(lock, wanted))
                found = strtol(lock + sizeof kind - 1, NULL, 10);
        }
    }
    fclose(locks);
    return found;
}

static int fail_locked(const char *path, int fd, struct muster_error *ret_error)
{
    long pid = 0;

    for (int i = 0; i < LOOKS && pid == 0; i++)
        pid = look_for_holder(fd);
    if (pid > 0)
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "%s: process %ld has it open: stop that, or give another file", path, pid);
    return muster_error_set(ret_error, MUSTER_ESTATE,
                            "%s: another process has it open: stop that, or give another file", path);
}

/* That there is such a file is to survive a power cut, too. */
static int sync_folder(const char *path)
{
    char copy[PATH_MAX];
    int fd, result;

    snprintf(copy, sizeof copy, "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    result = fsync(fd);
    close(fd);
    return result;
}

int store_lock(const char *path, int *ret_fd, struct muster_error *ret_error)
{
    struct stat status;
    int fd, result = 0;

    if (strlen(path) >= PATH_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "the name of the state file is too long");
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
    if (fd < 0)
        return muster_error_system(ret_error, errno, "%s", path);
    if (fstat(fd, &status) != 0)
        result = muster_error_system(ret_error, errno, "%s", path);
    else if (!S_ISREG(status.st_mode))
        result = muster_error_set(ret_error, MUSTER_EINVALID, "%s: not a file: give another", path);
    else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        result = errno == EWOULDBLOCK ? fail_locked(path, fd, ret_error)
                                      : muster_error_system(ret_error, errno, "%s", path);
    else if (status.st_size == 0 && sync_folder(path) != 0)
        result = muster_error_system(ret_error, errno, "%s: its folder", path);
    if (result != 0) {
        close(fd);
        return result;
    }
    *ret_fd = fd;
    return 0;
}
