/* SPDX-License-Identifier: MIT
 *
 * Descriptors counted by opening them: a limit of the process is not the only one there is. See
 * descriptors.h.
 */
#include "proto/descriptors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

int descriptors_hold(struct descriptors *ret_held, unsigned wanted)
{
    struct descriptors held = {.fds = calloc(wanted, sizeof *held.fds)};

    if (!held.fds && wanted > 0)
        return MUSTER_ENOMEM;
    while (held.count < wanted && (held.fds[held.count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        held.count++;
    *ret_held = held;
    return 0;
}

void descriptors_release(struct descriptors *held)
{
    for (unsigned i = 0; i < held->count; i++)
        close(held->fds[i]);
    free(held->fds);
    *held = (struct descriptors){.fds = NULL};
}

int descriptors_check(unsigned needed, const char *who, const char *besides, struct muster_error *ret_error)
{
    struct descriptors held;
    unsigned had;

    if (descriptors_hold(&held, needed) != 0)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    had = held.count;
    descriptors_release(&held);
    if (had == needed)
        return 0;
    return muster_error_set(ret_error, MUSTER_ELIMIT,
                            "%s %u file descriptors and only %u can be had: %sa higher limit (ulimit -n)",
                            who, needed, had, besides);
}
