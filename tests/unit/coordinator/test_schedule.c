/* SPDX-License-Identifier: MIT
 *
 * Whose turn it is, by a server of one job at a time: what each got is counted beside what the
 * schedule says, and its lists are looked through after every step.
 */
#include "coordinator/schedule.h"

#include "base/error.h"
#include "jobs/random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <utlist.h>

enum { TURNS = 40, STEPS = 50000 };

static const double MS = 1e6;

static struct schedule schedule;
static struct turn turns[TURNS];
static double served_ns[TURNS]; /* what each got */

static void teardown(void)
{
    for (unsigned i = 0; i < TURNS; i++)
        schedule_leave(&schedule, &turns[i]);
    cr_assert_null(schedule.levels, "a level without batches is left");
    schedule_fini(&schedule);
}

TestSuite(schedule, .fini = teardown);

static void join_as(unsigned which, int priority, const char *user, unsigned kind)
{
    cr_assert_eq(schedule_join(&schedule, priority, user, kind, &turns[which]), 0);
    schedule_wake(&turns[which]);
    served_ns[which] = 0;
}

static void join(unsigned which, int priority, const char *user)
{
    join_as(which, priority, user, 0);
}

static unsigned picked(void)
{
    struct turn *turn;

    schedule_begin(&schedule);
    turn = schedule_pick(&schedule);
    cr_assert_not_null(turn);
    return (unsigned)(turn - turns);
}

/* Serves whose turn it is; nobody knows how long it will take before it has. */
static unsigned serve(const double *job_ns)
{
    unsigned which = picked();

    schedule_serve(&turns[which], MS);
    schedule_correct(&turns[which], job_ns[which] - MS);
    served_ns[which] += job_ns[which];
    return which;
}

static void serve_for(const double *job_ns, double ns)
{
    while (ns > 0)
        ns -= job_ns[serve(job_ns)];
}

static void expect_near(double a, double b, double apart_ns)
{
    cr_assert(fabs(a - b) <= apart_ns, "%.3f ms and %.3f ms", a / MS, b / MS);
}

Test(schedule, batch_of_higher_priority_goes_first_however_late_it_came)
{
    join(0, 0, "ann");
    join(1, -5, "ann");
    cr_assert_eq(picked(), 0);
    join(2, 7, "bob");
    cr_assert_eq(picked(), 2);
    schedule_serve(&turns[2], 1e12);
    cr_assert_eq(picked(), 2);
    schedule_park(&turns[2]);
    cr_assert_eq(picked(), 0);
    schedule_leave(&schedule, &turns[0]);
    cr_assert_eq(picked(), 1);
}

Test(schedule, long_jobs_get_no_more_time_than_short_ones)
{
    const double job_ns[] = {100 * MS, MS};

    join(0, 0, "ann");
    join(1, 0, "bob");
    serve_for(job_ns, 2000 * MS);
    expect_near(served_ns[0], served_ns[1], 100 * MS);
}

Test(schedule, user_of_many_batches_gets_no_more_than_one_of_one)
{
    double job_ns[11];

    for (unsigned i = 0; i <= 10; i++) {
        join(i, 0, i < 10 ? "ann" : "bob");
        job_ns[i] = (1 + i) * MS;
    }
    serve_for(job_ns, 4000 * MS);
    expect_near(served_ns[10], 2000 * MS, 22 * MS);
    for (unsigned i = 1; i < 10; i++)
        expect_near(served_ns[0], served_ns[i], 11 * MS);
}

Test(schedule, newcomer_does_not_catch_up_with_what_others_had_before)
{
    const double job_ns[] = {10 * MS, 10 * MS, 10 * MS};

    join(0, 0, "ann");
    serve_for(job_ns, 60000 * MS);
    served_ns[0] = 0;
    join(1, 0, "bob");
    join(2, 0, "ann");
    serve_for(job_ns, 400 * MS);
    expect_near(served_ns[0], 100 * MS, 20 * MS);
    expect_near(served_ns[2], 100 * MS, 20 * MS);
    expect_near(served_ns[1], 200 * MS, 20 * MS);
}

