/* SPDX-License-Identifier: MIT
 *
 * Preloaded (LD_PRELOAD) into muster and all that it starts: calls fail there as on other file systems, on a
 * full one, or where a job is in the way. MUSTER_TEST_REFUSE=CALL:ERRNO:FROM:COUNT,... is about COUNT such
 * calls of each process, behind FROM that are not refused; CALL is `tmpfile`, to make a file without a name,
 * `mkostemp`, `mkdirat` or `linkat`. MUSTER_TEST_REFUSED names a file that is there from the first on.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static struct refused {
    char call[16];
    int number;
    long from, to; /* of the calls, the first being 0 */
    atomic_long calls;
} all[4];

__attribute__((constructor)) static void begin(void)
{
    const char *order = getenv("MUSTER_TEST_REFUSE");
    struct refused *one = all;
    long count;
    int size = 0;

    for (; order && one < all + 4; order += size + (order[size] == ','), one++) {
        if (sscanf(order, "%15[a-z]:%d:%ld:%ld%n", one->call, &one->number, &one->from, &count, &size) != 4)
            return;
        one->to = one->from + count;
    }
}

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function)
        abort();
    return function;
}

static void tell(void)
{
    const char *path = getenv("MUSTER_TEST_REFUSED");
    int fd = path ? creat(path, 0600) : -1;

    if (fd >= 0)
        close(fd);
}

static int is_refused(const char *name)
{
    for (struct refused *one = all; one < all + 4; one++) {
        long call = strcmp(one->call, name) == 0 ? atomic_fetch_add(&one->calls, 1) : -1;

        if (call >= one->from && call < one->to) {
            tell();
            errno = one->number;
            return 1;
        }
    }
    return 0;
}

int mkdirat(int fd, const char *path, mode_t mode)
{
    return is_refused("mkdirat") ? -1 : ((int (*)(int, const char *, mode_t))next("mkdirat"))(fd, path, mode);
}

int linkat(int from_fd, const char *from, int fd, const char *path, int flags)
{
    return is_refused("linkat") ? -1
                                : ((int (*)(int, const char *, int, const char *, int))next("linkat"))(
                                      from_fd, from, fd, path, flags);
}

int mkostemp(char *path, int flags)
{
    return is_refused("mkostemp") ? -1 : ((int (*)(char *, int))next("mkostemp"))(path, flags);
}

static int open_as(const char *name, const char *path, int flags, mode_t mode)
{
    if ((flags & O_TMPFILE) == O_TMPFILE && is_refused("tmpfile"))
        return -1;
    return ((int (*)(const char *, int, ...))next(name))(path, flags, mode);
}

/* The mode is there when a file may be made; it does no harm otherwise. */
#define OPEN(name)                                \
    int name(const char *path, int flags, ...)    \
    {                                             \
        va_list more;                             \
        mode_t mode = 0;                          \
                                                  \
        va_start(more, flags);                    \
        if (flags & (O_CREAT | O_TMPFILE))        \
            mode = va_arg(more, mode_t);          \
        va_end(more);                             \
        return open_as(#name, path, flags, mode); \
    }

OPEN(open)
OPEN(open64)
