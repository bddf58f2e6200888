/* SPDX-License-Identifier: MIT
 *
 * Watches a run: hands jobs out when it is time to, shows how far it is, and heeds signals. See
 * exec_run.h.
 */
#include "cli/exec_run.h"

#include "base/log.h"
#include "cli/exec_again.h"
#include "cli/interrupt.h"
#include "cli/leave.h"

#include <signal.h>

int exec_next_paced(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                    struct muster_error *ret_error)
{
    struct exec *exec = context;
    int code = exec_await_job(exec, ret_error);

    if (code == MUSTER_EAGAIN)
        exec_pace_awaits(&exec->pace, exec->ask.out ? exec->ask.fd : exec_input_fd(exec));
    if (code)
        return code; /* a run that has no more jobs waits for no start */
    if (!exec_pace_admits(&exec->pace))
        return MUSTER_EAGAIN;
    exec_pace_gave(&exec->pace);
    return exec_next_job(exec, zone, ret_argument, ret_error);
}

/* Ctrl-C and SIGTERM end what runs; SIGHUP lets it run. 0, MUSTER_EEND: nothing more begins; or
 * MUSTER_ECANCELLED: what was to end did not, or has to at once. */
static int heed_signals(struct exec *exec)
{
    if (exec->options.open.coordinator) { /* the batch is left to it, see muster_batch.detach_on_interrupt */
        exec->stopped_by = interrupt_signal();
        return 0;
    }
    if (interrupt_signal()) {
        exec->stopped_by = interrupt_signal();
        exec_pace_end(&exec->pace);
    } else if (interrupt_hung_up() && !exec->stopped_by) {
        exec->stopped_by = SIGHUP;
        progress_hide(&exec->progress);
        log_error("hung up: jobs that run go on, and are the last; another signal ends them");
    }
    if (interrupt_came_again() || exec_pace_is_over(&exec->pace))
        return MUSTER_ECANCELLED;
    return exec->stopped_by ? MUSTER_EEND : 0;
}

int exec_on_tick(void *context, const struct muster_progress *progress)
{
    struct exec *exec = context;
    struct muster_progress known = *progress;
    uint64_t done;
    int code;

    interrupt_await(progress->undecided);
    leave_tell_away(&exec->progress, progress->away, &exec->away);
    exec_pace_tick(&exec->pace, progress->succeeded + progress->failed);
    known.succeeded = exec->succeeded;
    known.failed = exec->failed;
    known.total = exec_again_total(exec);
    done = known.succeeded + known.failed;
    exec->progress.left_s = exec_pace_left_s(&exec->pace, known.total > done ? known.total - done : 0);
    progress_show(&exec->progress, &known);
    if (exec->live.fd >= 0 && (code = exec_live_pump(&exec->live, &exec->error)) != 0)
        return code;
    return heed_signals(exec);
}
