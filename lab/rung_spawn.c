/* SPDX-License-Identifier: MIT
 *
 * A process, from posix_spawn to the end of it: true(1), which does nothing.
 */
#include "lab/rung.h"

#include "base/clock.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static int spawn_often(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    static char name[] = "true";
    char *argv[] = {name, NULL};
    uint64_t began_ns = clock_now_ns();
    pid_t child;
    int error;

    (void)context;
    for (uint64_t i = 0; i < times; i++) {
        if ((error = posix_spawnp(&child, name, NULL, NULL, argv, environ)) != 0)
            return muster_error_system(ret_error, error, "cannot start %s", name);
        while (waitpid(child, NULL, 0) < 0)
            if (errno != EINTR)
                return muster_error_system(ret_error, errno, "cannot wait for %s", name);
    }
    *ret_ns = clock_now_ns() - began_ns;
    return 0;
}

int rung_spawn(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
               struct muster_error *ret_error)
{
    snprintf(figure->note, sizeof figure->note, "true(1), from posix_spawn to its end");
    return rung_measure(spec, spawn_often, NULL, RUNG_BY_TIME, sample, ret_error);
}
