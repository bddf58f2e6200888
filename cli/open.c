/* SPDX-License-Identifier: MIT
 *
 * How map and exec open muster. See open.h.
 *
 * Workers are copies of this process where they can be: to start a program anew is to link some twenty
 * libraries again. A copy needs this process to have one thread, so signals are held and waited for
 * afterwards. Plug-ins may bring threads, and may take long to load, as a coordinator may to answer:
 * then the thread that waits for signals comes first.
 */
#include "cli/open.h"

#include "cli/interrupt.h"
#include "cli/verbs.h"
#include "client/forkserver.h"

#include <stdlib.h>
#include <string.h>

const char *open_coordinator(const char *asked, bool needed)
{
    const char *coordinator = asked ? asked : getenv(COORDINATOR_VARIABLE);

    if (needed && (!coordinator || !*coordinator))
        return MUSTER_COORDINATOR_DEFAULT;
    return coordinator && *coordinator && strcmp(coordinator, "none") != 0 ? coordinator : NULL;
}

static bool may_fork(const struct muster_options *options)
{
    struct muster_error why_not;

    return options->model == MUSTER_PROCESSES && !options->coordinator && options->plugin_count == 0 &&
           forkserver_check(&why_not) == 0;
}

static int open_and_wait(const struct muster_options *options, muster **ret_muster, int *ret_interrupt_fd,
                         struct muster_error *ret_error)
{
    muster *m;
    int code;

    interrupt_hold();
    if ((code = muster_open(options, &m, ret_error)) != 0)
        return code;
    if ((code = interrupt_start(ret_interrupt_fd, ret_error)) != 0) {
        muster_close(m);
        return code;
    }
    *ret_muster = m;
    return 0;
}

int open_muster(struct muster_options *options, muster **ret_muster, int *ret_interrupt_fd,
                struct muster_error *ret_error)
{
    int code;

    options->worker_program = program_path();
    options->start = may_fork(options) ? MUSTER_FORK_CLEAN : MUSTER_SPAWN;
    if (options->start == MUSTER_FORK_CLEAN)
        return open_and_wait(options, ret_muster, ret_interrupt_fd, ret_error);
    code = interrupt_start(ret_interrupt_fd, ret_error);
    return code ? code : muster_open(options, ret_muster, ret_error);
}
