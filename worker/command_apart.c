/* SPDX-License-Identifier: MIT
 *
 * The folder that output of confined commands is in, this worker's own. See command_internal.h.
 *
 * What a command writes to it may open again by its path, and Landlock looks at the folder that a file is in,
 * also of one without a name. So one rule does for the output of all commands, and they can have the same
 * rules, while each has new files. The rule is about files: where nothing else gives it, none of them can
 * list the folder, or make anything in it.
 */
#include "worker/command_internal.h"

#include "proto/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of this process; of the thread that executes. */
static struct {
    int fd; /* -1: there is none */
    char in[PATH_MAX], path[PATH_MAX];
} self = {.fd = -1};

static bool is_there(void)
{
    struct stat status;

    return self.fd >= 0 && fstat(self.fd, &status) == 0 && status.st_nlink > 0;
}

/* Jobs that may write to `folder` can have put another in its place by now, which is theirs. */
static int make(const char *folder)
{
    if (snprintf(self.path, sizeof self.path, "%s/" PROTO_SPOOL_APART "XXXXXX", folder) >=
        (int)sizeof self.path)
        return ENAMETOOLONG;
    if (!mkdtemp(self.path))
        return errno;
    self.fd = open(self.path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    self.fd = command_above_standard(self.fd);
    if (self.fd >= 0)
        return 0;
    rmdir(self.path);
    return errno;
}

int command_apart_open(const char *folder, int *ret_fd)
{
    int error = 0;

    if (!is_there() || strcmp(self.in, folder) != 0) {
        command_apart_close();
        error = make(folder);
    }
    if (error)
        return error;
    snprintf(self.in, sizeof self.in, "%s", folder);
    *ret_fd = self.fd;
    return 0;
}

void command_apart_close(void)
{
    if (self.fd < 0)
        return;
    rmdir(self.path);
    close(self.fd);
    self.fd = -1;
}
