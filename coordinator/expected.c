/* SPDX-License-Identifier: MIT
 *
 * Other hosts that may come back. See expected.h.
 */
#include "coordinator/expected.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The session in 16 digits. */
enum { FILE_BYTES = sizeof EXPECTED_PREFIX + 16 };

void expected_note(int folder_fd, uint64_t session, bool here)
{
    char file[FILE_BYTES];
    int fd;

    snprintf(file, sizeof file, EXPECTED_PREFIX "%016" PRIx64, session);
    if (!here) {
        unlinkat(folder_fd, file, 0);
        return;
    }
    fd = openat(folder_fd, file, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0)
        close(fd);
}

void expected_list(int folder_fd, expected_found *found, void *context)
{
    const size_t start = strlen(EXPECTED_PREFIX);
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!list && fd >= 0)
        close(fd);
    while (list && (entry = readdir(list)) != NULL) {
        uint64_t session;
        char *rest;

        if (strncmp(entry->d_name, EXPECTED_PREFIX, start) != 0 || strlen(entry->d_name) != FILE_BYTES - 1)
            continue;
        session = strtoull(entry->d_name + start, &rest, 16);
        if (session != 0 && *rest == '\0')
            found(context, session);
    }
    if (list)
        closedir(list);
}
