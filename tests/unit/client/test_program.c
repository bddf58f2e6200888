/* SPDX-License-Identifier: MIT
 *
 * Which file is taken for the muster command, in a folder that has two of them.
 */
#include "client/program.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/muster-program-XXXXXX", first[64], second[64], search[256];

static void make_file(const char *directory, mode_t mode)
{
    char path[128];
    int fd;

    cr_assert_eq(mkdir(directory, 0700), 0);
    snprintf(path, sizeof path, "%s/muster", directory);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void remove_file(const char *directory)
{
    char path[128];

    snprintf(path, sizeof path, "%s/muster", directory);
    unlink(path);
    rmdir(directory);
}

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(first, sizeof first, "%s/first", folder);
    snprintf(second, sizeof second, "%s/second", folder);
    snprintf(search, sizeof search, "/nonexistent::%s:%s", first, second);
    make_file(second, 0700);
}

static void remove_folder(void)
{
    remove_file(first);
    remove_file(second);
    rmdir(folder);
}

TestSuite(program, .init = make_folder, .fini = remove_folder);

/* The code, and the directory of what was found. */
static int find(const char *installed, const char *path, char ret_directory[PATH_MAX])
{
    struct muster_error error = {.text = ""};
    int code = program_find(installed, path, ret_directory, &error);

    if (code == 0)
        *strrchr(ret_directory, '/') = '\0';
    else
        cr_expect(strstr(error.text, "set worker_program") && strstr(error.text, installed), "%s",
                  error.text);
    return code;
}

Test(program, installed_command_comes_before_the_search)
{
    char installed[128], found[PATH_MAX];

    make_file(first, 0700);
    snprintf(installed, sizeof installed, "%s/muster", second);
    cr_assert_eq(find(installed, search, found), 0);
    cr_expect_str_eq(found, second);
}

Test(program, first_command_of_the_search_is_taken)
{
    char found[PATH_MAX];

    make_file(first, 0700);
    cr_assert_eq(find("/nonexistent/muster", search, found), 0);
    cr_expect_str_eq(found, first);
}

Test(program, file_that_cannot_be_run_is_passed_over)
{
    char found[PATH_MAX];

    make_file(first, 0600);
    cr_assert_eq(find("/nonexistent/muster", search, found), 0);
    cr_expect_str_eq(found, second);
}

Test(program, directory_of_that_name_is_no_command)
{
    char path[128], found[PATH_MAX];

    cr_assert_eq(mkdir(first, 0700), 0);
    snprintf(path, sizeof path, "%s/muster", first);
    cr_assert_eq(mkdir(path, 0700), 0);
    cr_expect_eq(find(path, search, found), 0);
    cr_expect_str_eq(found, second);
    rmdir(path);
}

Test(program, directories_that_are_not_absolute_are_not_searched)
{
    char found[PATH_MAX];

    cr_assert_eq(chdir(second), 0);
    cr_expect_eq(find("/nonexistent/muster", ":.:../second", found), MUSTER_EINVALID);
}

Test(program, nothing_to_search_is_an_error_that_says_what_to_set)
{
    char found[PATH_MAX];

    cr_expect_eq(find("/nonexistent/muster", NULL, found), MUSTER_EINVALID);
    cr_expect_eq(find("/nonexistent/muster", "", found), MUSTER_EINVALID);
    cr_expect_eq(find("/nonexistent/muster", "/nonexistent", found), MUSTER_EINVALID);
}

Test(program, directory_too_long_for_a_path_is_passed_over)
{
    char found[PATH_MAX], path[PATH_MAX + 256];

    memset(path, 'x', PATH_MAX);
    path[0] = '/';
    snprintf(path + PATH_MAX, sizeof path - PATH_MAX, ":%s", second);
    cr_assert_eq(find("/nonexistent/muster", path, found), 0);
    cr_expect_str_eq(found, second);
}
