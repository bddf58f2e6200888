/* SPDX-License-Identifier: MIT
 *
 * Ways of paths: every folder on them is gone through, also those that only links lead over.
 */
#include "base/way.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char top[PATH_MAX];
static char path[PATH_MAX], folders[4 * PATH_MAX], end[PATH_MAX];

static void make(void)
{
    char made[] = "/tmp/muster-way-test-XXXXXX";

    cr_assert(mkdtemp(made));
    cr_assert(realpath(made, top));
    cr_assert_eq(chdir(top), 0);
    cr_assert_eq(mkdir("a", 0700) | mkdir("b", 0700) | mkdir("c", 0700), 0);
    cr_assert_eq(symlink("b/middle", "first"), 0);
    cr_assert_eq(symlink("../c/./", "b/middle"), 0);
    cr_assert_eq(symlink("/", "a/root"), 0);
    cr_assert_eq(symlink("round", "round"), 0);
}

static void clear(void)
{
    static const char *const made[] = {"first", "b/middle", "a/root", "round"};

    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        unlink(made[i]);
    rmdir("a");
    rmdir("b");
    rmdir("c");
    cr_assert_eq(rmdir(top), 0);
}

TestSuite(way, .init = make, .fini = clear);

/* Goes the way of what is in `top`; `folders`: those that it leads through below that, `end`: what it names.
 */
static int go(const char *in)
{
    struct way way;
    size_t size = strlen(top);
    int error;

    cr_assert_lt(snprintf(path, sizeof path, "%s/%s", top, in), (int)sizeof path);
    folders[0] = '\0';
    cr_assert_eq(way_begin(&way, path), 0);
    do {
        error = way_step(&way);
        if (strncmp(way.folder, top, size) == 0)
            strcat(strcat(folders, way.folder + size), " ");
    } while (error == 0);
    cr_assert(way_path(&way, path));
    snprintf(end, sizeof end, "%s", strncmp(path, top, size) == 0 ? path + size : path);
    return error;
}

Test(way, chain_of_links_leads_through_the_folder_in_its_middle)
{
    cr_assert_eq(go("first/new"), ENOENT);
    cr_assert_str_eq(folders, "  /b  /c ");
    cr_assert_str_eq(end, "/c/new");
    cr_assert_eq(go("first"), WAY_END);
    cr_assert_str_eq(end, "/c");
    cr_assert_eq(go("b//"), WAY_END);
    cr_assert_str_eq(end, "/b");
}

Test(way, what_is_not_there_keeps_its_names)
{
    cr_assert_eq(go("a/.././b//x/../y/"), ENOENT);
    cr_assert_str_eq(end, "/b/x/../y");
}

Test(way, links_that_lead_round_end)
{
    cr_assert_eq(go("round/x"), ELOOP);
    cr_assert_str_eq(end, "/round/x");
}

Test(way, root_is_a_folder_too)
{
    cr_assert_eq(go("a/root"), WAY_END);
    cr_assert_str_eq(end, "/");
    cr_assert_eq(go("a/root/../.."), WAY_END);
    cr_assert_str_eq(end, "/");
}

Test(way, path_that_is_too_long_is_refused)
{
    struct way way;

    memset(path, 'x', sizeof path - 1);
    cr_assert_eq(way_begin(&way, path), 0);
    cr_assert_eq(way_step(&way), ENAMETOOLONG);
    cr_assert_not(way_path(&way, end));
}
