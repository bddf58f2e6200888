/* SPDX-License-Identifier: MIT
 *
 * The child that tries a plug-in, played by shell scripts: however it ends, the caller learns
 * why, and waits for nothing else.
 */
#include "client/probe.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/muster-probe-XXXXXX", script[64];

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(script, sizeof script, "%s/worker", folder);
}

static void remove_folder(void)
{
    unlink(script);
    rmdir(folder);
}

TestSuite(probe, .init = make_folder, .fini = remove_folder, .timeout = 60);

/* The code for a child that runs these commands. */
static int probe(const char *commands, struct muster_error *ret_error)
{
    FILE *file = fopen(script, "we");

    cr_assert_not_null(file);
    fprintf(file, "#!/bin/sh\n%s\n", commands);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(script, 0700), 0);
    *ret_error = (struct muster_error){.code = 0};
    return probe_plugin(script, "some.so", ret_error);
}

Test(probe, child_that_loads_the_plugin_says_so)
{
    struct muster_error error;

    cr_expect_eq(probe("test \"$*\" = \"worker --parent $PPID --check-plugin some.so\" && echo '" PROBE_LOADED
                       "' >&2",
                       &error),
                 0, "%s", error.text);
}

Test(probe, child_killed_by_a_signal_is_a_crash_of_the_plugin)
{
    struct muster_error error;

    cr_expect_eq(probe("echo noise >&2; kill -SEGV $$", &error), MUSTER_ECRASHED);
    cr_expect_str_eq(error.text, "plug-in some.so crashed as it loaded (SIGSEGV, Segmentation fault)");
}

Test(probe, last_line_of_a_child_that_refuses_is_the_error)
{
    struct muster_error error;

    cr_expect_eq(probe("echo noise >&2; echo 'muster: some.so has no table' >&2; echo >&2; exit 1", &error),
                 MUSTER_EINVALID);
    cr_expect_str_eq(error.text, "some.so has no table");
}

Test(probe, silent_child_is_refused_whatever_its_status)
{
    struct muster_error error;

    cr_expect_eq(probe("exit 3", &error), MUSTER_EINVALID);
    cr_expect_str_eq(error.text, "plug-in some.so ended the program as it loaded (status 3)");
    cr_expect_eq(probe("exit 0", &error), MUSTER_EINVALID);
}

Test(probe, flood_of_output_is_cut_and_its_end_kept)
{
    struct muster_error error;

    cr_expect_eq(
        probe("head -c 3000000 /dev/zero | tr '\\0' 'x' >&2; echo >&2; echo 'muster: the end' >&2; exit 1",
              &error),
        MUSTER_EINVALID);
    cr_expect_str_eq(error.text, "the end");
}

/* The grandchild would hold the pipe for an hour. */
Test(probe, grandchild_that_holds_the_pipe_open_is_not_waited_for_and_ends)
{
    struct muster_error error;
    struct pollfd gone = {.events = POLLIN};
    int pid;

    cr_expect_eq(probe("sleep 3600 & echo \"muster: $!\" >&2; exit 1", &error), MUSTER_EINVALID);
    pid = atoi(error.text);
    cr_assert_gt(pid, 1);
    if ((gone.fd = pidfd_open(pid, 0)) < 0)
        cr_assert_eq(errno, ESRCH);
    else
        cr_assert_eq(poll(&gone, 1, 10000), 1);
}

Test(probe, program_that_is_missing_is_named)
{
    struct muster_error error = {.code = 0};

    cr_expect_eq(probe_plugin("/nonexistent/muster", "some.so", &error), MUSTER_ESYSTEM);
    cr_expect(strstr(error.text, "/nonexistent/muster"), "%s", error.text);
}
