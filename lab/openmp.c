/* SPDX-License-Identifier: MIT
 *
 * Tasks of libgomp. See openmp.h.
 *
 * The library orders what its threads do by futexes of its own, which the thread sanitizer cannot
 * see: what they share with us is atomic, and constant while they run.
 */
#include "lab/openmp.h"

#include "base/clock.h"
#include "jobs/builtin.h"

#include <dlfcn.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

static const char library[] = "libgomp.so.1";

/* A thread of the library looks for work 300,000 times, some 25 ns each, before it sleeps: 8 ms. */
static const struct timespec SETTLE = {.tv_nsec = 30 * 1000 * 1000};

typedef void parallel_call(void (*body)(void *), void *data, unsigned threads, unsigned flags);
typedef bool single_call(void);
typedef void task_call(void (*body)(void *), void *data, void (*copy)(void *, void *), long size, long align,
                       bool deferred, unsigned flags, void **depend, int priority);

static parallel_call *parallel;
static single_call *single;
static task_call *task;

/* What the threads are to do. One of its kind, at a place of its own: memory that others had would
 * look raced for. */
static struct {
    _Atomic uint64_t iterations, jobs;
} region;

int openmp_load(struct muster_error *ret_error)
{
    void *handle;

    if (task)
        return 0;
    if (!(handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)))
        return muster_error_set(ret_error, MUSTER_ENOTFOUND, "%s is not installed", library);
    *(void **)&parallel = dlsym(handle, "GOMP_parallel");
    *(void **)&single = dlsym(handle, "GOMP_single_start");
    if (parallel && single)
        *(void **)&task = dlsym(handle, "GOMP_task");
    dlclose(handle);
    return task ? 0
                : muster_error_set(ret_error, MUSTER_ENOTFOUND, "%s is not GCC's: it has no tasks", library);
}

static void run_job(void *data)
{
    kernel_iterate(*(const uint64_t *)data);
}

static void run_region(void *data)
{
    uint64_t iterations, jobs;

    (void)data;
    if (!single())
        return;
    iterations = atomic_load_explicit(&region.iterations, memory_order_relaxed);
    jobs = atomic_load_explicit(&region.jobs, memory_order_relaxed);
    while (jobs--)
        task(run_job, &iterations, NULL, sizeof iterations, alignof(uint64_t), true, 0, NULL, 0);
}

void openmp_tasks(unsigned workers, uint64_t iterations, uint64_t jobs, uint64_t *ret_ns)
{
    uint64_t began_ns = clock_now_ns();

    atomic_store_explicit(&region.iterations, iterations, memory_order_relaxed);
    atomic_store_explicit(&region.jobs, jobs, memory_order_relaxed);
    parallel(run_region, NULL, workers, 0);
    *ret_ns = clock_now_ns() - began_ns;
    nanosleep(&SETTLE, NULL);
}
