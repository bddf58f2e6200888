/* SPDX-License-Identifier: MIT
 *
 * Ends commands, with all that descends from them. See command_internal.h. The worker is a child
 * subreaper, so what it looks for is below it, in whatever group or session.
 */
#include "base/clock.h"
#include "base/tree.h"
#include "worker/command_internal.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

/* How often is looked whether the last process of a command that has to end is gone. */
enum { LOOK_MS = 5 };

const struct command_steps command_steps_usual = {
    .count = 4, .steps = {{SIGTERM, 200}, {SIGTERM, 100}, {SIGTERM, 50}, {SIGKILL, 25}}};

size_t command_signal(pid_t pid, const struct command_strays *strays, int signal)
{
    size_t living = tree_signal(getpid(), strays->pids, strays->count, signal);

    if (signal && living == 0)
        kill(-pid, signal); /* where children cannot be listed */
    return living;
}

/* Returns whether all were gone in time. */
static bool await_end(struct pollfd *item, pid_t pid, const struct command_strays *strays, uint32_t wait_ms)
{
    uint64_t until_ns = clock_after(clock_now_ns(), wait_ms * CLOCK_NS_PER_MS);

    while (clock_now_ns() < until_ns) {
        if (command_signal(pid, strays, 0) == 0)
            return true;
        if (poll(item, 1, LOOK_MS) > 0)
            item->fd = -1; /* dead; others may be alive */
    }
    return false;
}

void command_end(const struct command_spec *spec, const struct command_child *child,
                 const struct command_strays *strays)
{
    struct pollfd item = {.fd = child->pidfd, .events = POLLIN};
    bool gone = false;

    for (size_t i = 0; i < spec->steps.count && !gone; i++) {
        command_signal(child->pid, strays, spec->steps.steps[i].signal);
        command_signal(child->pid, strays, SIGCONT);
        gone = await_end(&item, child->pid, strays, spec->steps.steps[i].wait_ms);
    }
    kill(-child->pid, SIGKILL);
    tree_kill(getpid(), strays->pids, strays->count);
}
