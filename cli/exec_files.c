/* SPDX-License-Identifier: MIT
 *
 * Output in files of its own. See exec_files.h.
 */
#include "cli/exec_files.h"

#include "cli/exec_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int cannot_write(const char *path, struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_EOUTPUT, "cannot write %s: %s", path, strerror(errno));
}

static int fill(int fd, const char *path, const struct exec_written *written, struct word heading,
                struct muster_error *ret_error)
{
    int code = exec_output_bytes(fd, path, heading.bytes, heading.size, ret_error);

    return code ? code : exec_output_write(fd, path, written, (struct word){NULL, 0}, ret_error);
}

int exec_files_keep(const char *folder, const struct exec_written *written, struct word heading,
                    char ret_path[PATH_MAX], struct muster_error *ret_error)
{
    static const char ending[] = ".par";
    char path[PATH_MAX];
    int fd = -1, code = 0, size = snprintf(path, sizeof path, "%s/parXXXXXX%s", folder, ending);

    errno = ENAMETOOLONG;
    if (size >= 0 && (size_t)size < sizeof path)
        fd = mkostemps(path, sizeof ending - 1, O_CLOEXEC);
    if (fd < 0)
        return cannot_write(folder, ret_error);
    if (written->bytes || written->lent || heading.size > 0 ||
        !exec_output_move(written, 0600, AT_FDCWD, path))
        code = fill(fd, path, written, heading, ret_error);
    if (close(fd) != 0 && !code)
        code = cannot_write(path, ret_error);
    if (code)
        unlink(path);
    else
        memcpy(ret_path, path, (size_t)size + 1);
    return code;
}
