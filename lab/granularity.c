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
 * wall * workers / jobs, is interpolated. The median of the rounds is printed, with its spread.
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
    LONGEST = 1 << 20, /* iterations: no way of running jobs needs more, about 1 ms */
};

static const uint64_t CALIBRATION_ITERATIONS = 100000000;

/* A measurement has so many iterations in all, each job counted as OVERHEAD of them more:
 * about a tenth of a second of work however short the jobs. */
static const int64_t TOTAL_ITERATIONS = 100000000, OVERHEAD = 100;

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
    for (int i = 0; i < 5; i++) {
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

/* In microseconds. */
static double metg(void (*run)(unsigned workers, int64_t jobs), unsigned workers, double iteration_s)
{
    double granularity_before = 0, efficiency_before = 0;

    for (iterations = 1; iterations < LONGEST; iterations *= 2) {
        int64_t jobs = TOTAL_ITERATIONS / ((int64_t)iterations + OVERHEAD);
        double began_s = now_s(), spent_s, granularity, efficiency;

        run(workers, jobs);
        spent_s = (now_s() - began_s) * workers;
        granularity = spent_s / (double)jobs;
        efficiency = (double)jobs * (double)iterations * iteration_s / spent_s;
        if (efficiency >= 0.5) {
            double part = (0.5 - efficiency_before) / (efficiency - efficiency_before);

            return (granularity_before + part * (granularity - granularity_before)) * 1e6;
        }
        granularity_before = granularity;
        efficiency_before = efficiency;
    }
    return granularity_before * 1e6;
}

static int by_size(const void *a, const void *b)
{
    double difference = *(const double *)a - *(const double *)b;

    return (difference > 0) - (difference < 0);
}

static void print(const char *name, double *sizes_us, unsigned rounds)
{
    qsort(sizes_us, rounds, sizeof *sizes_us, by_size);
    printf("%-16s METG(50%%) %8.3f us  (%.3f to %.3f)\n", name, sizes_us[rounds / 2], sizes_us[0],
           sizes_us[rounds - 1]);
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
    double own_us[ROUNDS_MAX], iteration_s = calibrate();
    struct muster_error error;

    if (muster_open(&options, &pool, &error) != 0) {
        fprintf(stderr, "muster_granularity: %s\n", error.text);
        return 255;
    }
    printf("%u workers, %.3f ns an iteration, %u rounds\n", workers, iteration_s * 1e9, rounds);
#ifdef _OPENMP
    double openmp_us[ROUNDS_MAX];

    for (unsigned i = 0; i < rounds; i++) {
        own_us[i] = metg(run_muster, workers, iteration_s);
        openmp_us[i] = metg(run_openmp, workers, iteration_s);
    }
    print("muster threads", own_us, rounds);
    print("OpenMP tasks", openmp_us, rounds);
#else
    for (unsigned i = 0; i < rounds; i++)
        own_us[i] = metg(run_muster, workers, iteration_s);
    print("muster threads", own_us, rounds);
    printf("OpenMP tasks     not measured: this compiler came without OpenMP\n");
#endif
    muster_close(pool);
    return 0;
}
