/* SPDX-License-Identifier: MIT
 *
 * The lab's own worker processes and the functions they have. See bench_crew.h.
 */
#include "lab/bench_crew.h"

#include "jobs/muster_job.h"
#include "lab/bare.h"

#include <errno.h>
#include <sys/mman.h>

static const muster_function functions[] = {
    {.name = BARE_WORKER, .summary = "a worker of the bare loop", .run = bare_worker},
    {.name = BARE_ECHO, .summary = "sends back what it gets, over ZeroMQ", .run = bare_echo},
    {.name = BARE_FUTEX, .summary = "counts by turns, woken by a futex", .run = bare_futex_echo},
};
static const muster_plugin of_the_lab = MUSTER_PLUGIN(functions);

static void *page; /* lives as long as the process */

void *bench_crew_page(void)
{
    return page;
}

int bench_crew_open(unsigned workers, muster **ret_crew, struct muster_error *ret_error)
{
    struct muster_options options = {.model = MUSTER_PROCESSES,
                                     .workers = workers,
                                     .warm = true,
                                     .start = MUSTER_FORK,
                                     .functions = &of_the_lab};

    if (!page) {
        void *mapped =
            mmap(NULL, BENCH_CREW_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (mapped == MAP_FAILED)
            return muster_error_system(ret_error, errno, "cannot share memory");
        page = mapped;
    }
    return muster_open(&options, ret_crew, ret_error);
}

int bench_crew_call(muster *crew, const char *function, const msgpack_object *argument,
                    muster_future **ret_call, struct muster_error *ret_error)
{
    struct muster_job job = {.function = function, .argument = argument};
    int code = muster_submit(crew, &job, ret_call, ret_error);

    return code ? code : muster_dispatch(crew, ret_error); /* else it may wait for more of its kind */
}

int bench_crew_wait(muster_future **calls, size_t count, struct muster_error *ret_error)
{
    struct muster_error error;
    int code = 0, first = 0;

    for (size_t i = 0; i < count; i++) {
        if (!calls[i])
            continue;
        code = muster_await(calls[i], NULL, &error);
        if (code && !first)
            first = muster_error_set(ret_error, code, "%s", error.text);
        muster_future_drop(calls[i]);
        calls[i] = NULL;
    }
    return first;
}