Test(schedule, batch_that_had_nothing_for_a_while_does_not_catch_up)
{
    const double job_ns[] = {10 * MS, 10 * MS};

    join(0, 0, "ann");
    join(1, 0, "bob");
    schedule_park(&turns[1]);
    serve_for(job_ns, 60000 * MS);
    served_ns[0] = 0;
    schedule_wake(&turns[1]);
    serve_for(job_ns, 400 * MS);
    expect_near(served_ns[0], served_ns[1], 20 * MS);
}

Test(schedule, user_who_leaves_after_each_long_job_gets_no_more_than_who_stays)
{
    const double job_ns[] = {1000 * MS, MS};
    double ann_ns = 0;

    join(1, 0, "bob");
    for (unsigned i = 0; i < 20000; i++) {
        if (!turns[0].user)
            join(0, 0, "ann");
        if (serve(job_ns) == 0) {
            ann_ns += 1000 * MS;
            schedule_leave(&schedule, &turns[0]);
        }
    }
    expect_near(ann_ns, served_ns[1], 2000 * MS);
}

Test(schedule, one_of_two_that_are_passed_over_is_picked_again_in_the_next_pass)
{
    join(0, 0, "ann");
    join(1, 0, "ann");
    schedule_begin(&schedule);
    cr_assert_eq(schedule_pick(&schedule), &turns[0]);
    schedule_pass_over(&schedule, &turns[0]);
    cr_assert_eq(schedule_pick(&schedule), &turns[1]);
    schedule_pass_over(&schedule, &turns[1]);
    cr_assert_null(schedule_pick(&schedule));
    cr_assert_eq(picked(), 0);
}

Test(schedule, turns_of_several_kinds_are_in_one_order)
{
    for (unsigned i = 0; i < 6; i++)
        join_as(i, 0, "ann", i % 3 == 1);
    schedule_serve(&turns[0], 2);
    schedule_serve(&turns[1], 1);
    schedule_begin(&schedule);
    for (unsigned i = 0; i < 6; i++) {
        struct turn *turn = schedule_pick(&schedule);

        cr_assert_eq(turn - turns, ((unsigned[]){2, 3, 4, 5, 1, 0})[i]);
        schedule_pass_over(&schedule, turn);
    }
    cr_assert_null(schedule_pick(&schedule));
}

Test(schedule, turns_of_a_kind_are_passed_over_together_until_the_next_pass)
{
    for (unsigned i = 0; i < 4; i++)
        join_as(i, 0, i < 2 ? "ann" : "bob", i % 2);
    schedule_begin(&schedule);
    schedule_pass_over_all(&schedule, 0);
    cr_assert_eq(schedule_pick(&schedule), &turns[1]);
    schedule_pass_over(&schedule, &turns[1]);
    cr_assert_eq(schedule_pick(&schedule), &turns[3]);
    schedule_pass_over_all(&schedule, 1);
    cr_assert_null(schedule_pick(&schedule));
    cr_assert_eq(picked(), 0);
}

Test(schedule, users_that_left_are_not_remembered_without_end)
{
    char name[32];

    join(0, 0, "stays");
    for (unsigned i = 0; i < 3 * SCHEDULE_IDLE_MAX; i++) {
        snprintf(name, sizeof name, "user %u", i);
        join(1, 0, name);
        schedule_serve(&turns[1], 1e12 + i);
        schedule_leave(&schedule, &turns[1]);
    }
    cr_assert_eq(schedule.levels->idle_count, SCHEDULE_IDLE_MAX);
    schedule_park(&turns[0]);
    schedule_correct(&turns[0], 1e13);
    schedule_wake(&turns[0]);
    schedule_serve(&turns[0], 0); /* all the others are caught up with */
    join(1, 0, "new");
    cr_assert_eq(schedule.levels->idle_count, 0);
}

