/* SPDX-License-Identifier: MIT
 *
 * Free extents against a plain array of units.
 */
#include "proto/extents.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { UNITS = 64, PIECES = 32 };

static struct extents extents;
static bool taken[UNITS];

static uint32_t first_fit(uint32_t count)
{
    for (uint32_t first = 0; first + count <= UNITS; first++) {
        uint32_t run = 0;

        while (run < count && !taken[first + run])
            run++;
        if (run == count)
            return first;
    }
    return UINT32_MAX;
}

/* The list says what the array says, in order, and no two extents touch. */
static void check_extents(void)
{
    bool listed[UNITS] = {false};
    uint32_t behind = 0;

    for (uint32_t i = 0; i < extents.count; i++) {
        const struct extent *extent = &extents.list[i];

        cr_assert_gt(extent->count, 0);
        cr_assert(i == 0 || extent->first > behind);
        behind = extent->first + extent->count;
        cr_assert_leq(behind, UNITS);
        memset(listed + extent->first, true, extent->count);
    }
    for (uint32_t unit = 0; unit < UNITS; unit++)
        cr_assert_eq(listed[unit], !taken[unit]);
}

Test(extents, pieces_are_the_first_that_fit_and_come_together_again_when_they_are_given_back)
{
    struct extent pieces[PIECES] = {{0}};

    cr_assert_eq(extents_init(&extents, PIECES + 1, UNITS), 0);
    srand(1);
    for (int step = 0; step < 20000; step++) {
        struct extent *piece = &pieces[rand() % PIECES];

        if (piece->count) {
            extents_give(&extents, piece->first, piece->count);
            memset(taken + piece->first, false, piece->count);
            piece->count = 0;
        } else {
            uint32_t count = 1 + (uint32_t)rand() % 8, expected = first_fit(count);

            cr_assert_eq(extents_take(&extents, count), expected);
            if (expected != UINT32_MAX) {
                *piece = (struct extent){expected, count};
                memset(taken + expected, true, count);
            }
        }
        check_extents();
    }
    extents_fini(&extents);
}
