/* SPDX-License-Identifier: MIT
 *
 * The lowest of many numbers is at hand, whatever changes.
 */
#include "coordinator/lowest.h"

#include <criterion/criterion.h>
#include <stdlib.h>

Test(lowest, single_place_is_the_lowest)
{
    struct lowest lowest;

    cr_assert_eq(lowest_init(&lowest, 1), 0);
    cr_expect_eq(lowest_number(&lowest), UINT64_MAX);
    lowest_set(&lowest, 0, 7);
    cr_expect_eq(lowest_number(&lowest), 7);
    lowest_fini(&lowest);
    lowest_fini(&lowest);
}

/* Against a plain search, for counts that are powers of two and are not; half of the numbers are equal
 * to others. */
Test(lowest, number_that_changed_is_not_the_lowest_any_more)
{
    enum { PLACES = 70, STEPS = 300 };
    uint64_t numbers[PLACES];

    srand(1);
    for (unsigned places = 1; places <= PLACES; places++) {
        struct lowest lowest;

        cr_assert_eq(lowest_init(&lowest, places), 0);
        for (unsigned i = 0; i < places; i++)
            numbers[i] = UINT64_MAX;
        for (int step = 0; step < STEPS; step++) {
            unsigned place = (unsigned)rand() % places;
            uint64_t least = UINT64_MAX;

            numbers[place] = rand() % 4 == 0 ? UINT64_MAX : (uint64_t)rand() % (2 * places);
            lowest_set(&lowest, place, numbers[place]);
            for (unsigned i = 0; i < places; i++)
                least = numbers[i] < least ? numbers[i] : least;
            cr_assert_eq(lowest_number(&lowest), least, "%u places, step %d", places, step);
        }
        lowest_fini(&lowest);
    }
}
