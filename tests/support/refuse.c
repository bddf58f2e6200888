/* SPDX-License-Identifier: MIT
 *
 * Preloaded (LD_PRELOAD) into muster and all that it starts: calls fail there as on other file systems, on a
 * full one, or where a job is in the way. MUSTER_TEST_REFUSE=CALL:ERRNO:COUNT is about the first COUNT such
 * calls of each process; CALL is `tmpfile`, to make a file without a name, or `mkdirat`.
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

static char call[16];
static int number;
static atomic_long left;

__attribute__((constructor)) static void begin(void)
{
    const char *order = getenv("MUSTER_TEST_REFUSE");
    long count = 0;

    if (order && sscanf(order, "%15[a-z]:%d:%ld", call, &number, &count) == 3)
        left = count;
}

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function)
        abort();
    return function;
}

static int is_refused(const char *name)
{
    if (strcmp(call, name) != 0 || atomic_fetch_sub(&left, 1) <= 0)
        return 0;
    errno = number;
    return 1;
}

int mkdirat(int fd, const char *path, mode_t mode)
{
    return is_refused("mkdirat") ? -1 : ((int (*)(int, const char *, mode_t))next("mkdirat"))(fd, path, mode);
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
