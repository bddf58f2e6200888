/* SPDX-License-Identifier: MIT
 *
 * Preloaded (LD_PRELOAD) into a process that is to die by SIGKILL at a system call of a test's choice:
 * MUSTER_TEST_DIE=CALL:N:WHEN, at the Nth CALL (sync: fsync, fdatasync; write: pwrite; tear: a pwrite of less
 * than a page that begins in one page of the file and ends in the next; send: send, sendmsg),
 * WHEN `before`, `after`, or `amid`: half of what is sent is, and of what is written what is in the first
 * page of the file, as of a process that is killed: the kernel copies page by page.
 * MUSTER_TEST_DIE=CALL:N:stall keeps the thread that makes the call there for good, and CALL:N:slow for three
 * seconds, as a disk that is busy. With MUSTER_TEST_ARM=FILE calls count from when the file is there.
 * Processes that it starts are spared.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SLOW_S = 3 };

static char call[16], when[16];
static const char *arm;
static long at;
static atomic_long calls;

__attribute__((constructor)) static void begin(void)
{
    const char *order = getenv("MUSTER_TEST_DIE");

    if (!order || sscanf(order, "%15[a-z]:%ld:%15[a-z]", call, &at, when) != 3)
        at = 0;
    arm = getenv("MUSTER_TEST_ARM"); /* stays where it is */
    unsetenv("MUSTER_TEST_DIE");
    unsetenv("LD_PRELOAD");
}

static void *next(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    if (!function)
        abort();
    return function;
}

static void die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

/* Whether this is the call. It does not return where the process dies ahead of it. */
static int is_the_one(const char *name)
{
    if (at == 0 || strcmp(name, call) != 0 || (arm && access(arm, F_OK) != 0) ||
        atomic_fetch_add(&calls, 1) + 1 != at)
        return 0;
    if (strcmp(when, "before") == 0)
        die();
    while (strcmp(when, "stall") == 0)
        pause();
    if (strcmp(when, "slow") == 0) {
        sleep(SLOW_S);
        return 0;
    }
    return 1;
}

static size_t part(int last, size_t size)
{
    return last && strcmp(when, "amid") == 0 ? size / 2 : size;
}

int fsync(int fd)
{
    int last = is_the_one("sync"), result = ((int (*)(int))next("fsync"))(fd);

    if (last)
        die();
    return result;
}

int fdatasync(int fd)
{
    int last = is_the_one("sync"), result = ((int (*)(int))next("fdatasync"))(fd);

    if (last)
        die();
    return result;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    enum { PAGE = 4096 };
    size_t first = (size_t)(PAGE - offset % PAGE);
    int last = is_the_one("write") || (first < size && size < PAGE && is_the_one("tear"));
    ssize_t result = ((ssize_t(*)(int, const void *, size_t, off64_t))next("pwrite64"))(
        fd, bytes, last && strcmp(when, "amid") == 0 && first < size ? first : size, offset);

    if (last)
        die();
    return result;
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    int last = is_the_one("send");
    ssize_t result =
        ((ssize_t(*)(int, const void *, size_t, int))next("send"))(fd, bytes, part(last, size), flags);

    if (last)
        die();
    return result;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int last = is_the_one("send");
    ssize_t result = ((ssize_t(*)(int, const struct msghdr *, int))next("sendmsg"))(fd, message, flags);

    if (last)
        die();
    return result;
}
