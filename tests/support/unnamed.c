/* SPDX-License-Identifier: MIT
 *
 * Preloaded (LD_PRELOAD) into muster and all that it starts: to make a file without a name fails there as on
 * other file systems, or where a job is in the way. MUSTER_TEST_UNNAMED=ERRNO:COUNT is about the first COUNT
 * such calls of each process.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

static int number;
static atomic_long left;

__attribute__((constructor)) static void begin(void)
{
    const char *order = getenv("MUSTER_TEST_UNNAMED");
    long count = 0;

    if (order && sscanf(order, "%d:%ld", &number, &count) == 2)
        left = count;
}

static int open_as(const char *name, const char *path, int flags, mode_t mode)
{
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);

    if (!next)
        abort();
    if ((flags & O_TMPFILE) == O_TMPFILE && atomic_fetch_sub(&left, 1) > 0) {
        errno = number;
        return -1;
    }
    return next(path, flags, mode);
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
