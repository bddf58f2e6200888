/* SPDX-License-Identifier: MIT
 *
 * What is made of rounds: figures, ratios, what is noisy or missing; and who has a turn when.
 */
#include "lab/bench.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static const struct bench_scale jobs_a_second = {"jobs/s", true, 1}, microseconds = {"us", false, 1e-3};
static struct bench_report report;
static struct bench_spec spec = {.interrupt_fd = -1};
static struct muster_error error;

static struct bench_turn turn_of(size_t count, const double *ns)
{
    struct bench_turn turn = {.sample = {.count = 0}};

    for (size_t i = 0; i < count; i++)
        sample_add(&turn.sample, ns[i]);
    return turn;
}

#define TURN(...) turn_of(sizeof((double[]){__VA_ARGS__}) / sizeof(double), (const double[]){__VA_ARGS__})

static const struct bench_figure *add(const struct bench_turn *turn, const struct bench_turn *baseline,
                                      const struct bench_scale *scale)
{
    cr_assert_eq(bench_add_turn(&report, "it", turn, "the other", baseline, scale), 0);
    return &report.figures[report.figure_count - 1];
}

static void teardown(void)
{
    bench_report_fini(&report);
}

TestSuite(bench, .fini = teardown);

Test(bench, rate_has_its_bounds_the_wrong_way_round)
{
    struct bench_turn turn = TURN(100, 125, 110, 120, 90), baseline = TURN(220, 220, 220, 220, 220);
    const struct bench_figure *figure = add(&turn, &baseline, &jobs_a_second);

    cr_assert(figure->measured && !figure->less_is_better && !figure->noisy);
    cr_assert_float_eq(figure->value, 1e9 / 110, 1);
    cr_assert(figure->low < figure->value && figure->value < figure->high);
    cr_assert_float_eq(figure->ratio, 2, 1e-9);
    cr_assert_str_eq(figure->baseline, "the other");
}

Test(bench, time_is_told_as_a_rate)
{
    struct bench_turn turn = TURN(1000, 2000, 3000);
    const struct bench_figure *figure = add(&turn, NULL, &microseconds);

    cr_assert(figure->less_is_better);
    cr_assert_eq(figure->value, 2);
    cr_assert_eq(figure->ratio, 0);
    cr_assert_eq(figure->baseline[0], '\0');
}

Test(bench, noise_of_the_baseline_is_not_that_of_the_ratio)
{
    struct bench_turn turn = TURN(100, 100, 100, 100), baseline = TURN(100, 200, 300, 400);

    cr_assert(add(&turn, &baseline, &jobs_a_second)->noisy);
    cr_assert(add(&baseline, NULL, &jobs_a_second)->noisy);
    cr_assert_not(add(&turn, NULL, &jobs_a_second)->noisy);
}

Test(bench, two_rounds_say_how_far_apart_rounds_are)
{
    struct bench_turn two = TURN(100, 100), three = TURN(100, 100, 100);

    cr_assert(add(&two, NULL, &jobs_a_second)->noisy);
    cr_assert_not(add(&three, NULL, &jobs_a_second)->noisy);
}

Test(bench, what_failed_has_a_figure)
{
    struct bench_turn turn = {.sample = {.count = 0}}, other = TURN(100);
    const struct bench_figure *figure;

    muster_error_set(&turn.error, MUSTER_ELIMIT, "no room");
    figure = add(&turn, &other, &jobs_a_second);
    cr_assert_not(figure->measured);
    cr_assert_eq(figure->ratio, 0);
    cr_assert_str_eq(figure->note, "no room");
    figure = add(&other, &turn, &jobs_a_second);
    cr_assert(figure->measured);
    cr_assert_eq(figure->ratio, 0);
    cr_assert_str_eq(figure->note, "not measured: no room");
}

Test(bench, time_below_the_clocks_makes_an_infinite_rate)
{
    struct bench_turn turn = TURN(0, 0, 0);

    cr_assert(add(&turn, NULL, &jobs_a_second)->value <= 1e12);
}

Test(bench, report_loses_figures_and_curves_as_it_grows)
{
    for (int i = 0; i < 100; i++) {
        struct bench_figure figure = {.measured = true, .value = i, .baseline_value = 2};
        struct bench_curve curve = {.points = calloc(1, sizeof *curve.points), .count = 1};

        curve.points[0].x = i;
        cr_assert_eq(bench_add(&report, &figure), 0);
        cr_assert_eq(bench_add_curve(&report, &curve), 0);
    }
    cr_assert(report.figure_count == 100 && report.curve_count == 100);
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(report.figures[i].ratio, i / 2.0);
        cr_assert_eq(report.curves[i].points[0].x, i);
    }
}

