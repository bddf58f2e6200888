/* SPDX-License-Identifier: MIT
 *
 * METG from turns whose answer is known: two workers that need the same overhead for each job, and
 * what else the machine may do meanwhile.
 */
#include "lab/grain.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { ROUNDS = 5, WORKERS = 2 };

/* Workers that take so long for a job, and more in the turn that is disturbed. */
struct machine {
    double work_ns, overhead_ns;
    unsigned turns, disturbed; /* 0: none */
    unsigned fails;            /* from this length on; 0: never */
    unsigned length;
    double slower; /* so many times, for whatever it does; 0: once */
};

static struct bench_spec spec = {.workers = WORKERS, .interrupt_fd = -1};
static struct bench_report report;
static struct muster_error error;

static int run(void *context, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct machine *machine = context;
    double ns = (machine->work_ns + machine->overhead_ns) * (double)jobs / WORKERS;

    if (machine->fails && machine->length >= machine->fails)
        return muster_error_set(ret_error, MUSTER_EFAILED, "it broke");
    if (machine->slower > 0)
        ns *= machine->slower;
    if (++machine->turns == machine->disturbed)
        ns *= 10;
    *ret_ns = (uint64_t)ns;
    return 0;
}

static void set_length(void *context, unsigned length)
{
    struct machine *machine = context;

    machine->length = length;
    machine->work_ns = ldexp(5, (int)length);
}

static struct grain grain_of(struct machine *machine)
{
    return (struct grain){.name = "it",
                          .block = run,
                          .context = machine,
                          .set_length = set_length,
                          .first_ns = 5,
                          .workers = WORKERS};
}

static void measure(struct grain *grain, unsigned rounds)
{
    for (unsigned i = 0; i < GRAIN_LENGTHS; i++)
        cr_assert_eq(grain_measure(&spec, rounds, &grain, 1, &error), 0);
}

static const struct bench_figure *add(const struct grain *grain, double share, const struct grain *baseline)
{
    cr_assert_eq(grain_add_figure(&report, grain, share, "the other", baseline), 0);
    return &report.figures[report.figure_count - 1];
}

static void teardown(void)
{
    bench_report_fini(&report);
}

TestSuite(grain, .fini = teardown);

Test(grain, half_and_most_of_the_time_are_not_told_apart)
{
    struct machine machine = {.overhead_ns = 30}, slower = {.overhead_ns = 300};
    struct grain grain = grain_of(&machine), other = grain_of(&slower);
    const struct bench_figure *figure;

    measure(&grain, ROUNDS);
    measure(&other, ROUNDS);
    figure = add(&grain, 0.95, &other);
    cr_assert_float_eq(figure->value, 20 * 0.030, 0.001);
    cr_assert_float_eq(figure->ratio, 0.1, 0.001);
    figure = add(&grain, 0.5, NULL);
    cr_assert_str_eq(figure->figure, "METG(50%), it");
    cr_assert_float_eq(figure->value, 2 * 0.030, 0.001);
    cr_assert_not(figure->noisy);
}

Test(grain, disturbed_turn_bends_the_curve)
{
    /* In a round of the 12th length, where 95% is reached long since. */
    struct machine machine = {.overhead_ns = 30, .disturbed = 11 * (1 + ROUNDS) + 3};
    struct grain grain = grain_of(&machine);
    const struct bench_figure *figure;

    measure(&grain, ROUNDS);
    figure = add(&grain, 0.95, NULL);
    cr_assert_float_eq(figure->value, 20 * 0.030, 0.001);
    cr_assert_not(figure->noisy);
}

Test(grain, cores_that_are_slower_together_hide_what_most_of_the_time_is)
{
    struct machine machine = {.overhead_ns = 30, .slower = 1.25}, cores = {.slower = 1.25};
    struct grain grain = grain_of(&machine), peak = grain_of(&cores);

    measure(&grain, ROUNDS);
    measure(&peak, ROUNDS);
    cr_assert_not(add(&grain, 0.95, NULL)->measured);
    grain.peak = &peak;
    cr_assert_float_eq(add(&grain, 0.95, NULL)->value, 20 * 0.030 * 1.25, 0.001);
}

Test(grain, peak_that_could_not_be_measured_makes_a_figure)
{
    struct machine machine = {.overhead_ns = 30}, cores = {.fails = 3};
    struct grain grain = grain_of(&machine), peak = grain_of(&cores);

    measure(&grain, ROUNDS);
    measure(&peak, ROUNDS);
    grain.peak = &peak;
    cr_assert_not(add(&grain, 0.5, NULL)->measured);
}

Test(grain, share_that_no_length_reaches_has_a_figure)
{
    struct machine machine = {.overhead_ns = 50000};
    struct grain grain = grain_of(&machine);
    const struct bench_figure *figure;

    measure(&grain, ROUNDS);
    figure = add(&grain, 0.95, NULL);
    cr_assert_not(figure->measured);
    cr_assert_not_null(strstr(figure->note, "jobs of 81.9 us do not reach it"));
    cr_assert(add(&grain, 0.5, NULL)->measured);
}

Test(grain, shortest_job_that_is_efficient_is_said_to_be_the_limit)
{
    struct machine machine = {.overhead_ns = 1};
    struct grain grain = grain_of(&machine);

    measure(&grain, ROUNDS);
    cr_assert_not_null(strstr(add(&grain, 0.5, NULL)->note, "or less"));
}

Test(grain, single_round_says_how_far_apart_rounds_are)
{
    struct machine machine = {.overhead_ns = 30};
    struct grain grain = grain_of(&machine);

    measure(&grain, 1);
    cr_assert(add(&grain, 0.5, NULL)->noisy);
}

Test(grain, way_that_fails_takes_the_other_with_it)
{
    struct machine broken = {.overhead_ns = 30, .fails = 3}, machine = {.overhead_ns = 30};
    struct grain first = grain_of(&broken), second = grain_of(&machine), *both[] = {&first, &second};
    const struct bench_figure *figure;

    for (unsigned i = 0; i < GRAIN_LENGTHS; i++)
        cr_assert_eq(grain_measure(&spec, ROUNDS, both, 2, &error), 0);
    figure = add(&second, 0.5, &first);
    cr_assert(figure->measured && figure->ratio == 0);
    figure = add(&first, 0.5, &second);
    cr_assert_not(figure->measured);
    cr_assert_str_eq(figure->note, "it broke");
    cr_assert_eq(grain_add_curve(&report, &first), 0);
    cr_assert_eq(report.curve_count, 0);
}
