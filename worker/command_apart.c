/* SPDX-License-Identifier: MIT
 *
 * Where output of confined commands is: a folder of this worker's own, in the one where it gets names. See
 * command_internal.h.
 *
 * What a command writes to it may open again by its path, and Landlock looks at the folder that a file is in,
 * also of one without a name. So one rule does for the output of all commands, and they can have the same
 * rules, while each has new files. The rule is about files: where nothing else gives it, none of them can
 * list the folder, or make anything in it.
 *
 * Both are open as long as the worker lives, and found from a descriptor that is older than all jobs, if
 * there is one: whatever a job puts in the place of a folder leads nowhere.
 */
#include "worker/command_internal.h"

#include "proto/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* Of this process; of the thread that executes. */
static struct {
    struct command_apart folders; /* owned */
    char in[PATH_MAX], own[PATH_MAX];
    char name[sizeof PROTO_SPOOL_APART + 16];
} self = {.folders = {.fd = -1, .names_fd = -1}};

static bool is_there(int fd)
{
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 && status.st_nlink > 0;
}

/* The last name of a path in this folder; NULL: it is elsewhere. */
static const char *name_in(const char *folder, const char *path)
{
    size_t size = strlen(folder);

    return strncmp(path, folder, size) == 0 && path[size] == '/' && !strchr(path + size + 1, '/')
               ? path + size + 1
               : NULL;
}

/* A folder of this user's, which a job may have closed. By its descriptor. */
static void open_up(int fd)
{
    char path[32];

    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    chmod(path, 0700);
}

/* Goes on to a folder of this user's there, which another worker may have made. False: it cannot be had, for
 * want of room most likely; names are in the folder that is there. */
static bool enter_own(int *fd, const char *name)
{
    struct stat status;
    int own_fd;

    if (mkdirat(*fd, name, 0700) != 0 && errno != EEXIST)
        return false;
    own_fd = command_above_standard(openat(*fd, name, FOLDER_FLAGS));
    if (own_fd >= 0 && fstat(own_fd, &status) == 0 && status.st_uid == geteuid()) {
        if ((status.st_mode & 0700) != 0700)
            open_up(own_fd);
        close(*fd);
        *fd = own_fd;
        return true;
    }
    if (own_fd >= 0)
        close(own_fd);
    return false;
}

/* 0, or an errno. */
static int make(int names_fd, int *ret_fd)
{
    uint64_t chance;

    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        return errno;
    snprintf(self.name, sizeof self.name, PROTO_SPOOL_APART "%016" PRIx64, chance);
    if (mkdirat(names_fd, self.name, 0700) != 0)
        return errno;
    *ret_fd = command_above_standard(openat(names_fd, self.name, FOLDER_FLAGS));
    return *ret_fd >= 0 ? 0 : errno;
}

static int open_both(int root_fd, const char *folder, const char *own)
{
    const char *name = own[0] ? name_in(folder, own) : NULL;
    struct command_apart *folders = &self.folders;
    int fd = root_fd >= 0 ? fcntl(root_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                          : command_above_standard(open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC));
    int error;

    if (fd < 0)
        return errno;
    folders->in_own = name && enter_own(&fd, name);
    folders->names_fd = fd;
    error = make(fd, &folders->fd);
    if (error)
        command_apart_close();
    return error;
}

int command_apart_open(int root_fd, const char *folder, const char *own, struct command_apart *ret_folders)
{
    int error = 0;

    if (!is_there(self.folders.fd) || !is_there(self.folders.names_fd) || strcmp(self.in, folder) != 0 ||
        strcmp(self.own, own) != 0) {
        command_apart_close();
        error = open_both(root_fd, folder, own);
    }
    if (error)
        return error;
    snprintf(self.in, sizeof self.in, "%s", folder);
    snprintf(self.own, sizeof self.own, "%s", own);
    *ret_folders = self.folders;
    return 0;
}

void command_apart_close(void)
{
    struct command_apart *folders = &self.folders;

    if (folders->fd >= 0)
        close(folders->fd);
    if (folders->names_fd >= 0) {
        unlinkat(folders->names_fd, self.name, AT_REMOVEDIR);
        close(folders->names_fd);
    }
    *folders = (struct command_apart){.fd = -1, .names_fd = -1};
}
