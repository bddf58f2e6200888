/* SPDX-License-Identifier: MIT
 *
 * What reaches standard error: one write for each line, so that a pipe made of packets
 * (O_DIRECT) gives one line a read.
 */
#include "base/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int reader = -1;

static void capture(void)
{
    int ends[2];

    cr_assert_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK | O_DIRECT), 0);
    cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    reader = ends[0];
}

static void release(void)
{
    close(reader);
}

/* The next packet, "" when there is none. */
static const char *captured(void)
{
    static char bytes[4096];
    ssize_t size = read(reader, bytes, sizeof bytes - 1);

    bytes[size > 0 ? size : 0] = '\0';
    return bytes;
}

TestSuite(log, .init = capture, .fini = release);

Test(log, lines_are_written_whole_and_one_by_one)
{
    log_error("cannot open %s: %d", "a", 7);
    log_error("second");
    cr_assert_str_eq(captured(), "muster: cannot open a: 7\n");
    cr_assert_str_eq(captured(), "muster: second\n");
    cr_assert_str_eq(captured(), "");
}

Test(log, control_characters_do_not_break_the_line)
{
    log_error("a\nb\x1b[2J\x7f");
    cr_assert_str_eq(captured(), "muster: a?b?[2J?\n");
}

Test(log, line_that_is_too_long_is_cut_and_still_ends)
{
    char text[5000];
    const char *line;

    memset(text, 'z', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_error("%s", text);
    line = captured();
    cr_assert_eq(strlen(line), 2047);
    cr_assert_eq(line[2046], '\n');
    cr_assert_eq(line[2045], 'z');
    cr_assert_str_eq(captured(), "");
}

Test(log, closed_standard_error_is_survived)
{
    close(STDERR_FILENO);
    log_error("nobody hears");
    cr_assert_str_eq(captured(), "");
}
