/* SPDX-License-Identifier: MIT
 *
 * Descriptors that are left, under a limit.
 */
#include "proto/descriptors.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static int next_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    close(fd);
    return fd;
}

enum { FILLED = 200 };

/* Takes all below FILLED, gaps too, so that it is known what is left under a limit. */
static void leave(unsigned left)
{
    struct rlimit limit;
    int fd;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    do {
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        cr_assert_geq(fd, 0);
    } while (fd < FILLED);
    limit.rlim_cur = (rlim_t)fd + 1 + left;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

Test(descriptors, count_is_more_than_can_be_had)
{
    unsigned had = 99;

    leave(3);
    cr_assert_eq(descriptors_count(2, &had), 0);
    cr_assert_eq(had, 2);
    cr_assert_eq(descriptors_count(3, &had), 0);
    cr_assert_eq(had, 3);
    cr_assert_eq(descriptors_count(40, &had), 0);
    cr_assert_eq(had, 3);
}

Test(descriptors, counting_leaks_what_it_counts)
{
    unsigned had;
    int first = next_descriptor();

    cr_assert_eq(descriptors_count(20, &had), 0);
    cr_assert_eq(next_descriptor(), first);
}
