/* SPDX-License-Identifier: MIT
 *
 * Where cgroups are made, by files as the kernel writes them, and real ones where this machine lets them
 * be made.
 */
#include "base/cgroup.h"
#include "base/cgroup_place.h"
#include "base/memory.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static const char *path(const char *name)
{
    static char paths[4][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];

    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *file = fopen(path(name), "we");

    cr_assert_not_null(file);
    cr_assert(fputs(text, file) >= 0);
    fclose(file);
}

static void make_folder(const char *name)
{
    cr_assert_eq(mkdir(path(name), 0755), 0);
}

static void setup(void)
{
    strcpy(folder, "/tmp/muster-cgroup-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void teardown(void)
{
    char command[96];

    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(cgroup, .init = setup, .fini = teardown);

/* A mount of that type, root and super-options at `folder`/NAME. */
static void put_mount(const char *name, const char *type, const char *root, const char *options)
{
    char line[256];

    snprintf(line, sizeof line,
             "31 23 0:28 / /proc rw - proc proc rw\n35 31 0:32 %s %s rw,relatime shared:7 - %s none rw%s\n",
             root, path(name), type, options);
    put("mounts", line);
}

static int find(struct cgroup_place *ret_place)
{
    return cgroup_place_find(path("membership"), path("mounts"), ret_place);
}

static void expect(const char *name, bool unified)
{
    struct cgroup_place place;

    cr_assert_eq(find(&place), 0);
    cr_assert_str_eq(place.path, path(name));
    cr_assert_eq(place.unified, unified);
}

Test(cgroup, version_1_is_the_own_one_of_the_memory_controller)
{
    put("membership", "5:devices:/other\n4:cpu,memory:/a/b\n0::/c\n");
    put_mount("v1", "cgroup", "/", ",cpu,memory");
    make_folder("v1");
    make_folder("v1/a");
    make_folder("v1/a/b");
    expect("v1/a/b", false);
}

Test(cgroup, container_sees_a_part_of_the_hierarchy)
{
    struct cgroup_place place;

    put("membership", "4:memory:/docker/17/b\n");
    put_mount("v1", "cgroup", "/docker/17", ",memory");
    make_folder("v1");
    make_folder("v1/b");
    expect("v1/b", false);
    put("membership", "4:memory:/docker/17\n");
    expect("v1", false);
    put("membership", "4:memory:/docker/171\n"); /* is not in it */
    cr_assert_eq(find(&place), ENOENT);
}

/* The own one has processes, so its children have no controllers. */
static void put_version_2(void)
{
    put("membership", "1:name=systemd:/x\n0::/user/shell\n");
    put_mount("v2", "cgroup2", "/", "");
    make_folder("v2");
    make_folder("v2/user");
    make_folder("v2/user/shell");
    put("v2/cgroup.subtree_control", "cpu memory pids\n");
    put("v2/user/cgroup.subtree_control", "memory pids\n");
    put("v2/user/cgroup.procs", "");
    put("v2/user/shell/cgroup.subtree_control", "\n");
    put("v2/user/shell/memory.max", "max\n");
    put("v2/user/shell/cpu.max", "max 100000\n");
}

Test(cgroup, version_2_is_the_nearest_above_that_hands_the_controller_on)
{
    struct cgroup_place place;

    put_version_2();
    expect("v2/user", true);
    put("v2/user/cgroup.subtree_control", "cpu\n");
    put("v2/cgroup.procs", "");
    expect("v2", true);
    put("v2/cgroup.subtree_control", "cpu memory_other\n");
    cr_assert_eq(find(&place), EPERM);
}

Test(cgroup, limit_of_the_own_one_is_not_escaped)
{
    struct cgroup_place place;

    put_version_2();
    put("v2/user/shell/memory.max", "1073741824\n");
    cr_assert_eq(find(&place), EPERM);
    put("v2/user/shell/memory.max", "max\n");
    put("v2/user/shell/cpu.max", "50000 100000\n");
    cr_assert_eq(find(&place), EPERM);
}

Test(cgroup, no_or_broken_information_is_no_place)
{
    struct cgroup_place place;

    cr_assert_eq(find(&place), ENOENT);
    put("membership", "garbage\n\n::\n4:memory");
    put("mounts", " - \n - cgroup\n1 2 3 - cgroup2 none\n");
    cr_assert_eq(find(&place), ENOENT);
    put("membership", "4:memory:/\n");
    cr_assert_eq(find(&place), ENOENT);
}

Test(cgroup, memory_is_the_least_limit_of_all_above)
{
    put_version_2();
    cr_assert_eq(cgroup_place_limit(path("membership"), path("mounts")), UINT64_MAX);
    put("v2/user/memory.max", "3000000000\n");
    put("v2/user/shell/memory.max", "4000000000\n");
    cr_assert_eq(cgroup_place_limit(path("membership"), path("mounts")), 3000000000);
    put("v2/user/shell/memory.max", "2000000000\n");
    cr_assert_eq(cgroup_place_limit(path("membership"), path("mounts")), 2000000000);
    put("v2/user/memory.max", "garbage\n");
    put("v2/user/shell/memory.max", "max\n");
    cr_assert_eq(cgroup_place_limit(path("membership"), path("mounts")), UINT64_MAX);
    put("membership", "4:memory:/a\n");
    put_mount("v1", "cgroup", "/", ",memory");
    make_folder("v1");
    make_folder("v1/a");
    put("v1/a/memory.limit_in_bytes", "1000000\n");
    cr_assert_eq(cgroup_place_limit(path("membership"), path("mounts")), 1000000);
}

Test(cgroup, memory_of_this_process_is_known_and_no_more_than_the_machine_has)
{
    cr_assert_gt(memory_bytes(), 1 << 20);
    cr_assert_leq(memory_bytes(), (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
}

/* --- real ones */

static void create(struct cgroup *group)
{
    if (cgroup_create(group) != 0)
        cr_skip_test("no cgroups that limit memory can be made here");
}

Test(cgroup, one_that_is_held_stays_and_one_that_is_not_is_swept)
{
    struct cgroup held, lost;

    create(&held);
    create(&lost);
    cgroup_sweep();
    cr_assert_eq(access(held.path, F_OK), 0);
    cr_assert_eq(access(lost.path, F_OK), 0);
    close(lost.fd);
    cgroup_sweep();
    cr_assert_eq(access(held.path, F_OK), 0);
    cr_assert_neq(access(lost.path, F_OK), 0);
    cgroup_close(&held);
    cgroup_close(&held);
}

Test(cgroup, one_that_somebody_removed_is_told)
{
    struct cgroup group;

    create(&group);
    cr_assert_eq(cgroup_limit(&group, 16 << 20), 0);
    cr_assert_eq(cgroup_reset(&group), 0);
    cr_assert_eq(rmdir(group.path), 0);
    cr_assert_neq(cgroup_reset(&group), 0);
    cgroup_close(&group);
}
