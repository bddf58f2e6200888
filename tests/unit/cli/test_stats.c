/* SPDX-License-Identifier: MIT
 *
 * The statistics file: refused early, replaced whole, never left behind empty.
 */
#include "cli/stats.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct stats stats;
static struct muster_error error;
static char folder[] = "/tmp/muster-stats-XXXXXX", path[64];

static const struct muster_summary summary = {
    .jobs = 10,
    .succeeded = 8,
    .failed = 2,
    .retried = 3,
    .crashes = 1,
    .chunks = 4,
    .bytes_in = 100,
    .bytes_out = 200,
    .wall_ns = 2000000000,
    .cpu_ns = 3500000000,
    .execute_ns = 3000000000,
    .execute_cpu_ns = 2900000000,
    .receipt = {.phase_ns = {[MUSTER_PHASE_EXECUTE] = 3000000000,
                             [MUSTER_PHASE_ENCODE_RESULT] = 250000000,
                             [MUSTER_PHASE_IDLE] = 750000000},
                .total_ns = 4000000000,
                .split = true},
    .workers = 2};

static void set_up(void)
{
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/stats.json", folder);
}

static void tear_down(void)
{
    stats_close(&stats);
    unlink(path);
    rmdir(folder);
}

TestSuite(stats, .init = set_up, .fini = tear_down);

static void expect_number(const json_t *object, const char *name, double expected)
{
    cr_assert_eq(json_number_value(json_object_get(object, name)), expected, "%s", name);
}

static void expect_file(void)
{
    json_t *object = json_load_file(path, JSON_REJECT_DUPLICATES, NULL), *receipt;

    cr_assert(object, "one JSON object and nothing else");
    cr_assert_str_eq(json_string_value(json_object_get(object, "model")), "threads");
    expect_number(object, "workers", 2);
    expect_number(object, "jobs", 10);
    expect_number(object, "ok", 8);
    expect_number(object, "failed", 2);
    expect_number(object, "cancelled", 0);
    expect_number(object, "retried", 3);
    expect_number(object, "crashes", 1);
    expect_number(object, "chunks", 4);
    expect_number(object, "wall_s", 2);
    expect_number(object, "cpu_s", 3.5);
    expect_number(object, "jobs_per_s", 5);
    expect_number(object, "execute_s", 3);
    expect_number(object, "bytes_in", 100);
    expect_number(object, "bytes_out", 200);
    receipt = json_object_get(object, "receipt");
    expect_number(receipt, "execute_s", 3);
    expect_number(receipt, "execute_cpu_s", 2.9);
    expect_number(receipt, "encode_result_s", 0.25);
    expect_number(receipt, "idle_s", 0.75);
    expect_number(receipt, "queued_s", 0);
    expect_number(receipt, "total_s", 4);
    cr_assert(json_is_true(json_object_get(receipt, "split")));
    json_decref(object);
}

Test(stats, every_figure_is_in_its_place)
{
    cr_assert_eq(stats_open(&stats, path, &error), 0);
    cr_assert_eq(stats_write(&stats, MUSTER_THREADS, &summary, &error), 0);
    stats_close(&stats);
    expect_file();
}

Test(stats, longer_file_of_an_earlier_run_leaves_no_tail)
{
    char *long_text = calloc(1, 100000);
    FILE *file = fopen(path, "w");

    cr_assert(long_text && file);
    memset(long_text, 'x', 99999);
    fputs(long_text, file);
    fclose(file);
    free(long_text);
    cr_assert_eq(stats_open(&stats, path, &error), 0);
    cr_assert_eq(stats_write(&stats, MUSTER_THREADS, &summary, &error), 0);
    stats_close(&stats);
    expect_file();
}

Test(stats, file_created_for_a_batch_that_never_began_is_removed)
{
    cr_assert_eq(stats_open(&stats, path, &error), 0);
    stats_close(&stats);
    cr_assert_eq(access(path, F_OK), -1);
}

Test(stats, file_of_an_earlier_run_survives_a_batch_that_never_began)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    cr_assert_eq(write(fd, "old", 3), 3);
    close(fd);
    cr_assert_eq(stats_open(&stats, path, &error), 0);
    stats_close(&stats);
    cr_assert_eq(access(path, F_OK), 0);
}

Test(stats, path_that_cannot_be_written_is_refused_at_once)
{
    cr_assert_eq(stats_open(&stats, "/nonexistent/stats", &error), MUSTER_ESYSTEM);
    cr_assert_str_eq(error.text, "cannot write statistics to /nonexistent/stats: No such file or directory");
    cr_assert_eq(stats_open(&stats, folder, &error), MUSTER_ESYSTEM);
    cr_assert(strstr(error.text, "Is a directory"), "%s", error.text);
}

Test(stats, full_disk_is_reported)
{
    cr_assert_eq(stats_open(&stats, "/dev/full", &error), 0);
    cr_assert_eq(stats_write(&stats, MUSTER_THREADS, &summary, &error), MUSTER_EOUTPUT);
    cr_assert_str_eq(error.text, "/dev/full: No space left on device");
}

Test(stats, no_time_at_all_is_no_division_by_zero)
{
    const struct muster_summary nothing = {.workers = 1};
    json_t *object;

    cr_assert_eq(stats_open(&stats, path, &error), 0);
    cr_assert_eq(stats_write(&stats, MUSTER_INLINE, &nothing, &error), 0);
    object = json_load_file(path, 0, NULL);
    cr_assert(object);
    expect_number(object, "jobs_per_s", 0);
    json_decref(object);
}
