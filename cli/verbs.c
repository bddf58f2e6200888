/* SPDX-License-Identifier: MIT
 *
 * What the verbs share.
 */
#include "cli/verbs.h"

#include "base/log.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

const char *program_path(void)
{
    static char path[PATH_MAX];
    ssize_t size;

    if (path[0])
        return path;
    size = readlink("/proc/self/exe", path, sizeof path - 1);
    if (size > 0)
        path[size] = '\0';
    else
        strcpy(path, "/proc/self/exe");
    return path;
}

int usage_error(const char *verb, const struct muster_error *error)
{
    log_error("%s: %s; see 'muster %s --help'", verb, error->text, verb);
    return STATUS_ERROR;
}

int plain_error(const struct muster_error *error)
{
    log_error("%s", error->text);
    return STATUS_ERROR;
}
