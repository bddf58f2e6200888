/* SPDX-License-Identifier: MIT
 *
 * Which words count as misspellings of others.
 */
#include "jobs/nearest.h"

#include <criterion/criterion.h>
#include <string.h>

Test(nearest, one_typing_error_is_one_edit)
{
    cr_assert_eq(nearest_distance("primes", "primes"), 0);
    cr_assert_eq(nearest_distance("pimes", "primes"), 1);   /* a letter is missing */
    cr_assert_eq(nearest_distance("prinmes", "primes"), 1); /* one too many */
    cr_assert_eq(nearest_distance("prines", "primes"), 1);  /* a wrong one */
    cr_assert_eq(nearest_distance("pirmes", "primes"), 1);  /* two swapped */
}

Test(nearest, letter_that_jumped_over_two_is_two_edits)
{
    cr_assert_eq(nearest_distance("mandelbort", "mandelbrot"), 1);
    cr_assert_eq(nearest_distance("mandelbotr", "mandelbrot"), 2);
}

Test(nearest, part_of_a_word_is_near_it)
{
    cr_assert_eq(nearest_distance("mandel", "mandelbrot"), 1);
    cr_assert_eq(nearest_distance("prime", "is_prime"), 1);
    cr_assert_eq(nearest_distance("sha256sum", "sha256"), 1);
}

Test(nearest, words_that_share_nothing_are_far)
{
    cr_assert_eq(nearest_distance("sort", "matmul"), NEAREST_FAR);
    cr_assert_eq(nearest_distance("ab", "cd"), NEAREST_FAR);
    cr_assert_eq(nearest_distance("", "noop"), NEAREST_FAR);
    cr_assert_eq(nearest_distance("on", "mandelbrot_on"), NEAREST_FAR); /* two letters are in many words */
}

Test(nearest, words_at_the_size_limit_stay_inside_their_rows)
{
    char longest[NEAREST_WORD_MAX + 1], too_long[NEAREST_WORD_MAX + 2];

    memset(longest, 'a', NEAREST_WORD_MAX);
    longest[NEAREST_WORD_MAX] = '\0';
    memset(too_long, 'a', NEAREST_WORD_MAX + 1);
    too_long[NEAREST_WORD_MAX + 1] = '\0';
    cr_assert_eq(nearest_distance(longest, longest), 0);
    longest[0] = 'b';
    cr_assert_eq(nearest_distance(longest, "b"), NEAREST_FAR);
    cr_assert_eq(nearest_distance(too_long, longest), NEAREST_FAR);
    cr_assert_eq(nearest_distance(longest, too_long), NEAREST_FAR);
}
