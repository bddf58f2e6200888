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

static void begin(const struct sources_spec *spec)
{
    cr_assert_eq(sources_init(&s, spec, &error), 0, "%s", error.text);
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

Test(sources, missing_file_and_directory_are_named)
{
    cr_assert_eq(sources_init(&s, &(struct sources_spec){SOURCES({.path = "missing"})}, &error),
                 MUSTER_ESYSTEM);
    cr_assert_str_eq(error.text, "cannot read arguments from missing: No such file or directory");
    cr_assert_eq(sources_init(&s, &(struct sources_spec){SOURCES({.path = "."})}, &error), MUSTER_ESYSTEM);
    cr_assert_str_eq(error.text, "cannot read arguments from .: Is a directory");
}

/* Pipes. */

static struct sources_spec piped(int fd, const struct source_spec *before, char *path,
                                 struct source_spec *sources)
{
    sprintf(path, "/dev/fd/%d", fd);
    if (before)
        sources[0] = *before;
    sources[before != NULL] = (struct source_spec){.path = path};
    return (struct sources_spec){.sources = sources, .source_count = 1 + (before != NULL)};
}

static void feed(int fd, const char *text)
{
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect_next(const char *expected)
{
    char text[256] = "";
    struct row row;
    int code = sources_next(&s, &row, &error);

    if (code == MUSTER_EAGAIN || code == MUSTER_EEND) {
        cr_assert_str_eq(code == MUSTER_EAGAIN ? "(again)" : "(end)", expected);
        return;
    }
    cr_assert_eq(code, 0, "%s", error.text);
    for (size_t i = 0; i < row.count; i++) {
        strncat(text, row.args[i].bytes, row.args[i].size);
        strcat(text, " ");
    }
    cr_assert_str_eq(text, expected);
}

/* Each of two linked pipes is waited for in its turn, on one descriptor. */
Test(sources, descriptor_to_poll_is_that_of_the_source_that_has_nothing)
{
    struct source_spec sources[2];
    char paths[2][32];
    int first[2], second[2], fd;

    cr_assert(pipe(first) == 0 && pipe(second) == 0);
    sprintf(paths[0], "/dev/fd/%d", first[0]);
    sprintf(paths[1], "/dev/fd/%d", second[0]);
    sources[0] = (struct source_spec){.path = paths[0]};
    sources[1] = (struct source_spec){.path = paths[1], .linked = true};
    begin(&(struct sources_spec){.sources = sources, .source_count = 2});
    fd = s.fd;
    feed(first[1], "a\nb\n");
    expect_next("(again)");
    cr_assert_eq(poll(&(struct pollfd){.fd = s.fd, .events = POLLIN}, 1, 0), 0);
    feed(second[1], "1\n");
    cr_assert_eq(poll(&(struct pollfd){.fd = s.fd, .events = POLLIN}, 1, 0), 1);
    expect_next("a 1 ");
    expect_next("(again)");
    feed(second[1], "2\n3\n");
    expect_next("b 2 ");
    expect_next("(again)");
    close(first[1]);
    expect_next("(end)");
    cr_assert_eq(s.fd, fd);
    close(first[0]);
    close(second[0]);
    close(second[1]);
}

/* Of a product, rows with the first value come before the second one is there. */
Test(sources, first_source_is_not_waited_for_longer_than_needed)
{
    struct source_spec sources[2];
    char path[32];
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    sprintf(path, "/dev/fd/%d", ends[0]);
    sources[0] = (struct source_spec){.path = path};
    sources[1] = (struct source_spec){WORDS("1", "2")};
    begin(&(struct sources_spec){.sources = sources, .source_count = 2});
    feed(ends[1], "a\n");
    expect_next("a 1 ");
    expect_next("a 2 ");
    expect_next("(again)");
    cr_assert_eq(sources_total(&s), 0);
    feed(ends[1], "b\n");
    close(ends[1]);
    expect_next("b 1 ");
    expect_next("b 2 ");
    expect_next("(end)");
    cr_assert_eq(sources_total(&s), 4);
    close(ends[0]);
}

Test(sources, names_wait_for_the_header)
{
    struct source_spec sources[2];
    const struct word *names = NULL;
    struct sources_spec spec;
    size_t count;
    char path[32];
    int ends[2];

    cr_assert_eq(pipe(ends), 0);
    spec = piped(ends[0], &(struct source_spec){WORDS("h0", "x")}, path, sources);
    spec.header = ":";
    cr_assert_eq(sources_init(&s, &spec, &error), 0, "%s", error.text);
    cr_assert_eq(sources_names(&s, &names, &count, &error), MUSTER_EAGAIN);
    cr_assert_null(names);
    feed(ends[1], "h1\th 2\t\t\r\n1\t2\n");
    cr_assert_eq(sources_names(&s, &names, &count, &error), 0);
    cr_assert_eq(count, 3);
    cr_assert(names[0].size == 2 && memcmp(names[0].bytes, "h0", 2) == 0);
    cr_assert(names[2].size == 3 && memcmp(names[2].bytes, "h 2", 3) == 0);
    expect_next("x 1 2 ");
    close(ends[0]);
    close(ends[1]);
}

Test(sources, names_of_files_stand_at_their_columns)
{
    const struct word *names;
    size_t count;

    write_file("values", "1\n");
    begin(&(struct sources_spec){SOURCES({WORDS("a")}, {.path = "values"}), .header = "0"});
    cr_assert_eq(sources_names(&s, &names, &count, &error), 0);
    cr_assert_eq(count, 2);
    cr_assert(names[0].size == 1 && names[0].bytes[0] == '1');
    cr_assert(names[1].size == 6 && memcmp(names[1].bytes, "values", 6) == 0);
}

/* Memory. */

/* The most values that a source holds while all rows are read. */
static size_t most_kept(const struct sources_spec *spec, size_t source)
{
    size_t most = 0;
    struct row row;
    int code;

    cr_assert_eq(sources_init(&s, spec, &error), 0, "%s", error.text);
    while ((code = sources_next(&s, &row, &error)) == 0)
        if (s.sources[source].values.count > most)
            most = s.sources[source].values.count;
    cr_assert_eq(code, MUSTER_EEND, "%s", error.text);
    sources_fini(&s);
    return most;
}

Test(sources, values_that_come_once_are_not_kept)
{
    write_file("one", "a\n");
    write_file("five", "1\n2\n3\n4\n5\n");
    cr_assert_eq(most_kept(&(struct sources_spec){SOURCES({.path = "five"})}, 0), 1);
    cr_assert_eq(most_kept(&(struct sources_spec){SOURCES({WORDS("a")}, {.path = "five"})}, 1), 1);
    cr_assert_eq(most_kept(&(struct sources_spec){SOURCES({.path = "one"}, {.path = "five"})}, 1), 1);
    cr_assert_eq(
        most_kept(&(struct sources_spec){SOURCES({.path = "five"}, {.path = "five", .linked = true})}, 1), 1);
    cr_assert_leq(most_kept(&(struct sources_spec){SOURCES({.path = "five"}, {WORDS("a", "b")})}, 0), 2,
                  "and one read ahead");
    cr_assert_eq(most_kept(&(struct sources_spec){SOURCES({WORDS("a", "b")}, {.path = "five"})}, 1), 5,
                 "it comes twice");
}

Test(sources, values_are_not_kept_once_all_other_linked_sources_have_ended)
{
    write_file("two", "1\n2\n");
    write_file("ten", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    cr_assert_leq(
        most_kept(&(struct sources_spec){SOURCES({.path = "two"}, {.path = "ten"}), .link = true}, 1), 3);
}

/* How many. */

static uint64_t total_at_first(const struct sources_spec *spec)
{
    uint64_t total;
    struct row row;
    int code;

    cr_assert_eq(sources_init(&s, spec, &error), 0, "%s", error.text);
    code = sources_next(&s, &row, &error);
    cr_assert(code == 0 || code == MUSTER_EEND, "%s", error.text);
    total = sources_total(&s);
    sources_fini(&s);
    return total;
}

Test(sources, total_is_known_when_all_values_are)
{
    write_file("five", "1\n2\n3\n4\n5\n");
    cr_assert_eq(total_at_first(&(struct sources_spec){SOURCES({WORDS("a", "b")}, {WORDS("1", "2", "3")})}),
                 6);
    cr_assert_eq(total_at_first(&(struct sources_spec){SOURCES({WORDS("a", "b", "c")}), .no_args = true}), 3);
    cr_assert_eq(total_at_first(
                     &(struct sources_spec){SOURCES({WORDS("a", ""), .linked = false}), .skip_blank = true}),
                 1);
    cr_assert_eq(total_at_first(&(struct sources_spec){SOURCES({WORDS("a", "b")}, {.path = "five"})}), 0);
    cr_assert_eq(total_at_first(
                     &(struct sources_spec){SOURCES({WORDS("a", "b")}, {.path = "five"}), .read_all = true}),
                 10);
    cr_assert_eq(total_at_first(&(struct sources_spec){SOURCES({.words = NULL})}), 0);
}

Test(sources, more_combinations_than_can_be_counted_are_refused)
{
    struct source_spec sources[7];
    struct row row;
    FILE *file = fopen("many", "w");

    for (int i = 0; i < 1024; i++)
        fprintf(file, "%d\n", i);
    fclose(file);
    for (size_t i = 0; i < 7; i++)
        sources[i] = (struct source_spec){.path = "many"};
    cr_assert_eq(sources_init(&s,
                              &(struct sources_spec){.sources = sources, .source_count = 7, .shuffle = true},
                              &error),
                 0);
    cr_assert_eq(sources_next(&s, &row, &error), MUSTER_ELIMIT);
}

/* --shuf. */

Test(sources, shuffling_loses_and_repeats_nothing)
{
    unsigned char seen[1024];
    struct sources_spec spec = {SOURCES({.path = "values"}), .shuffle = true, .seed = 7};
    char text[16] = "";
    struct row row;
    FILE *file;
    int value;

    for (int count = 1; count < 1000; count = count * 2 + 1) {
        file = fopen("values", "w");
        for (int i = 0; i < count; i++)
            fprintf(file, "%d\n", i);
        fclose(file);
        memset(seen, 0, sizeof seen);
        cr_assert_eq(sources_init(&s, &spec, &error), 0, "%s", error.text);
        for (int i = 0; i < count; i++) {
            cr_assert_eq(sources_next(&s, &row, &error), 0);
            snprintf(text, sizeof text, "%.*s", (int)row.args[0].size, row.args[0].bytes);
            value = atoi(text);
            cr_assert(value >= 0 && value < count && !seen[value], "%d twice of %d", value, count);
            seen[value] = 1;
        }
        cr_assert_eq(sources_next(&s, &row, &error), MUSTER_EEND);
        sources_fini(&s);
    }
}

Test(sources, same_seed_same_order_and_another_seed_another)
{
    struct sources_spec spec = {
        SOURCES({WORDS("a", "b", "c", "d", "e", "f", "g", "h")}, {WORDS("1", "2", "3")}), .shuffle = true};
    char *orders[3];

    for (int i = 0; i < 3; i++) {
        spec.seed = i == 2;
        cr_assert_eq(sources_init(&s, &spec, &error), 0);
        orders[i] = all_rows();
        sources_fini(&s);
    }
    cr_assert_str_eq(orders[0], orders[1]);
    cr_assert_str_neq(orders[0], orders[2]);
    for (int i = 0; i < 3; i++)
        free(orders[i]);
}

/* Bad input. */

Test(sources, file_that_shrinks_while_it_is_read_is_named)
{
    FILE *file = fopen("values", "w");
    struct row row;
    int code;

    for (int i = 0; i < 200000; i++) /* several reads' worth */
        fprintf(file, "%d\n", i);
    fclose(file);
    begin(&(struct sources_spec){SOURCES({.path = "values"})});
    cr_assert_eq(sources_next(&s, &row, &error), 0);
    cr_assert_eq(truncate("values", 10), 0);
    while ((code = sources_next(&s, &row, &error)) == 0)
        ;
    cr_assert_eq(code, MUSTER_ESYSTEM);
    cr_assert_str_eq(error.text, "cannot read arguments from values: it became shorter meanwhile");
}

Test(sources, argument_beyond_the_limit_is_refused_with_its_place)
{
    struct row row;

    write_file("values", "short\n");
    begin(&(struct sources_spec){SOURCES({.path = "values"})});
    s.sources[0].lines->limit = 4;
    cr_assert_eq(sources_next(&s, &row, &error), MUSTER_ELIMIT);
    cr_assert_str_eq(error.text, "values, argument 1: longer than 4 bytes");
}

Test(sources, trim_that_is_none_is_refused)
{
    enum sources_trim trim = SOURCES_TRIM_LEFT;

    cr_assert_eq(sources_trim_read("x", &trim, &error), MUSTER_EINVALID);
    cr_assert_eq(trim, SOURCES_TRIM_LEFT);
    cr_assert_eq(sources_trim_read("rl", &trim, &error), 0);
    cr_assert_eq(trim, SOURCES_TRIM_BOTH);
}

Test(sources, ending_what_never_began_leaves_standard_input_open)
{
    struct sources none = {0};

    sources_fini(&none);
    cr_assert_geq(fcntl(STDIN_FILENO, F_GETFD), 0, "standard input was closed");
}
