/* SPDX-License-Identifier: MIT
 *
 * The kernel on all cores at once, with nothing handed out. See bare.h.
 */
#include "lab/bare.h"

#include "base/clock.h"
#include "jobs/builtin.h"
#include "lab/pinned.h"

#include <stdlib.h>

struct computer {
    uint64_t iterations, took_ns;
    pthread_t thread;
};

static void *compute(void *context)
{
    struct computer *computer = context;
    uint64_t began_ns = clock_now_ns();

    kernel_iterate(computer->iterations);
    computer->took_ns = clock_now_ns() - began_ns;
    return NULL;
}

/* As if all had been dealt out so that no thread waits for a slower one. */
static uint64_t time_of_all(const struct computer *computers, unsigned count)
{
    double shares_per_ns = 0;

    for (unsigned i = 0; i < count; i++)
        shares_per_ns += 1.0 / (double)(computers[i].took_ns ? computers[i].took_ns : 1);
    return (uint64_t)(count / shares_per_ns);
}

int bare_kernel_run(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const struct bare_kernel *kernel = context;
    struct computer *computers = calloc(kernel->workers, sizeof *computers);
    unsigned started = 0;
    int code = 0;

    if (!computers)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    while (started < kernel->workers && !code) {
        struct computer *computer = &computers[started];

        computer->iterations = kernel->iterations * jobs / kernel->workers;
        code = pinned_start(compute, computer, started, &computer->thread, ret_error);
        started += code == 0;
    }
    for (unsigned i = 0; i < started; i++)
        pthread_join(computers[i].thread, NULL);
    if (!code)
        *ret_ns = time_of_all(computers, started);
    free(computers);
    return code;
}
