/* SPDX-License-Identifier: MIT
 *
 * How small jobs may be: METG(50%) and METG(95%) (lab/metg.h) of the models threads and processes,
 * with automatic chunks, beside OpenMP tasks of the same kernel.
 *
 * The kernel is calibrated alone on a core, and in turns with the ways on all cores at once: where cores
 * are slower together, no way reaches 95% of the former. Its length doubles, from what no way of
 * running jobs is efficient with to 0.1 ms; at each length the ways take turns, and each turn
 * has as many jobs as fill it. With peers, Python's pools take turns with processes afterwards.
 */
#include "lab/bare.h"
#include "lab/bench.h"
#include "lab/grain.h"
#include "lab/kernel.h"
#include "lab/openmp.h"
#include "lab/peers.h"

#include "jobs/builtin.h"

#include <stdio.h>
#include <stdlib.h>

/* In the order of the table. */
enum { THREADS, PROCESSES, OPENMP, WAYS };

/* A row of the table for each way: half of the time, most of it, and most of what the cores do together. */
enum { HALF, MOST, MOST_TOGETHER };

enum {
    ROUNDS_DEFAULT = 5,
    ITERATIONS_FIRST = 4, /* some 6 ns; the longest are 65536 iterations, about 100 us */
    PEER_ROUNDS = 3,
    PEER_NS_FIRST = 500,
    PEER_LENGTHS = 11, /* the last is 0.5 ms */
};

/* What runs jobs of the kernel. */
struct runner {
    muster *model; /* owned; NULL: OpenMP */
    unsigned workers;
    uint64_t iterations; /* of a job now */
};

struct granularity {
    double iteration_ns;
    struct runner runners[WAYS];
    struct grain grains[WAYS];
    struct bare_kernel kernel;
    struct grain together; /* the kernel on all cores, with nothing handed out */
};

static int run_muster(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const struct runner *runner = context;

    return kernel_map(runner->model, (int64_t)(runner->iterations << KERNEL_SHIFT), jobs, -1, ret_ns,
                      ret_error);
}

static int run_openmp(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const struct runner *runner = context;

    (void)ret_error;
    openmp_tasks(runner->workers, runner->iterations, jobs, ret_ns);
    return 0;
}

static void set_iterations(void *context, unsigned length)
{
    struct runner *runner = context;

    runner->iterations = (uint64_t)ITERATIONS_FIRST << length;
}

static void set_kernel(void *context, unsigned length)
{
    struct bare_kernel *kernel = context;

    kernel->iterations = (uint64_t)ITERATIONS_FIRST << length;
}

/* --- ways */

static void open_ways(const struct bench_spec *spec, struct granularity *g)
{
    static const struct {
        const char *name;
        bench_block *block;
        enum muster_model model;
    } ways[WAYS] = {
        [THREADS] = {"threads", run_muster, MUSTER_THREADS},
        [PROCESSES] = {"processes", run_muster, MUSTER_PROCESSES},
        [OPENMP] = {"OpenMP tasks", run_openmp, MUSTER_THREADS},
    };

    g->kernel.workers = spec->workers;
    g->together = (struct grain){.name = "the cores",
                                 .block = bare_kernel_run,
                                 .context = &g->kernel,
                                 .set_length = set_kernel,
                                 .first_ns = ITERATIONS_FIRST * g->iteration_ns,
                                 .workers = spec->workers};
    for (size_t i = 0; i < WAYS; i++) {
        struct grain *grain = &g->grains[i];

        g->runners[i].workers = spec->workers;
        *grain = (struct grain){.name = ways[i].name,
                                .block = ways[i].block,
                                .context = &g->runners[i],
                                .set_length = set_iterations,
                                .first_ns = ITERATIONS_FIRST * g->iteration_ns,
                                .workers = spec->workers};
        if (i == OPENMP)
            openmp_load(&grain->error);
        else
            g->runners[i].model = bench_open(spec, ways[i].model, MUSTER_IPC, spec->workers, &grain->error);
    }
}

static int measure_ways(const struct bench_spec *spec, struct granularity *g, struct muster_error *ret_error)
{
    struct grain *grains[] = {&g->grains[THREADS], &g->grains[PROCESSES], &g->grains[OPENMP], &g->together};
    int code = 0;

    for (unsigned length = 0; length < GRAIN_LENGTHS && !code; length++) {
        char text[64];

        snprintf(text, sizeof text, "jobs of %.2f us", (ITERATIONS_FIRST << length) * g->iteration_ns / 1e3);
        if (spec->on_step)
            spec->on_step(spec->context, text);
        code = grain_measure(spec, ROUNDS_DEFAULT, grains, WAYS + 1, ret_error);
    }
    return code;
}

/* --- peers */

static void set_burn(void *context, unsigned length)
{
    peer_set_work(context, (uint64_t)PEER_NS_FIRST << length);
}

/* Of Python's pools only half the time is looked for: lengths double, of their jobs and of processes',
 * until both have reached it. */
