/* SPDX-License-Identifier: MIT
 *
 * Arguments of a command line as a source: words, ranges, files, standard input.
 */
#include "cli/arguments.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct arguments arguments;
static struct muster_error error;
static msgpack_zone zone;

static void set_up(void)
{
    cr_assert(msgpack_zone_init(&zone, 4096));
    error.text[0] = '\0';
}

static void tear_down(void)
{
    arguments_fini(&arguments);
    msgpack_zone_destroy(&zone);
}

TestSuite(arguments, .init = set_up, .fini = tear_down);

/* Copies the words: cr_assert makes a block of its own, which a literal would not outlive. */
static int open_words(const char *const *words)
{
    static const char *kept[16];
    size_t count = 0;

    for (; words[count]; count++)
        kept[count] = words[count];
    return arguments_init(&arguments, ARGUMENTS_WORDS, kept, count, &error);
}

#define WORDS(...) ((const char *[]){__VA_ARGS__, NULL})

static void expect_integer(struct muster_source *source, int64_t expected)
{
    msgpack_object value;

    cr_assert_eq(source->next(source->context, &zone, &value, &error), 0, "%s", error.text);
    cr_assert(value.type == MSGPACK_OBJECT_POSITIVE_INTEGER || value.type == MSGPACK_OBJECT_NEGATIVE_INTEGER);
    cr_assert_eq(value.via.i64, expected);
}

static void expect_string(struct muster_source *source, const char *expected)
{
    msgpack_object value;

    cr_assert_eq(source->next(source->context, &zone, &value, &error), 0, "%s", error.text);
    cr_assert_eq(value.type, MSGPACK_OBJECT_STR);
    cr_assert_eq(value.via.str.size, strlen(expected), "%.*s", (int)value.via.str.size, value.via.str.ptr);
    cr_assert_eq(memcmp(value.via.str.ptr, expected, strlen(expected)), 0);
}

static void expect_code(struct muster_source *source, int code)
{
    msgpack_object value;

    cr_assert_eq(source->next(source->context, &zone, &value, &error), code, "%s", error.text);
}

Test(arguments, single_range_is_passed_on_unexpanded)
{
    struct muster_source source;

    cr_assert_eq(open_words(WORDS("-9223372036854775808..9223372036854775807")), 0);
    source = arguments_source(&arguments);
    cr_assert_eq(source.kind, MUSTER_SOURCE_RANGE);
    cr_assert_eq(source.first, INT64_MIN);
    cr_assert_eq(source.last, INT64_MAX);
    cr_assert_eq(arguments_total(&arguments), 0, "2^64 cannot be counted");
}

Test(arguments, ranges_among_words_run_in_order_and_to_the_last_integer)
{
    struct muster_source source;

    cr_assert_eq(open_words(WORDS("x", "-1..1", "7..7", "9223372036854775806..9223372036854775807", "[]")),
                 0);
    cr_assert_eq(arguments_total(&arguments), 8);
    source = arguments_source(&arguments);
    cr_assert_eq(source.kind, MUSTER_SOURCE_STREAM);
    for (int round = 0; round < 2; round++) {
        msgpack_object value;

        expect_string(&source, "x");
        expect_integer(&source, -1);
        expect_integer(&source, 0);
        expect_integer(&source, 1);
        expect_integer(&source, 7);
        expect_integer(&source, INT64_MAX - 1);
        expect_integer(&source, INT64_MAX);
        cr_assert_eq(source.next(source.context, &zone, &value, &error), 0);
        cr_assert_eq(value.type, MSGPACK_OBJECT_ARRAY);
        expect_code(&source, MUSTER_EEND);
        expect_code(&source, MUSTER_EEND);
        cr_assert_eq(arguments_rewind(&arguments), 0);
    }
}

Test(arguments, rewinding_inside_a_range_forgets_it)
{
    struct muster_source source;

    cr_assert_eq(open_words(WORDS("1..3", "x")), 0);
    source = arguments_source(&arguments);
    expect_integer(&source, 1);
    expect_integer(&source, 2);
    cr_assert_eq(arguments_rewind(&arguments), 0);
    expect_integer(&source, 1);
}

Test(arguments, what_only_resembles_a_range_is_a_string)
{
    struct muster_source source;
    const char **words = WORDS("1..", "..2", "1...2", "a..b", "1..2..3", "1.5..2", "1 ..2", "\"1..2\"");

    cr_assert_eq(open_words(words), 0);
    source = arguments_source(&arguments);
    for (size_t i = 0; i < 7; i++)
        expect_string(&source, words[i]);
    expect_string(&source, "1..2");
    expect_code(&source, MUSTER_EEND);
}

Test(arguments, bad_words_are_refused_before_anything_runs_and_numbered)
{
    cr_assert_eq(open_words(WORDS("1", "5..1")), MUSTER_EINVALID);
    cr_assert(strstr(error.text, "argument 2: the range 5..1 is empty"), "%s", error.text);
    cr_assert_eq(open_words(WORDS("1", "2", "1..9223372036854775808")), MUSTER_ELIMIT);
    cr_assert(strstr(error.text, "argument 3:"), "%s", error.text);
    cr_assert_eq(open_words(WORDS("99999999999999999999")), MUSTER_ELIMIT);
    cr_assert(strstr(error.text, "argument 1:"), "%s", error.text);
}