/* --- turns */

enum { LOG_MAX = 64 };

struct player {
    char name;
    unsigned fails_at; /* its n-th call; 0: never */
    unsigned calls;
    uint64_t times, ns; /* of a time */
};

static char log_of_calls[LOG_MAX];

static int play(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct player *player = context;
    size_t used = strlen(log_of_calls);

    if (used + 1 < LOG_MAX)
        log_of_calls[used] = player->name;
    player->times = times;
    if (++player->calls == player->fails_at)
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "broken");
    *ret_ns = times * player->ns;
    return 0;
}

Test(bench, one_is_done_with_before_the_next_has_begun)
{
    struct player a = {.name = 'a', .ns = 5}, b = {.name = 'b', .ns = 7};
    struct bench_turn turns[] = {{.block = play, .context = &a, .times = 10},
                                 {.block = play, .context = &b, .times = 10}};

    cr_assert_eq(bench_take_turns(&spec, 3, turns, 2, &error), 0);
    cr_assert_str_eq(log_of_calls, "abababab"); /* the first of each warms it up */
    cr_assert(turns[0].sample.count == 3 && turns[1].sample.count == 3);
    cr_assert(turns[0].sample.values[0] == 5 && turns[1].sample.values[2] == 7);
}

Test(bench, rounds_that_were_asked_for_are_not_those_made)
{
    struct player a = {.name = 'a', .ns = 5};
    struct bench_turn turn = {.block = play, .context = &a, .times = 10};
    struct bench_spec two = {.rounds = 2, .interrupt_fd = -1};

    cr_assert_eq(bench_take_turns(&two, 5, &turn, 1, &error), 0);
    cr_assert_eq(turn.sample.count, 2);
}

Test(bench, round_is_much_shorter_or_longer_than_it_should)
{
    static const uint64_t each_ns[] = {1, 100, 12345, 1000000, 300000000};

    for (size_t i = 0; i < sizeof each_ns / sizeof *each_ns; i++) {
        struct player a = {.name = 'a', .ns = each_ns[i]};
        struct bench_turn turn = {.block = play, .context = &a};
        double round_ns;

        cr_assert_eq(bench_take_turns(&spec, 1, &turn, 1, &error), 0);
        round_ns = (double)a.times * (double)a.ns;
        cr_assert(round_ns > 1e8 && round_ns < 1e9, "%g ns", round_ns);
    }
}

Test(bench, glance_takes_as_long_as_a_round_of_many)
{
    struct player a = {.name = 'a', .ns = 100};
    struct bench_turn turn = {.block = play, .context = &a};
    struct bench_spec glance = {.rounds = 1, .interrupt_fd = -1};

    cr_assert_eq(bench_take_turns(&glance, 5, &turn, 1, &error), 0);
    cr_assert(a.times * a.ns > 1e7 && a.times * a.ns < 1e8);
    cr_assert_eq(turn.sample.count, 1);
    cr_assert_eq(bench_turn_share(&glance, 1000), 100);
    cr_assert_eq(bench_turn_share(&glance, 1), 1);
    cr_assert_eq(bench_turn_share(&glance, 0), 0); /* as many as fill a round */
    cr_assert_eq(bench_turn_share(&spec, 1000), 1000);
}

Test(bench, one_that_fails_ends_the_others_or_is_asked_again)
{
    struct player a = {.name = 'a', .ns = 5, .fails_at = 3}, b = {.name = 'b', .ns = 7};
    struct bench_turn turns[] = {{.block = play, .context = &a, .times = 10},
                                 {.block = play, .context = &b, .times = 10}};

    cr_assert_eq(bench_take_turns(&spec, 3, turns, 2, &error), 0);
    cr_assert_str_eq(log_of_calls, "abababb");
    cr_assert(turns[0].sample.count == 0 && turns[0].error.code == MUSTER_ESYSTEM);
    cr_assert_str_eq(turns[0].error.text, "broken");
    cr_assert_eq(turns[1].sample.count, 3);
}

Test(bench, interrupt_is_not_heard)
{
    struct player a = {.name = 'a', .ns = 5};
    struct bench_turn turn = {.block = play, .context = &a, .times = 10};
    struct bench_spec interrupted = {.interrupt_fd = eventfd(1, EFD_CLOEXEC)};

    cr_assert(interrupted.interrupt_fd >= 0);
    cr_assert_eq(bench_take_turns(&interrupted, 3, &turn, 1, &error), MUSTER_ECANCELLED);
    cr_assert_eq(a.calls, 0);
    close(interrupted.interrupt_fd);
}
