/* SPDX-License-Identifier: MIT
 *
 * muster_granularity: how small jobs may be. METG(50%), the smallest job at which half of the
 * cores' time is useful work (Slaughter et al., Task Bench, SC20), of the model threads with
 * automatic chunks beside that of OpenMP tasks, with the same kernel, in the same run. Not
 * installed; build it with `ninja muster_granularity`.
 *
 *     muster_granularity [WORKERS [ROUNDS]]
 *
 * The kernel is calibrated alone on a core; then its length doubles from 1 iteration on until
 * the efficiency, kernel time / (wall * workers), passes a half, and the size of a job there,
 * wall * workers / jobs, is interpolated. Each length is run so many rounds, both ways by turns,
 * and the fastest counts: what else the machine does only ever adds. On a machine that has no
 * cores to spare for it, half of them may not be reached at all.
 */
#include "base/clock.h"
#include "base/cores.h"
#include "client/muster.h"
#include "jobs/muster_job.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    WORKERS_DEFAULT = 2,
    ROUNDS_DEFAULT = 5,
    ROUNDS_MAX = 99,
    CALIBRATIONS = 200, /* of a millisecond or two, less than what the kernel gives at once */
    LONGEST = 1 << 16,  /* iterations: no way of running jobs needs more, about 100 us */
};

static const uint64_t CALIBRATION_ITERATIONS = 1000000;

/* A measurement has so many iterations in all, each job counted as OVERHEAD of them more:
 * about 20 ms of work however short the jobs. */
static const int64_t TOTAL_ITERATIONS = 20000000, OVERHEAD = 100;

/* Of the jobs that run now. */
static uint64_t iterations;

/* Keeps the compiler from leaving the kernel out. */
static volatile uint64_t sink;

__attribute__((noinline)) static void kernel(uint64_t count)
{
    uint64_t x = count | 1;

    for (uint64_t i = 0; i < count; i++)
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    if (x == 42)
        sink = x;
}

static double now_s(void)
{
    return (double)clock_now_ns() / 1e9;
}

/* Seconds of an iteration: the best of several, on one core, with nothing beside it. */
static double calibrate(void)
{
    double best_s = 1e9;
    cpu_set_t before, *own;
    size_t bytes;
    int cpu;

    sched_getaffinity(0, sizeof before, &before);
    if (cores_nth(0, &cpu) == 0 && (own = cores_only(cpu, &bytes)) != NULL) {
        sched_setaffinity(0, bytes, own);
        CPU_FREE(own);
    }
    for (int i = 0; i < CALIBRATIONS; i++) {
        double began_s = now_s(), took_s;

        kernel(CALIBRATION_ITERATIONS);
        took_s = now_s() - began_s;
        best_s = took_s < best_s ? took_s : best_s;
    }
    sched_setaffinity(0, sizeof before, &before);
    return best_s / (double)CALIBRATION_ITERATIONS;
}

static int run_kernel(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    (void)ret_result;
    kernel(iterations);
    return 0;
}

static muster *pool;

static void run_muster(unsigned workers, int64_t jobs)
{
    struct muster_batch batch = {.function = "kernel", .source = muster_source_range(1, jobs)};
    struct muster_error error;

    (void)workers;
    if (muster_map(pool, &batch, NULL, &error) != 0) {
        fprintf(stderr, "muster_granularity: %s\n", error.text);
        exit(255);
    }
}

#ifdef _OPENMP
static void run_openmp(unsigned workers, int64_t jobs)
{
#pragma omp parallel num_threads(workers)
#pragma omp single
    for (int64_t i = 0; i < jobs; i++) {
#pragma omp task
        kernel(iterations);
    }
}
#endif

/* One way of running jobs, while the kernel grows. */
struct way {
    const char *name;
    void (*run)(unsigned workers, int64_t jobs);
    double granularity, efficiency; /* in seconds, and of 1; at the length before */
    double metg_us;                 /* 0: not reached */
};

static double time_run(const struct way *way, unsigned workers, int64_t jobs)
{
    double began_s = now_s();

    way->run(workers, jobs);
    return now_s() - began_s;
}

static void judge(struct way *way, unsigned workers, int64_t jobs, double wall_s, double iteration_s)
{
    double granularity = wall_s * workers / (double)jobs;
    double efficiency = (double)iterations * iteration_s / granularity;
    double part = (0.5 - way->efficiency) / (efficiency - way->efficiency);

    if (efficiency >= 0.5)
        way->metg_us = (way->granularity + part * (granularity - way->granularity)) * 1e6;
    way->granularity = granularity;
    way->efficiency = efficiency;
}

static void measure(struct way *ways, unsigned count, unsigned workers, unsigned rounds, double iteration_s)
{
    for (iterations = 1; iterations <= LONGEST; iterations *= 2) {
        int64_t jobs = TOTAL_ITERATIONS / ((int64_t)iterations + OVERHEAD);
        double best_s[2] = {1e9, 1e9};

        for (unsigned round = 0; round < rounds; round++)
            for (unsigned i = 0; i < count; i++) {
                double wall_s = ways[i].metg_us > 0 ? 1e9 : time_run(&ways[i], workers, jobs);

                best_s[i] = wall_s < best_s[i] ? wall_s : best_s[i];
            }
        for (unsigned i = 0; i < count; i++)
            if (ways[i].metg_us == 0)
                judge(&ways[i], workers, jobs, best_s[i], iteration_s);
    }
}

static unsigned number(int argc, char **argv, int place, unsigned otherwise, unsigned most)
{
    char *end;
    unsigned long value;

    if (place >= argc)
        return otherwise;
    value = strtoul(argv[place], &end, 10);
    if (argv[place][0] < '0' || argv[place][0] > '9' || *end || value == 0 || value > most) {
        fprintf(stderr, "muster_granularity: '%s' is not a number from 1 to %u\n", argv[place], most);
        exit(255);
    }
    return (unsigned)value;
}

int main(int argc, char **argv)
{
    static const muster_function functions[] = {
        {.name = "kernel", .summary = "so many iterations", .run = run_kernel}};
    static const muster_plugin plugin = MUSTER_PLUGIN(functions);
    unsigned workers = number(argc, argv, 1, WORKERS_DEFAULT, 1024);
    unsigned rounds = number(argc, argv, 2, ROUNDS_DEFAULT, ROUNDS_MAX);
    struct muster_options options = {.model = MUSTER_THREADS, .workers = workers, .functions = &plugin};
    struct way ways[] = {
        {.name = "muster threads", .run = run_muster},
#ifdef _OPENMP
        {.name = "OpenMP tasks", .run = run_openmp},
#endif
    };
    unsigned count = sizeof ways / sizeof *ways;
    double iteration_s = calibrate();
    struct muster_error error;

    if (muster_open(&options, &pool, &error) != 0) {
        fprintf(stderr, "muster_granularity: %s\n", error.text);
        return 255;
    }
    printf("%u workers, %.3f ns an iteration, %u rounds\n", workers, iteration_s * 1e9, rounds);
    measure(ways, count, workers, rounds, iteration_s);
    for (unsigned i = 0; i < count; i++)
        if (ways[i].metg_us > 0)
            printf("%-16s METG(50%%) %8.3f us\n", ways[i].name, ways[i].metg_us);
        else
            printf("%-16s METG(50%%) not reached: something else takes the cores\n", ways[i].name);
    if (count == 1)
        printf("OpenMP tasks     not measured: this compiler came without OpenMP\n");
    muster_close(pool);
    return 0;
}