Test(arguments, no_words_are_no_arguments)
{
    struct muster_source source;

    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_WORDS, NULL, 0, &error), 0);
    source = arguments_source(&arguments);
    expect_code(&source, MUSTER_EEND);
}

/* A temporary file; the caller frees and unlinks. */
static char *make_file(const char *text)
{
    char *path = strdup("/tmp/muster-arguments-XXXXXX");
    int fd = mkstemp(path);

    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

Test(arguments, files_follow_each_other_on_one_descriptor)
{
    char *files[] = {make_file("1\nx"), make_file(""), make_file("\n1..3\n")};
    struct muster_source source;
    struct muster_error why;
    int fd;

    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_FILES, (const char *const *)files, 3, &why), 0);
    source = arguments_source(&arguments);
    fd = source.fd;
    expect_integer(&source, 1);
    expect_string(&source, "x");
    expect_string(&source, "");
    expect_string(&source, "1..3"); /* a line is one argument */
    expect_code(&source, MUSTER_EEND);
    cr_assert_eq(arguments.fd, fd, "libmuster polls the descriptor that it was given");
    for (size_t i = 0; i < 3; i++) {
        unlink(files[i]);
        free(files[i]);
    }
}

Test(arguments, values_of_lines_outlive_the_line)
{
    char *file = make_file("first\nsecond\n");
    struct muster_source source;
    msgpack_object first, second;

    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_FILES, (const char *const *)&file, 1, &error), 0);
    source = arguments_source(&arguments);
    cr_assert_eq(source.next(source.context, &zone, &first, &error), 0);
    cr_assert_eq(source.next(source.context, &zone, &second, &error), 0);
    memset(arguments.lines.buffer, '#', arguments.lines.end); /* as reading on would */
    cr_assert_eq(memcmp(first.via.str.ptr, "first", 5), 0);
    cr_assert_eq(memcmp(second.via.str.ptr, "second", 6), 0);
    unlink(file);
    free(file);
}

Test(arguments, bad_line_is_named_by_file_and_number)
{
    char *file = make_file("1\n2\n[99999999999999999999]\n4\n");
    struct muster_source source;
    char expected[64];

    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_FILES, (const char *const *)&file, 1, &error), 0);
    source = arguments_source(&arguments);
    expect_integer(&source, 1);
    expect_integer(&source, 2);
    expect_code(&source, MUSTER_ELIMIT);
    snprintf(expected, sizeof expected, "%s, line 3: ", file);
    cr_assert_eq(strncmp(error.text, expected, strlen(expected)), 0, "%s", error.text);
    unlink(file);
    free(file);
}

Test(arguments, files_that_cannot_be_read_are_refused_before_anything_runs)
{
    char *good = make_file("1\n");

    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_FILES, WORDS(good, "/nonexistent/x"), 2, &error),
                 MUSTER_ESYSTEM);
    cr_assert(strstr(error.text, "/nonexistent/x: No such file"), "%s", error.text);
    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_FILES, WORDS(good, "/"), 2, &error), MUSTER_ESYSTEM);
    cr_assert(strstr(error.text, "/: Is a directory"), "%s", error.text);
    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_FILES, NULL, 0, &error), MUSTER_EINVALID);
    unlink(good);
    free(good);
}

/* Puts a pipe in the place of standard input; returns its other end. */
static int feed_standard_input(void)
{
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
    return ends[1];
}

Test(arguments, idle_standard_input_does_not_block)
{
    int fd = feed_standard_input();
    struct muster_source source;

    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_STDIN, NULL, 0, &error), 0);
    source = arguments_source(&arguments);
    expect_code(&source, MUSTER_EAGAIN);
    cr_assert_eq(write(fd, "1\n2", 3), 3);
    expect_integer(&source, 1);
    expect_code(&source, MUSTER_EAGAIN);
    close(fd);
    expect_integer(&source, 2);
    expect_code(&source, MUSTER_EEND);
}

Test(arguments, kept_lines_can_be_read_again_and_again)
{
    int fd = feed_standard_input();
    struct muster_source source;

    cr_assert_eq(write(fd, "1\n\nx", 4), 4);
    close(fd);
    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_STDIN, NULL, 0, &error), 0);
    cr_assert_eq(arguments_rewind(&arguments), MUSTER_ESTATE, "a pipe cannot be read twice");
    cr_assert_eq(arguments_keep(&arguments, -1, &error), 0, "%s", error.text);
    source = arguments_source(&arguments);
    for (int round = 0; round < 3; round++) {
        expect_integer(&source, 1);
        expect_string(&source, "");
        expect_string(&source, "x");
        expect_code(&source, MUSTER_EEND);
        cr_assert_eq(arguments_rewind(&arguments), 0);
    }
}

Test(arguments, keeping_no_lines_at_all_is_no_arguments)
{
    struct muster_source source;

    close(feed_standard_input());
    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_STDIN, NULL, 0, &error), 0);
    cr_assert_eq(arguments_keep(&arguments, -1, &error), 0);
    source = arguments_source(&arguments);
    expect_code(&source, MUSTER_EEND);
}

Test(arguments, interrupt_ends_waiting_for_lines_to_keep)
{
    int fd = feed_standard_input(), interrupt = eventfd(1, EFD_CLOEXEC);

    cr_assert_eq(arguments_init(&arguments, ARGUMENTS_STDIN, NULL, 0, &error), 0);
    cr_assert_eq(arguments_keep(&arguments, interrupt, &error), MUSTER_ECANCELLED);
    close(interrupt);
    close(fd);
}
