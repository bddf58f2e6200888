/* SPDX-License-Identifier: MIT
 *
 * Lines of pipes and files: whole ones only, none lost, none waited for.
 */
#include "cli/lines.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT = 1 << 20 };

static int ends[2];
static struct lines lines;
static struct muster_error error;

static void set_up(void)
{
    cr_assert_eq(pipe(ends), 0);
    lines_init(&lines, ends[0], LIMIT);
}

static void tear_down(void)
{
    lines_fini(&lines);
    close(ends[0]);
    if (ends[1] >= 0)
        close(ends[1]);
}

TestSuite(lines, .init = set_up, .fini = tear_down);

static void feed(const char *text)
{
    cr_assert_eq(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
}

static void end(void)
{
    close(ends[1]);
    ends[1] = -1;
}

static void expect_line(const char *expected)
{
    const char *line;
    size_t size;

    cr_assert_eq(lines_next(&lines, &line, &size, &error), 0);
    cr_assert_eq(size, strlen(expected), "%.*s", (int)size, line);
    cr_assert_eq(memcmp(line, expected, size), 0, "%.*s", (int)size, line);
}

static void expect_code(int code)
{
    const char *line = NULL;
    size_t size;

    cr_assert_eq(lines_next(&lines, &line, &size, &error), code);
    cr_assert_null(line, "written on success only");
}

Test(lines, half_a_line_is_not_handed_out_before_its_end)
{
    expect_code(MUSTER_EAGAIN);
    feed("ab");
    expect_code(MUSTER_EAGAIN);
    feed("c\nd");
    expect_line("abc");
    expect_code(MUSTER_EAGAIN);
    feed("\n");
    expect_line("d");
    end();
    expect_code(MUSTER_EEND);
    expect_code(MUSTER_EEND);
}

Test(lines, last_line_without_newline_is_a_line)
{
    feed("a\nb");
    end();
    expect_line("a");
    expect_line("b");
    expect_code(MUSTER_EEND);
}

Test(lines, empty_lines_and_carriage_returns_are_kept)
{
    feed("\n\r\n\n");
    end();
    expect_line("");
    expect_line("\r");
    expect_line("");
    expect_code(MUSTER_EEND);
}

Test(lines, nul_bytes_do_not_end_a_line)
{
    const char *line;
    size_t size;

    cr_assert_eq(write(ends[1], "a\0b\n", 4), 4);
    cr_assert_eq(lines_next(&lines, &line, &size, &error), 0);
    cr_assert_eq(size, 3);
    cr_assert_eq(memcmp(line, "a\0b", 3), 0);
}

/* A file whose line lengths grow past several sizes of the buffer. */
Test(lines, lines_across_every_buffer_end_are_whole)
{
    char path[] = "/tmp/muster-lines-XXXXXX", *text = malloc(LIMIT);
    int fd = mkstemp(path);
    const char *line;
    size_t size;

    cr_assert(fd >= 0 && text);
    unlink(path);
    for (size_t length = 0; length < LIMIT; length = length * 3 / 2 + 1) {
        memset(text, 'a' + (int)(length % 26), length);
        text[length] = '\n';
        cr_assert_eq(write(fd, text, length + 1), (ssize_t)length + 1);
    }
    cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
    lines_fini(&lines);
    lines_init(&lines, fd, LIMIT);
    for (size_t length = 0; length < LIMIT; length = length * 3 / 2 + 1) {
        cr_assert_eq(lines_next(&lines, &line, &size, &error), 0);
        cr_assert_eq(size, length);
        for (size_t i = 0; i < size; i++)
            cr_assert_eq(line[i], 'a' + (int)(length % 26));
    }
    expect_code(MUSTER_EEND);
    close(fd);
    free(text);
}

Test(lines, endless_line_is_refused_with_its_number)
{
    lines.limit = 10;
    feed("0123456789\n0123456789a");
    expect_line("0123456789");
    expect_code(MUSTER_ELIMIT);
    cr_assert_eq(lines.number, 2);
    cr_assert(strstr(error.text, "10 bytes"), "%s", error.text);
}

Test(lines, reading_what_cannot_be_read_says_why)
{
    int fd = open("/", O_RDONLY);

    lines_fini(&lines);
    lines_init(&lines, fd, LIMIT);
    expect_code(MUSTER_ESYSTEM);
    cr_assert_str_eq(error.text, "Is a directory");
    close(fd);
}

Test(lines, flags_of_a_shared_descriptor_are_left_alone)
{
    int before = fcntl(ends[0], F_GETFL);

    expect_code(MUSTER_EAGAIN);
    cr_assert_eq(fcntl(ends[0], F_GETFL), before);
}

Test(lines, delimiter_in_two_halves_ends_a_line)
{
    lines_delimit(&lines, "\r\n", 2);
    feed("a\r");
    expect_code(MUSTER_EAGAIN);
    feed("\nb\r\r");
    expect_line("a");
    expect_code(MUSTER_EAGAIN);
    feed("\n\n\r\n\r");
    end();
    expect_line("b\r");
    expect_line("\n");
    expect_line("\r");
    expect_code(MUSTER_EEND);
}

Test(lines, longest_line_with_a_long_delimiter_is_within_the_limit)
{
    lines.limit = 4;
    lines_delimit(&lines, "END", 3);
    feed("1234EN");
    expect_code(MUSTER_EAGAIN);
    feed("D12345");
    expect_line("1234");
    expect_code(MUSTER_EAGAIN);
    feed("67");
    expect_code(MUSTER_ELIMIT);
}

Test(lines, nul_delimits)
{
    lines_delimit(&lines, "", 1);
    cr_assert_eq(write(ends[1], "a\nb\0\0c", 6), 6);
    end();
    expect_line("a\nb");
    expect_line("");
    expect_line("c");
    expect_code(MUSTER_EEND);
}
