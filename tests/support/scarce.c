/* SPDX-License-Identifier: MIT
 *
 * malloc and its like, one of which fails. See scarce.h.
 */
#include "tests/support/scarce.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static atomic_long left; /* calls until the one that fails, which is the last; 0 or less: none does */
static pid_t self;       /* processes that it forks are spared */

static bool is_zmq(const void *code)
{
    Dl_info info;

    return dladdr(code, &info) != 0 && info.dli_fname &&
           (strstr(info.dli_fname, "/libzmq.so") || strstr(info.dli_fname, "/libstdc++.so") ||
            strstr(info.dli_fname, "/libpgm"));
}

static bool fails(const void *caller)
{
    if (atomic_load(&left) <= 0 || getpid() != self || is_zmq(caller) || atomic_fetch_sub(&left, 1) != 1)
        return false;
    errno = ENOMEM; /* which glibc looks at */
    return true;
}

void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

void scarce_begin(long call)
{
    self = getpid();
    atomic_store(&left, call);
}

bool scarce_end(void)
{
    return atomic_exchange(&left, 0) <= 0;
}