/* --- any order of steps */

static unsigned check_list(const struct place *list)
{
    const struct place *place;
    unsigned count = 0;

    DL_FOREACH(list, place) {
        cr_assert(!place->next || place->tag_ns <= place->next->tag_ns, "a list is out of order");
        count++;
    }
    return count;
}

static void check_level(struct level *level)
{
    struct sharer *user, *next;
    unsigned joined = 0, idle = 0, waiting = 0;

    HASH_ITER(hh, level->by_name, user, next) {
        unsigned listed = check_list(user->turns[0]) + check_list(user->turns[1]), waits = 0, mine = 0;

        for (unsigned i = 0; i < TURNS; i++) {
            mine += turns[i].user == user;
            waits += turns[i].user == user && turns[i].waits;
        }
        cr_assert_eq(listed, waits);
        cr_assert_eq(mine, user->joined);
        cr_assert_eq(user->idle, mine == 0);
        joined += mine;
        idle += user->idle;
        waiting += waits > 0;
    }
    cr_assert_eq(check_list(level->users), waiting);
    cr_assert_eq(check_list(level->idle), idle);
    cr_assert_eq(level->idle_count, idle);
    cr_assert(joined > 0 && joined == level->joined);
    cr_assert(!level->next || level->priority > level->next->priority);
}

static void check(void)
{
    struct level *level;

    DL_FOREACH(schedule.levels, level)
        check_level(level);
}

static void step(struct random *random)
{
    struct turn *turn = &turns[random_next(random) % TURNS];
    char user[2] = {(char)('a' + random_next(random) % 5), '\0'};

    switch (random_next(random) % 8) {
    case 0:
        if (!turn->user)
            cr_assert_eq(schedule_join(&schedule, (int)(random_next(random) % 3), user,
                                       (unsigned)(random_next(random) % SCHEDULE_KINDS), turn),
                         0);
        break;
    case 1:
        if (random_next(random) % 4 == 0)
            schedule_leave(&schedule, turn);
        break;
    case 2:
        schedule_park(turn);
        break;
    case 3:
        schedule_wake(turn);
        break;
    case 4:
        schedule_correct(turn, (double)(random_next(random) % 1000) - 500);
        break;
    default:
        schedule_begin(&schedule);
        turn = schedule_pick(&schedule);
        if (turn && random_next(random) % 3 == 0) {
            schedule_pass_over(&schedule, turn);
            turn = schedule_pick(&schedule);
        }
        if (turn)
            schedule_serve(turn, (double)(random_next(random) % 1000));
    }
}

Test(schedule, lists_are_in_order_after_any_steps)
{
    struct random random;

    random_seed(&random, 11);
    for (unsigned i = 0; i < STEPS; i++) {
        step(&random);
        check();
    }
}

/* Who always has something to be served is never behind another such user of its priority by more
 * than what both may be served in one go. */
Test(schedule, nobody_starves_among_batches_that_come_and_go)
{
    enum { STAY = 4, GO = 16 };
    double job_ns[STAY + GO];
    struct random random;
    char name[8];

    random_seed(&random, 5);
    for (unsigned i = 0; i < STAY + GO; i++) {
        snprintf(name, sizeof name, "%u", i);
        job_ns[i] = (double)(1 + random_next(&random) % 50) * MS;
        join(i, 0, name);
    }
    for (unsigned i = 0; i < STEPS; i++) {
        unsigned goes = STAY + (unsigned)(random_next(&random) % GO);

        serve(job_ns);
        for (unsigned a = 1; a < STAY; a++)
            expect_near(served_ns[0], served_ns[a], job_ns[0] + job_ns[a]);
        snprintf(name, sizeof name, "%u", goes);
        if (turns[goes].user)
            schedule_leave(&schedule, &turns[goes]);
        else
            join(goes, 0, name);
    }
}
