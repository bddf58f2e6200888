/* SPDX-License-Identifier: MIT
 *
 * Files that runs append to, beside each other or alone: nothing of another run's is lost.
 */
#include "cli/exec_append.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/muster-append-XXXXXX";
static struct exec_append one, other;
static struct muster_error error;

static void start(void)
{
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    close(fd);
}

static void end(void)
{
    unlink(path);
}

TestSuite(exec_append, .init = start, .fini = end);

static void open_it(struct exec_append *append, bool alone)
{
    cr_assert_eq(exec_append_open(append, "the log", path, alone, &error), 0, "%s", error.text);
}

static int begin(struct exec_append *append, uint64_t had, uint64_t keep)
{
    return exec_append_begin(append, had, keep, "heading\n", &error);
}

static void add(struct exec_append *append, const char *text)
{
    cr_assert_eq(exec_append_write(append, text, strlen(text), &error), 0, "%s", error.text);
    exec_append_end(append);
}

static void expect(const char *text)
{
    char had[256] = {0};
    int fd = open(path, O_RDONLY);

    cr_assert_geq((int)read(fd, had, sizeof had - 1), 0);
    close(fd);
    cr_assert_str_eq(had, text);
}

Test(exec_append, file_without_anything_begins_with_its_heading)
{
    open_it(&one, true);
    cr_assert_eq(begin(&one, 0, 0), 0);
    add(&one, "1\n");
    exec_append_close(&one);
    expect("heading\n1\n");
}

Test(exec_append, runs_beside_each_other_write_one_heading)
{
    open_it(&one, false);
    cr_assert_eq(begin(&one, 0, 0), 0);
    open_it(&other, false);
    cr_assert_eq(begin(&other, 0, 0), 0);
    add(&one, "1\n");
    add(&other, "2\n");
    expect("heading\n1\n2\n");
}

Test(exec_append, line_that_was_cut_short_is_taken_away)
{
    open_it(&one, false);
    add(&one, "1\n2");
    exec_append_close(&one);
    open_it(&one, false);
    cr_assert_eq(begin(&one, 3, 2), 0);
    expect("1\n");
}

Test(exec_append, line_that_another_run_is_writing_is_not_cut_off)
{
    open_it(&one, false);
    cr_assert_eq(begin(&one, 0, 0), 0);
    add(&one, "1\n2");
    open_it(&other, false);
    cr_assert_eq(begin(&other, 11, 10), 0);
    add(&one, "2\n");
    expect("heading\n1\n22\n");
}

Test(exec_append, line_written_between_reading_and_opening_is_not_cut_off)
{
    open_it(&one, false);
    cr_assert_eq(begin(&one, 0, 0), 0);
    add(&one, "1\n");
    exec_append_close(&one);
    open_it(&other, false);
    cr_assert_eq(begin(&other, 8, 8), 0);
    expect("heading\n1\n");
}

/* The file may grow no further: what is written fails, and takes its record away. */
static void fail_to_write(struct exec_append *append)
{
    struct rlimit limit;
    struct stat status;

    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(stat(path, &status), 0);
    limit.rlim_cur = (rlim_t)status.st_size + 1;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(exec_append_write(append, "three", 5, &error), MUSTER_EOUTPUT);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

Test(exec_append, record_that_does_not_fit_is_taken_away)
{
    open_it(&one, false);
    cr_assert_eq(begin(&one, 0, 0), 0);
    cr_assert_eq(exec_append_write(&one, "one", 3, &error), 0);
    fail_to_write(&one);
    expect("heading\n");
}

Test(exec_append, record_that_does_not_fit_takes_no_row_of_another_run_with_it)
{
    open_it(&one, false);
    cr_assert_eq(begin(&one, 0, 0), 0);
    open_it(&other, false);
    cr_assert_eq(begin(&other, 0, 0), 0);
    cr_assert_eq(exec_append_write(&one, "one", 3, &error), 0);
    add(&other, "2\n");
    fail_to_write(&one);
    expect("heading\none2\n");
}

Test(exec_append, file_that_was_read_before_another_run_wrote_it_is_not_had_alone)
{
    open_it(&one, true);
    cr_assert_eq(begin(&one, 0, 0), 0);
    add(&one, "1\n");
    exec_append_close(&one);
    open_it(&other, true);
    cr_assert_eq(begin(&other, 8, 8), MUSTER_EINVALID);
    cr_assert_not_null(strstr(error.text, "another run has just written it"));
    expect("heading\n1\n");
}

Test(exec_append, file_is_had_alone_or_beside_others_but_not_both)
{
    open_it(&one, true);
    cr_assert_eq(begin(&one, 0, 0), 0);
    for (int alone = 0; alone < 2; alone++)
        cr_assert_eq(exec_append_open(&other, "the log", path, alone, &error), MUSTER_EINVALID);
}
