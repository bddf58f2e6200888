/* SPDX-License-Identifier: MIT
 *
 * The times of single jobs. See task.h.
 */
#include "client/task.h"

const uint64_t TASK_TIMED_NS = 20000;

bool task_wants_times(const struct task *task, uint64_t wall_ns)
{
    return task->submitted_ns && (task->alone || wall_ns >= TASK_TIMED_NS);
}

void task_note_times(struct task *task, const struct moments *moments, const struct work *work,
                     const struct delivery *delivery, uint64_t cpu_ns, enum muster_phase last)
{
    struct task_times *times = msgpack_zone_malloc(task->zone, sizeof *times);
    struct moments known = *moments;

    if (!times)
        return;
    known.asked_ns = task->submitted_ns;
    *times = (struct task_times){.submitted_ns = task->submitted_ns,
                                 .began_ns = work->began_ns,
                                 .wall_ns = work->decode_ns + work->execute_ns + work->encode_ns,
                                 .cpu_ns = cpu_ns,
                                 .last = last,
                                 .receipt = account_job(&known, work, delivery)};
    task->times = times;
    task->timed = true;
}
