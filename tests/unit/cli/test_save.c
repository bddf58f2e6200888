/* SPDX-License-Identifier: MIT
 *
 * Files that are saved: all or nothing, and nothing beside them.
 */
#include "cli/save.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char home[] = "/tmp/muster-save-XXXXXX";
static char path[PATH_MAX];
static struct muster_error error;

static void start(void)
{
    cr_assert_not_null(mkdtemp(home));
    snprintf(path, sizeof path, "%s/file", home);
}

/* Removes the folder; returns how many files there were. */
static unsigned clean(void)
{
    DIR *folder = opendir(home);
    unsigned count = 0;

    for (struct dirent *entry; (entry = readdir(folder));)
        if (entry->d_name[0] != '.') {
            unlinkat(dirfd(folder), entry->d_name, 0);
            count++;
        }
    closedir(folder);
    rmdir(home);
    return count;
}

TestSuite(save, .init = start);

static void expect_content(const char *expected)
{
    char text[64] = "";
    int fd = open(path, O_RDONLY);

    cr_assert_geq(fd, 0);
    cr_expect_geq(read(fd, text, sizeof text - 1), 0);
    close(fd);
    cr_expect_str_eq(text, expected);
}

Test(save, file_is_made_with_the_rights_of_the_umask)
{
    struct stat status;

    umask(027);
    cr_expect_eq(save_check(path, &error), 0);
    cr_expect_neq(access(path, F_OK), 0);
    cr_expect_eq(save_file(path, "text", 4, &error), 0);
    expect_content("text");
    cr_assert_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0640);
    cr_expect_eq(clean(), 1);
}

Test(save, file_that_is_there_is_replaced_and_its_link_stays)
{
    char link[PATH_MAX + 8];
    struct stat status;

    snprintf(link, sizeof link, "%s-link", path);
    cr_assert_eq(save_file(path, "an old text", 11, &error), 0);
    cr_assert_eq(symlink(path, link), 0);
    cr_expect_eq(save_file(link, "new", 3, &error), 0);
    expect_content("new");
    cr_expect(lstat(link, &status) == 0 && S_ISLNK(status.st_mode));
    cr_expect_eq(clean(), 2);
}

Test(save, write_that_fails_keeps_the_old_file_and_nothing_else)
{
    struct rlimit limit;
    char big[4096] = "";

    cr_assert_eq(save_file(path, "old", 3, &error), 0);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 1000;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_eq(save_file(path, big, sizeof big, &error), MUSTER_ESYSTEM);
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect(strstr(error.text, "cannot write /tmp/muster-save-") && strstr(error.text, "too large"), "%s",
              error.text);
    expect_content("old");
    cr_expect_eq(clean(), 1);
}

Test(save, places_that_are_none_are_refused)
{
    char place[PATH_MAX + 64];

    cr_expect_eq(save_check(home, &error), MUSTER_ESYSTEM);
    cr_expect(strstr(error.text, "Is a directory"), "%s", error.text);
    cr_expect_eq(save_check("", &error), MUSTER_ESYSTEM);
    snprintf(place, sizeof place, "%s/none/file", home);
    cr_expect_eq(save_check(place, &error), MUSTER_ESYSTEM);
    cr_expect(strstr(error.text, "No such file"), "%s", error.text);
    snprintf(place, sizeof place, "%s/%0300d", home, 1);
    cr_expect_eq(save_check(place, &error), MUSTER_ESYSTEM);
    cr_expect(strstr(error.text, "File name too long"), "%s", error.text);
    memset(place, 'x', sizeof place - 1);
    place[sizeof place - 1] = '\0';
    cr_expect_eq(save_check(place, &error), MUSTER_ESYSTEM);
    cr_expect_eq(save_file(place, "", 0, &error), MUSTER_ESYSTEM);
    cr_expect_eq(clean(), 0);
}

Test(save, device_is_written_to_and_stays_one)
{
    struct stat status;

    cr_expect_eq(save_check("/dev/null", &error), 0);
    cr_expect_eq(save_file("/dev/null", "text", 4, &error), 0);
    cr_expect(stat("/dev/null", &status) == 0 && S_ISCHR(status.st_mode));
    cr_expect_eq(save_file("/dev/full", "text", 4, &error), MUSTER_ESYSTEM);
    cr_expect_eq(clean(), 0);
}
