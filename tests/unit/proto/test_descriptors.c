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

Test(descriptors, more_are_needed_than_can_be_had)
{
    struct muster_error error;

    leave(3);
    cr_assert_eq(descriptors_check(2, "it needs", "", &error), 0);
    cr_assert_eq(descriptors_check(3, "it needs", "", &error), 0);
    cr_assert_eq(descriptors_check(40, "it needs", "less of it, or ", &error), MUSTER_ELIMIT);
    cr_assert_str_eq(error.text,
                     "it needs 40 file descriptors and only 3 can be had: less of it, or a higher limit "
                     "(ulimit -n)");
}

Test(descriptors, check_leaks_what_it_opens)
{
    int first = next_descriptor();

    cr_assert_eq(descriptors_check(20, "it needs", "", NULL), 0);
    cr_assert_eq(next_descriptor(), first);
}
