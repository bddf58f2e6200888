/* SPDX-License-Identifier: MIT
 *
 * Reads /proc. See exec_machine.h.
 */
#include "cli/exec_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What stands there is 2 to 6 KiB, and what is wanted of /proc/vmstat in its first part. */
enum { FILE_BYTES = 16 << 10 };

static bool read_file(const char *path, char text[FILE_BYTES])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t had = 0, more;

    if (fd < 0)
        return false;
    while (had < FILE_BYTES - 1 &&
           (more = TEMP_FAILURE_RETRY(read(fd, text + had, (size_t)(FILE_BYTES - 1 - had)))) > 0)
        had += more;
    close(fd);
    text[had] = '\0';
    return true;
}

/* The number that the text begins with, behind blanks. */
static bool read_number(const char *text, uint64_t *ret_number)
{
    const char *digits = text + strspn(text, " ");

    if (*digits < '0' || *digits > '9')
        return false;
    *ret_number = strtoull(digits, NULL, 10);
    return true;
}

/* The number behind a name at the begin of a line. */
static bool find_number(const char *text, const char *name, uint64_t *ret_number)
{
    const char *at = strstr(text, name);

    while (at && at != text && at[-1] != '\n')
        at = strstr(at + 1, name);
    return at && read_number(at + strlen(name), ret_number);
}

/* "0.20 0.18 0.12 1/80 11206": the threads that run, before the slash. */
static bool find_running(const char *text, uint64_t *ret_number)
{
    for (int i = 0; i < 3; i++) {
        text += strcspn(text, " ");
        text += strspn(text, " ");
    }
    return read_number(text, ret_number);
}

int exec_machine_look(struct exec_machine *ret_machine, struct muster_error *ret_error)
{
    struct exec_machine machine = {.running = 0};
    const char *path = "/proc/loadavg";
    char text[FILE_BYTES];

    if (!read_file(path, text) || !find_running(text, &machine.running))
        goto fail;
    machine.running -= machine.running > 0; /* this one */
    path = "/proc/meminfo";
    if (!read_file(path, text) || !find_number(text, "MemAvailable:", &machine.free_bytes))
        goto fail;
    machine.free_bytes *= 1024;
    path = "/proc/vmstat";
    if (!read_file(path, text) || !find_number(text, "pswpin ", &machine.swapped_in) ||
        !find_number(text, "pswpout ", &machine.swapped_out))
        goto fail;
    *ret_machine = machine;
    return 0;
fail:
    return muster_error_set(ret_error, MUSTER_ESYSTEM, "cannot learn from %s what this host does", path);
}
