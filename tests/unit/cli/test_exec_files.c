/* SPDX-License-Identifier: MIT
 *
 * --files: output in files that are the user's.
 */
#include "cli/exec_files.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct muster_error error;
static char folder[] = "/tmp/muster-files-XXXXXX";

static void make_folder(void)
{
    cr_assert(mkdtemp(folder));
}

static void remove_folder(void)
{
    cr_expect_eq(rmdir(folder), 0, "nothing else is left");
}

TestSuite(exec_files, .init = make_folder, .fini = remove_folder);

static void expect_and_remove(const char *path, const char *expected)
{
    char bytes[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    cr_assert_geq(fd, 0, "%s", path);
    cr_assert_geq(read(fd, bytes, sizeof bytes - 1), 0);
    cr_expect_str_eq(bytes, expected);
    close(fd);
    unlink(path);
}

Test(exec_files, each_output_has_a_file_of_its_own)
{
    const struct exec_written written = {.bytes = "out\n", .size = 4};
    char first[PATH_MAX], second[PATH_MAX];

    cr_assert_eq(exec_files_keep(folder, &written, (struct word){"", 0}, first, &error), 0, "%s", error.text);
    cr_assert_eq(exec_files_keep(folder, &written, (struct word){"a\n", 2}, second, &error), 0);
    cr_expect_str_neq(first, second);
    expect_and_remove(first, "out\n");
    expect_and_remove(second, "a\nout\n");
}

Test(exec_files, output_in_a_file_is_moved_and_behind_a_heading_copied)
{
    struct exec_written written = {.size = 4};
    char path[PATH_MAX];
    FILE *file;

    snprintf(written.path, sizeof written.path, "%s/spilled", folder);
    for (int heading = 0; heading < 2; heading++) {
        cr_assert((file = fopen(written.path, "we")) && fputs("out\n", file) >= 0 && fclose(file) == 0);
        cr_assert_geq(written.fd = open(written.path, O_RDONLY | O_CLOEXEC), 0);
        cr_assert_eq(exec_files_keep(folder, &written, (struct word){"a\n", heading ? 2 : 0}, path, &error),
                     0);
        cr_expect_eq(access(written.path, F_OK) == 0, heading == 1);
        expect_and_remove(path, heading ? "a\nout\n" : "out\n");
        close(written.fd);
    }
    unlink(written.path);
}

Test(exec_files, a_folder_that_is_not_there_and_output_that_cannot_be_read_leave_no_file)
{
    struct exec_written written = {.bytes = "out\n", .size = 4};
    char missing[64], path[PATH_MAX] = "untouched";

    snprintf(missing, sizeof missing, "%s/missing", folder);
    cr_expect_eq(exec_files_keep(missing, &written, (struct word){"", 0}, path, &error), MUSTER_EOUTPUT);
    cr_expect(strstr(error.text, missing), "%s", error.text);
    written = (struct exec_written){.size = 4, .fd = -1};
    snprintf(written.path, sizeof written.path, "%s/gone", folder);
    cr_expect_eq(exec_files_keep(folder, &written, (struct word){"", 0}, path, &error), MUSTER_EOUTPUT);
    cr_expect_str_eq(path, "untouched");
}
