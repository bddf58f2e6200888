/* SPDX-License-Identifier: MIT
 *
 * Rows of input sources: combined as documented, streamed, and kept only where needed.
 */
#include "cli/sources.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct sources s;
static struct muster_error error;
static char directory[] = "/tmp/muster-sources-XXXXXX";

static void set_up(void)
{
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
}

static void tear_down(void)
{
    sources_fini(&s);
    cr_assert_eq(system("rm -rf \"$PWD\""), 0);
}

TestSuite(sources, .init = set_up, .fini = tear_down);

#define WORDS(...)                               \
    .words = (const char *const[]){__VA_ARGS__}, \
    .count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)
#define SOURCES(...)                                      \
    .sources = (const struct source_spec[]){__VA_ARGS__}, \
    .source_count = sizeof((const struct source_spec[]){__VA_ARGS__}) / sizeof(struct source_spec)

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

/* All rows as "a b;c d;", arguments apart by a blank. */
static char *all_rows(void)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    struct row row;
    int code;

    while ((code = sources_next(&s, &row, &error)) == 0) {
        for (size_t i = 0; i < row.count; i++)
            fprintf(stream, "%s%.*s", i > 0 ? " " : "", (int)row.args[i].size, row.args[i].bytes);
        fputc(';', stream);
    }
    cr_assert_eq(code, MUSTER_EEND, "%s", error.text);
    fclose(stream);
    return text;
}

static void expect_rows(const struct sources_spec *spec, const char *expected)
{
    char *rows;

    cr_assert_eq(sources_init(&s, spec, &error), 0, "%s", error.text);
    rows = all_rows();
    cr_assert_str_eq(rows, expected);
    free(rows);
    sources_fini(&s);
}

Test(sources, last_source_varies_fastest)
{
    expect_rows(&(struct sources_spec){SOURCES({WORDS("a", "b")}, {WORDS("1", "2", "3")})},
                "a 1;a 2;a 3;b 1;b 2;b 3;");
}

Test(sources, linked_sources_end_with_the_shortest)
{
    expect_rows(&(struct sources_spec){SOURCES({WORDS("a", "b", "c")}, {WORDS("1", "2"), .linked = true})},
                "a 1;b 2;");
    expect_rows(&(struct sources_spec){SOURCES({WORDS("x", "y")}, {WORDS("a", "b")},
                                               {WORDS("1", "2", "3"), .linked = true})},
                "x a 1;x b 2;y a 1;y b 2;");
}

Test(sources, shorter_sources_start_again_with_link)
{
    expect_rows(&(struct sources_spec){SOURCES({WORDS("a", "b", "c")}, {WORDS("1", "2")}), .link = true},
                "a 1;b 2;c 1;");
}

Test(sources, source_without_values_counts_as_an_empty_one)
{
    expect_rows(&(struct sources_spec){SOURCES({WORDS("a", "b")}, {.words = NULL})}, "a ;b ;");
    expect_rows(&(struct sources_spec){SOURCES({.words = NULL}, {.words = NULL})}, "");
}

Test(sources, last_row_may_be_shorter)
{
    expect_rows(&(struct sources_spec){SOURCES({WORDS("a", "b", "c")}), .max_args = 2}, "a b;c;");
}

Test(sources, missing_file_and_directory_are_named)
{
    cr_assert_eq(sources_init(&s, &(struct sources_spec){SOURCES({.path = "missing"})}, &error),
                 MUSTER_ESYSTEM);
    cr_assert_str_eq(error.text, "cannot read arguments from missing: No such file or directory");
    cr_assert_eq(sources_init(&s, &(struct sources_spec){SOURCES({.path = "."})}, &error), MUSTER_ESYSTEM);
    cr_assert_str_eq(error.text, "cannot read arguments from .: Is a directory");
}

Test(sources, values_of_a_last_source_that_come_once_are_not_kept)
{
    write_file("values", "1\n2\n3\n4\n5\n");
    expect_rows(&(struct sources_spec){SOURCES({WORDS("a")}, {.path = "values"})}, "a 1;a 2;a 3;a 4;a 5;");
    cr_assert_eq(sources_init(&s, &(struct sources_spec){SOURCES({WORDS("a")}, {.path = "values"})}, &error),
                 0);
    for (struct row row; sources_next(&s, &row, &error) == 0;)
        cr_assert_leq(s.sources[1].values.count, 1);
}
