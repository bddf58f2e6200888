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
 *
 * A worker that is killed leaves its own, and a job may leave files in it. Whoever has another folder to
 * remove it with, as exec has, does; else the next worker that makes one beside it: nobody has its lock any
 * more.
 */
#include "worker/command_internal.h"

#include "base/clock.h"
#include "base/folder.h"
#include "proto/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FOLDER_FLAGS = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
    PREFIX_BYTES = sizeof PROTO_SPOOL_APART + HOST_NAME_MAX + 1,
    SWEPT_MAX =
        16, /* folders of which it is known: commands may take turns in some; one more is swept again */
};

/* For what is left of others. */
static const uint64_t SWEEP_NS = CLOCK_NS_PER_S;

/* Of this process; of the thread that executes. */
static struct {
    struct command_apart folders; /* owned */
    char in[PATH_MAX], own[PATH_MAX];
    char name[PREFIX_BYTES + 16];
    struct {
        dev_t device;
        ino_t inode;
    } swept[SWEPT_MAX]; /* the latest ones */
    unsigned swept_count;
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
            folder_open_up(own_fd);
        close(*fd);
        *fd = own_fd;
        return true;
    }
    if (own_fd >= 0)
        close(own_fd);
    return false;
}

/* What names of this host's begin with: hosts may share the folder, and locks be each host's own. */
static void find_prefix(char ret_prefix[PREFIX_BYTES])
{
    char host[HOST_NAME_MAX + 1] = "";

    gethostname(host, sizeof host - 1);
    for (char *at = host; *at; at++)
        if (*at == '/')
            *at = '_';
    snprintf(ret_prefix, PREFIX_BYTES, PROTO_SPOOL_APART "%s-", host);
}

/* With its lock, which tells that it is used, where the file system has locks. 0, or an errno. */
static int make(int names_fd, int *ret_fd)
{
    char prefix[PREFIX_BYTES];
    uint64_t chance;

    find_prefix(prefix);
    if (getrandom(&chance, sizeof chance, 0) != sizeof chance)
        return errno;
    snprintf(self.name, sizeof self.name, "%s%016" PRIx64, prefix, chance);
    if (mkdirat(names_fd, self.name, 0700) != 0)
        return errno;
    *ret_fd =
        command_above_standard(openat(names_fd, self.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (*ret_fd < 0)
        return errno;
    return flock(*ret_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK ? ESTALE
                                                                          : 0; /* it is being swept */
}

/* Removes one that no worker has any more. */
static void remove_left_over(int names_fd, const char *name)
{
    int path_fd = openat(names_fd, name, FOLDER_FLAGS), fd = -1;

    if (path_fd >= 0)
        fd = folder_open_own(path_fd);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        folder_empty(fcntl(fd, F_DUPFD_CLOEXEC, 0));
        unlinkat(names_fd, name, AT_REMOVEDIR);
    }
    if (fd >= 0)
        close(fd);
    if (path_fd >= 0)
        close(path_fd);
}

/* Whether nobody but this user, and root, can give a folder there another name: that of what is removed. */
static bool is_trusted(int fd)
{
    struct stat status;

    return fstat(fd, &status) == 0 && (status.st_uid == geteuid() || status.st_uid == 0) &&
           ((status.st_mode & 022) == 0 || (status.st_mode & S_ISVTX) != 0);
}

/* Whether a folder is to be swept: the first time. */
static bool is_new(int fd)
{
    struct stat status;

    if (fstat(fd, &status) != 0)
        return false;
    for (unsigned i = 0; i < SWEPT_MAX && i < self.swept_count; i++)
        if (self.swept[i].device == status.st_dev && self.swept[i].inode == status.st_ino)
            return false;
    self.swept[self.swept_count % SWEPT_MAX].device = status.st_dev;
    self.swept[self.swept_count++ % SWEPT_MAX].inode = status.st_ino;
    return true;
}

/* Removes what workers that were killed have left there, as far as it comes. */
static void sweep(int names_fd)
{
    uint64_t deadline_ns = clock_after(clock_now_ns(), SWEEP_NS);
    const struct dirent *entry;
    char prefix[PREFIX_BYTES];
    DIR *entries;

    if (!is_trusted(names_fd))
        return;
    find_prefix(prefix);
    entries = folder_list(openat(names_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    while (entries && (entry = readdir(entries)) != NULL && clock_now_ns() < deadline_ns)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            remove_left_over(names_fd, entry->d_name);
    if (entries)
        closedir(entries);
}

static int open_both(int root_fd)
{
    const char *name = self.own[0] ? name_in(self.in, self.own) : NULL;
    struct command_apart *folders = &self.folders;
    int fd = root_fd >= 0 ? fcntl(root_fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
                          : command_above_standard(open(self.in, O_PATH | O_DIRECTORY | O_CLOEXEC));
    int error;

    if (fd < 0)
        return errno;
    folders->in_own = name && enter_own(&fd, name);
    folders->names_fd = fd;
    if (!folders->in_own && is_new(fd))
        sweep(fd);
    error = make(fd, &folders->fd);
    if (error)
        command_apart_close();
    return error;
}

int command_apart_open(int root_fd, const char *folder, const char *own, struct command_apart *ret_folders)
{
    bool elsewhere = strcmp(self.in, folder) != 0 || strcmp(self.own, own) != 0;
    int error = 0;

    if (elsewhere || !is_there(self.folders.fd) || !is_there(self.folders.names_fd)) {
        if (elsewhere)
            command_apart_fini();
        else
            command_apart_close();
        snprintf(self.in, sizeof self.in, "%s", folder);
        snprintf(self.own, sizeof self.own, "%s", own);
        error = open_both(root_fd);
    }
    if (error == 0)
        *ret_folders = self.folders;
    return error;
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

void command_apart_fini(void)
{
    if (self.folders.fd >= 0 && !self.folders.in_own)
        folder_empty(folder_open_own(self.folders.fd));
    command_apart_close();
}