static int measure_peer(const struct bench_spec *spec, struct grain *peer, struct grain *own,
                        struct muster_error *ret_error)
{
    struct grain *grains[] = {own, peer};
    struct sample_summary summary;
    int code = 0;

    for (unsigned length = 0; length < PEER_LENGTHS && !code && !peer->error.code; length++) {
        if (grain_metg(peer, 0.5, &summary) && (own->error.code || grain_metg(own, 0.5, &summary)))
            break;
        code = grain_measure(spec, PEER_ROUNDS, grains, 2, ret_error);
    }
    return code;
}

/* One that is not there, or fails, is a figure that says so. */
static int add_peer(const struct bench_spec *spec, size_t place, const struct grain *processes,
                    struct bench_report *report, struct muster_error *ret_error)
{
    struct grain own = *processes, grain = {.name = peers_name(PEER_WORK, place),
                                            .block = peer_run,
                                            .set_length = set_burn,
                                            .first_ns = PEER_NS_FIRST,
                                            .workers = spec->workers};
    struct peer *peer = NULL;
    char text[BENCH_NAME_BYTES];
    int code;

    own.count = 0;
    snprintf(text, sizeof text, "METG(50%%), %s", grain.name);
    if (spec->on_step)
        spec->on_step(spec->context, text);
    grain.error.code = peer_start(spec, PEER_WORK, place, &peer, &grain.error);
    if (grain.error.code == MUSTER_ECANCELLED || grain.error.code == MUSTER_ENOMEM)
        return muster_error_set(ret_error, grain.error.code, "%s", grain.error.text);
    grain.context = peer;
    code = measure_peer(spec, &grain, &own, ret_error);
    peer_stop(peer);
    if (!code && grain_add_figure(report, &grain, 0.5, "METG(50%), processes", &own))
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return code;
}

/* --- all of it */

/* METG of each way, beside that of OpenMP tasks. `peak` as in struct grain. */
static int report_share(const struct granularity *g, double share, const struct grain *peak,
                        struct bench_report *report)
{
    struct grain grains[WAYS];
    int code = 0;

    for (size_t i = 0; i < WAYS; i++) {
        grains[i] = g->grains[i];
        grains[i].peak = peak;
    }
    for (size_t i = 0; i < WAYS && !code; i++)
        code = grain_add_figure(report, &grains[i], share, grains[OPENMP].name,
                                i == OPENMP ? NULL : &grains[OPENMP]);
    return code;
}

static int report_ways(const struct granularity *g, struct bench_report *report)
{
    int code;

    if ((code = report_share(g, 0.5, NULL, report)) != 0 ||
        (code = report_share(g, 0.95, NULL, report)) != 0 ||
        (code = report_share(g, 0.95, &g->together, report)) != 0)
        return code;
    for (size_t i = 0; i < WAYS && !code; i++)
        code = grain_add_curve(report, &g->grains[i]);
    return code;
}

static void judge(struct bench_report *report, unsigned workers, double iteration_ns)
{
    const struct bench_figure *half = &report->figures[HALF * WAYS + PROCESSES],
                              *most = &report->figures[MOST_TOGETHER * WAYS + PROCESSES];
    char *text = report->sentence;
    size_t size = sizeof report->sentence, used;

    if (!half->measured) {
        snprintf(text, size, "In processes half of the workers' time was never spent on work: %s.",
                 half->note);
        return;
    }
    used =
        (size_t)snprintf(text, size, "Of %u workers' time in processes half is work when a job takes %.3g us",
                         workers, half->value);
    if (half->ratio > 0)
        used += (size_t)snprintf(text + used, size - used, " (%.3g of what OpenMP tasks need)", half->ratio);
    if (most->measured)
        used += (size_t)snprintf(text + used, size - used,
                                 ", 95%% of what the cores do together when it takes %.3g us", most->value);
    snprintf(text + used, size - used, ". Work is iterations of %.2f ns, calibrated on one core.",
             iteration_ns);
}

static int measure(const struct bench_spec *spec, struct granularity *g, struct bench_report *report,
                   struct muster_error *ret_error)
{
    int code = measure_ways(spec, g, ret_error);

    if (code)
        return code;
    if (report_ways(g, report))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    judge(report, spec->workers, g->iteration_ns);
    for (size_t place = 0; spec->peers && place < peers_count(PEER_WORK) && !code; place++)
        code = add_peer(spec, place, &g->grains[PROCESSES], report, ret_error);
    return code;
}

int bench_granularity(const struct bench_spec *spec, struct bench_report *report,
                      struct muster_error *ret_error)
{
    struct granularity *g = calloc(1, sizeof *g);
    int code;

    if (!g)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if ((code = kernel_calibrate(&g->iteration_ns, ret_error)) == 0) {
        open_ways(spec, g);
        code = measure(spec, g, report, ret_error);
        for (size_t i = 0; i < WAYS; i++)
            muster_close(g->runners[i].model);
    }
    free(g);
    return code;
}
