/* SPDX-License-Identifier: MIT
 *
 * The search for the muster command. See program.h.
 */
#include "client/program.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char NAME[] = "muster";

static bool can_run(const char *path)
{
    struct stat about;

    return stat(path, &about) == 0 && S_ISREG(about.st_mode) && access(path, X_OK) == 0;
}

const char *program_installed(void)
{
    return MUSTER_INSTALLED_PROGRAM;
}

int program_find(const char *installed, const char *search, char ret_path[PATH_MAX],
                 struct muster_error *ret_error)
{
    char path[PATH_MAX];

    if (strlen(installed) < PATH_MAX && can_run(installed)) {
        strcpy(ret_path, installed);
        return 0;
    }
    while (search && *search) {
        size_t length = strcspn(search, ":");

        if (*search == '/' && length + sizeof NAME < PATH_MAX) {
            snprintf(path, sizeof path, "%.*s/%s", (int)length, search, NAME);
            if (can_run(path)) {
                strcpy(ret_path, path);
                return 0;
            }
        }
        search += length + (search[length] == ':');
    }
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "there is no muster command to start workers with, neither %s nor in PATH: set "
                            "worker_program to its path",
                            installed);
}
