/* SPDX-License-Identifier: MIT
 *
 * What the progress line says, and that it stays away where nobody asked.
 */
#include "cli/progress.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

static void expect(struct muster_progress now, const char *expected)
{
    char text[PROGRESS_TEXT_BYTES];

    progress_format(&now, -1, sizeof text, text);
    cr_assert_str_eq(text, expected);
}

Test(progress, line_says_done_failed_rate_and_time_left)
{
    expect((struct muster_progress){.total = 10000, .succeeded = 1232, .failed = 2, .elapsed_ns = SECOND / 4},
           "1,234/10,000 done, 2 failed, 4,936/s, ETA 2 s");
    expect((struct muster_progress){.total = 100, .succeeded = 10, .elapsed_ns = 10 * SECOND},
           "10/100 done, 1.0/s, ETA 1 min 30 s");
    expect((struct muster_progress){.total = 101, .succeeded = 1, .elapsed_ns = 100 * SECOND},
           "1/101 done, 0.0/s, ETA 2 h 46 min");
}

Test(progress, no_time_left_is_made_up_where_it_is_not_known)
{
    expect((struct muster_progress){.succeeded = 50, .elapsed_ns = SECOND}, "50 done, 50/s");
    expect((struct muster_progress){.total = 10}, "0/10 done, 0.0/s");
    expect((struct muster_progress){.total = 10, .succeeded = 10, .elapsed_ns = SECOND}, "10/10 done, 10/s");
}

Test(progress, largest_numbers_fit)
{
    char text[PROGRESS_TEXT_BYTES];
    struct muster_progress now = {
        .total = UINT64_MAX, .succeeded = UINT64_MAX / 2, .failed = UINT64_MAX / 2, .elapsed_ns = 1000};

    progress_format(&now, -1, sizeof text, text);
    cr_assert_lt(strlen(text), sizeof text - 1);
    cr_assert(strstr(text, "18,446,744,073,709,551,615 done"), "%s", text);
}

Test(progress, narrow_lines_keep_the_time_left_and_wide_ones_have_a_bar)
{
    struct muster_progress now = {.total = 1000, .succeeded = 498, .failed = 2, .elapsed_ns = 50 * SECOND};
    char text[PROGRESS_TEXT_BYTES];

    progress_format(&now, 7, 38, text);
    cr_expect_str_eq(text, "500/1,000 done, 2 failed, ETA 7 s");
    progress_bar(&now, 39, text);
    cr_expect_str_eq(text, "500/1,000 done, 2 failed, ETA 7 s", "a bar that short says nothing");
    progress_bar(&now, 33 + 3 + 20, text);
    cr_expect_str_eq(text, "[##########          ] 500/1,000 done, 2 failed, ETA 7 s");
    progress_format(&now, 7, 199, text);
    progress_bar(&now, 199, text);
    cr_expect_str_eq(text + strcspn(text, "]"), "] 500/1,000 done, 2 failed, 10/s, ETA 7 s");
    cr_expect_eq(strspn(text + 1, "#"), 50);
    now.total = 0;
    progress_format(&now, 7, 199, text);
    progress_bar(&now, 199, text);
    cr_expect_str_eq(text, "500 done, 2 failed, 10/s", "how many there are is not known");
}

/* What one call shows on `fd`, up to 255 bytes. */
static size_t shown(int fd, char text[256])
{
    ssize_t count = read(fd, text, 255);

    text[count > 0 ? count : 0] = '\0';
    return count > 0 ? (size_t)count : 0;
}

Test(progress, nothing_is_shown_off_a_terminal_unless_asked)
{
    struct muster_progress now = {.total = 10, .succeeded = 5, .elapsed_ns = 5 * SECOND};
    struct progress progress;
    char text[256];
    int ends[2];

    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    progress_init(&progress, ends[1], PROGRESS_AUTOMATIC);
    progress_show(&progress, &now);
    progress_hide(&progress);
    cr_assert_eq(shown(ends[0], text), 0);
    progress_init(&progress, ends[1], PROGRESS_ALWAYS);
    progress_show(&progress, &now);
    progress_show(&progress, &now); /* too soon for another line */
    progress_hide(&progress);
    shown(ends[0], text);
    cr_assert_str_eq(text, "muster: 5/10 done, 1.0/s, ETA 5 s\n");
}

Test(progress, line_on_a_terminal_waits_a_second_is_cut_to_its_width_and_erased)
{
    struct winsize size = {.ws_col = 10, .ws_row = 5};
    struct muster_progress now = {.total = 10000, .succeeded = 5000, .elapsed_ns = SECOND / 2};
    struct progress progress;
    char text[256];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), slave;

    cr_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    cr_assert(slave >= 0);
    cr_assert_eq(ioctl(slave, TIOCSWINSZ, &size), 0);
    progress_init(&progress, slave, PROGRESS_NEVER);
    now.elapsed_ns = 2 * SECOND;
    progress_show(&progress, &now);
    cr_assert_eq(shown(master, text), 0);
    progress_init(&progress, slave, PROGRESS_AUTOMATIC);
    now.elapsed_ns = SECOND / 2;
    progress_show(&progress, &now);
    cr_assert_eq(shown(master, text), 0, "work shorter than a second shows nothing");
    now.elapsed_ns = 2 * SECOND;
    progress_show(&progress, &now);
    shown(master, text);
    cr_assert_str_eq(text, "\r\033[K5,000/10,");
    progress_hide(&progress);
    progress_hide(&progress);
    shown(master, text);
    cr_assert_str_eq(text, "\r\033[K");
    close(slave);
    close(master);
}
