/* SPDX-License-Identifier: MIT
 *
 * Stands in for the process that names places in code, which reads what a job may have written: it does what
 * MUSTER_TEST_SYMBOLS says. Built without our flags, so that a crash is a crash under sanitizers, too.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

int main(void)
{
    const char *what = getenv("MUSTER_TEST_SYMBOLS");
    const struct rlimit second = {.rlim_cur = 1, .rlim_max = 1};
    volatile unsigned spun = 0;
    char bytes[4096];

    if (!what || write(STDOUT_FILENO, "first\033\0", 7) != 7)
        return 1;
    if (strcmp(what, "crash") == 0)
        raise(SIGSEGV);
    while (strcmp(what, "hang") == 0)
        pause();
    if (strcmp(what, "busy") == 0 && setrlimit(RLIMIT_CPU, &second) != 0)
        return 1;
    while (strcmp(what, "busy") == 0)
        spun++;
    memset(bytes, 'x', sizeof bytes);
    for (int i = 0; i < 1000; i++)
        if (write(STDOUT_FILENO, bytes, sizeof bytes) < 0)
            return 1;
    return 0;
}
