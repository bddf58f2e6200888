/* SPDX-License-Identifier: MIT
 *
 * Commands: what a program gets, and what comes back of it.
 */
#include "command_rig.h"

#include "proto/spool.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

TestSuite(command, .init = rig_init, .fini = rig_fini);

/* --- what comes back */

Test(command, status_output_and_error_come_back)
{
    run_shell("echo out; echo err >&2; exit 3");
    expect_status(3, 0, 0);
    expect_out("out\n");
    cr_assert_str_eq(written(COMMAND_ERR), "err\n");
    WITH_WORDS("argv", "printf", "%s-%s", "a b", "$HOME");
    run_ok();
    expect_status(0, 0, 0);
    expect_out("a b-$HOME");
    cr_assert_str_eq(written(COMMAND_ERR), "");
    expect_no_files();
}

static void run_failing(const char *line, const char *text)
{
    shell(line);
    cr_assert_eq(run(), MUSTER_EFAILED);
    cr_assert(rig.call.valued);
    cr_assert_not_null(strstr(rig.call.text, text), "%s", rig.call.text);
}

Test(command, command_that_fails_fails_its_job_with_its_last_words_and_leaves_its_output)
{
    const msgpack_object yes = {.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true};

    run_failing("echo out; echo first >&2; printf 'the last \\n \\n' >&2; exit 3", "exit status 3: the last");
    cr_assert_null(strstr(rig.call.text, "first"), "%s", rig.call.text);
    expect_status(3, 0, 0);
    expect_out("out\n");
    with("timeout", number(0.01));
    run_failing("sleep 60", "ended after its time limit");
    with("spill", integer(100));
    run_failing("head -c 1000 /dev/zero; kill -KILL $$", "killed by signal 9");
    cr_assert_eq((int)place(COMMAND_OUT)->type, (int)MSGPACK_OBJECT_STR);
    with("fails", yes); /* of an older muster */
    run_failing("echo out; exit 4", "exit status 4");
    expect_out("out\n");
    cr_assert_eq((shell("echo fine; echo not so fine >&2"), run()), 0);
    expect_out("fine\n");
}

Test(command, killed_command_has_its_signal)
{
    run_shell("kill -KILL $$");
    expect_status(-1, SIGKILL, 0);
}

Test(command, times_and_memory_are_measured)
{
    run_shell("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done");
    cr_assert_gt(place(COMMAND_USER)->via.u64, 0);
    cr_assert_gt(place(COMMAND_WALL)->via.u64, place(COMMAND_USER)->via.u64 * 100);
    cr_assert_gt(place(COMMAND_MEMORY)->via.u64, 100);
    cr_assert_gt(place(COMMAND_START)->via.f64, 1e9);
}

Test(command, output_of_one_is_not_in_the_next)
{
    run_shell("echo a long first line; echo more");
    run_shell("echo b");
    expect_out("b\n");
    run_shell(":");
    expect_out("");
}

Test(command, closed_standard_output_is_no_error)
{
    run_shell("exec >&- 2>&-; exit 4");
    expect_status(4, 0, 0);
    expect_out("");
}

/* Returns where the output is, the caller's to free. */
static char *spill(const char *tmpdir, const char *files_in)
{
    shell("head -c 1000 /dev/zero");
    with("spill", integer(100));
    with("tmpdir", text(tmpdir));
    with("files_in", text(files_in));
    run_ok();
    cr_assert_eq((int)place(COMMAND_OUT)->type, (int)MSGPACK_OBJECT_STR);
    return strndup(place(COMMAND_OUT)->via.str.ptr, place(COMMAND_OUT)->via.str.size);
}

Test(command, folder_for_files_is_made_by_the_first_that_has_a_name)
{
    char folder[] = "/tmp/muster-test-XXXXXX", inner[64];
    char *first, *second;

    cr_assert_not_null(mkdtemp(folder));
    snprintf(inner, sizeof inner, "%s/inner", folder);
    shell("echo small");
    with("tmpdir", text(folder));
    with("files_in", text(inner));
    run_ok();
    expect_out("small\n");
    cr_assert_eq(access(inner, F_OK), -1);
    first = spill(folder, inner);
    second = spill(folder, inner);
    cr_assert_eq(strncmp(first, inner, strlen(inner)), 0, "%s", first);
    cr_assert_eq(strncmp(second, inner, strlen(inner)), 0, "%s", second);
    cr_assert_eq(unlink(first), 0);
    cr_assert_eq(unlink(second), 0);
    free(first);
    free(second);
    cr_assert_eq(rmdir(inner), 0);
    cr_assert_eq(rmdir(folder), 0);
}

Test(command, output_is_lost_where_its_folder_cannot_be_made)
{
    char *path = spill("/tmp", "/nowhere/inner");

    cr_assert_eq(strncmp(path, "/tmp/", 5), 0, "%s", path);
    cr_assert_eq(unlink(path), 0);
    free(path);
}

Test(command, folder_that_was_not_inherited_is_refused)
{
    shell(":");
    with("tmpdir_fd", integer(999));
    refuse("999 is no descriptor that this worker has inherited");
    shell(":");
    with("tmpdir_fd", text("x"));
    refuse("tmpdir_fd must be a descriptor");
}

Test(command, output_above_the_limit_is_a_file)
{
    struct stat status;
    char *spilled;

    shell("head -c 100001 /dev/zero; echo x >&2");
    with("spill", integer(100000));
    run_ok();
    cr_assert_eq((int)place(COMMAND_OUT)->type, (int)MSGPACK_OBJECT_STR);
    spilled = strndup(place(COMMAND_OUT)->via.str.ptr, place(COMMAND_OUT)->via.str.size);
    cr_assert_eq(stat(spilled, &status), 0, "%s: %s", spilled, strerror(errno));
    cr_assert_eq(status.st_size, 100001);
    cr_assert_eq(status.st_mode & 0777, 0600);
    cr_assert_str_eq(written(COMMAND_ERR), "x\n");
    cr_assert_eq(unlink(spilled), 0);
    free(spilled);
    shell("head -c 100000 /dev/zero");
    with("spill", integer(100000));
    run_ok();
    cr_assert_eq(place(COMMAND_OUT)->via.bin.size, 100000);
    expect_no_files();
}

/* --- what it has of elsewhere */

Test(command, only_its_own_variables_and_those_of_the_worker)
{
    cr_assert_eq(setenv("OURS", "worker's", 1), 0);
    WITH_WORDS("argv", "/usr/bin/env");
    WITH_WORDS("env", "A=1", "PARALLEL_JOBSLOT=77", "MUSTER_WORKER=x");
    with("only_env", (msgpack_object){.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true});
    run_ok();
    cr_assert(strstr(written(COMMAND_OUT), "A=1\n"), "%s", written(COMMAND_OUT));
    cr_assert(strstr(written(COMMAND_OUT), "PARALLEL_JOBSLOT="), "%s", written(COMMAND_OUT));
    cr_assert_not(strstr(written(COMMAND_OUT), "=77"), "%s", written(COMMAND_OUT));
    cr_assert_not(strstr(written(COMMAND_OUT), "=x\n"), "%s", written(COMMAND_OUT));
    cr_assert_not(strstr(written(COMMAND_OUT), "OURS"), "%s", written(COMMAND_OUT));
}

Test(command, what_it_says_itself_goes_before_what_all_have_in_common)
{
    static const char common[] = "\x83\xa3"
                                 "env\x92\xa4"
                                 "A=no\xa3"
                                 "B=2\xa8only_env\xc3\xa3"
                                 "dir\xa1/";

    rig.call.common = common;
    rig.call.common_bytes = sizeof common - 1;
    shell("echo $A $B; pwd");
    WITH_WORDS("env", "A=1");
    run_ok();
    expect_out("1 2\n/\n");
    shell("echo $A; pwd");
    with("dir", text("/tmp"));
    run_ok();
    expect_out("no\n/tmp\n");
    rig.call.common = "\x07";
    rig.call.common_bytes = 1;
    shell(":");
    refuse("command takes a map of its program");
}

Test(command, mask_and_limits_are_those_of_one_command_alone)
{
    msgpack_object limits[RLIM_NLIMITS];

    for (int i = 0; i < RLIM_NLIMITS; i++)
        limits[i] = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    limits[RLIMIT_NOFILE] = integer(99);
    shell("umask; ulimit -Sn");
    with("umask", integer(027));
    with("ulimits",
         (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = limits, .size = RLIM_NLIMITS}});
    run_ok();
    expect_out("0027\n99\n");
    run_shell("umask; ulimit -Sn");
    cr_assert_str_neq(written(COMMAND_OUT), "0027\n99\n");
    shell(":");
    with("umask", integer(01000));
    refuse("umask must be an integer from 0 to 0777");
    shell(":");
    with("ulimits", integer(1));
    refuse("ulimits must be an array of limits");
}

Test(command, large_output_is_left_in_a_folder_of_its_batch)
{
    char expected[PATH_MAX];
    const msgpack_object *out;

    cr_assert_eq(setenv(PROTO_SPOOL_VARIABLE, rig.folder, 1), 0);
    rig.flight.batch = 12;
    shell("head -c 100 /dev/zero; echo $" PROTO_SPOOL_VARIABLE " >&2");
    with("spill", integer(99));
    run_ok();
    out = place(COMMAND_OUT);
    cr_assert_eq((int)out->type, (int)MSGPACK_OBJECT_STR);
    cr_assert(place(COMMAND_FLAGS)->via.u64 & COMMAND_SPOOLED);
    cr_assert_str_eq(written(COMMAND_ERR), "\n");
    snprintf(expected, sizeof expected, "%s/12/", rig.folder);
    cr_assert_eq(strncmp(out->via.str.ptr, expected, strlen(expected)), 0, "%s", out->via.str.ptr);
    cr_assert_eq(unlink(out->via.str.ptr), 0);
    cr_assert_eq(rmdir(path("12")), 0);
    expect_no_files();
}

Test(command, pace_of_somebody_who_has_left_holds_nobody_up)
{
    shell("echo 1");
    with("pace", text("/proc/1/fd/987654"));
    run_ok();
    expect_out("1\n");
}

/* --- what cannot be started */

Test(command, missing_program_is_127)
{
    WITH_WORDS("argv", "no-such-program");
    run_ok();
    expect_status(127, 0, COMMAND_NOT_STARTED);
    cr_assert_str_eq(written(COMMAND_ERR), "muster: no-such-program: command not found\n");
    WITH_WORDS("argv", "/nowhere/program");
    run_ok();
    expect_status(127, 0, COMMAND_NOT_STARTED);
    cr_assert_str_eq(written(COMMAND_ERR), "muster: /nowhere/program: No such file or directory\n");
    WITH_WORDS("argv", "");
    run_ok();
    expect_status(127, 0, COMMAND_NOT_STARTED);
}

Test(command, file_that_is_not_executable_is_126)
{
    make_file("plain", "text", 0644);
    WITH_WORDS("argv", path("plain"));
    run_ok();
    expect_status(126, 0, COMMAND_NOT_STARTED);
    cr_assert_not_null(strstr(written(COMMAND_ERR), "plain: Permission denied\n"));
    WITH_WORDS("argv", rig.folder);
    run_ok();
    expect_status(126, 0, COMMAND_NOT_STARTED);
}

Test(command, script_without_interpreter_is_run_by_the_shell)
{
    make_file("script", "echo \"$0:$1\"; exit 5\n", 0755);
    WITH_WORDS("argv", path("script"), "one");
    run_ok();
    expect_status(5, 0, 0);
    cr_assert_not_null(strstr(written(COMMAND_OUT), "/script:one\n"));
}

Test(command, argument_longer_than_the_kernel_takes_is_126)
{
    char *line = malloc(200001);

    memset(line, 'x', 200000);
    line[200000] = '\0';
    WITH_WORDS("argv", "echo", line);
    run_ok();
    expect_status(126, 0, COMMAND_NOT_STARTED);
    cr_assert_not_null(strstr(written(COMMAND_ERR), "muster: echo: 2000"));
    cr_assert_not_null(strstr(written(COMMAND_ERR), "in one\n"));
    free(line);
}

Test(command, missing_folder_is_126)
{
    WITH_WORDS("argv", "pwd");
    with("dir", text("/nowhere"));
    run_ok();
    expect_status(126, 0, COMMAND_NOT_STARTED);
    cr_assert_str_eq(written(COMMAND_ERR),
                     "muster: pwd: cannot enter its folder /nowhere: No such file or directory\n");
}

Test(command, bad_arguments_are_refused)
{
    static const char nul[] = {'a', '\0', 'b'};
    msgpack_object word = text_of(nul, sizeof nul);

    refuse("either argv, or shell and line");
    WITH_WORDS("argv", "true");
    with("line", text("true"));
    refuse("either argv, or shell and line");
    with("argv", integer(1));
    refuse("argv must be an array");
    with("argv", (msgpack_object){.type = MSGPACK_OBJECT_ARRAY});
    refuse("argv must be an array");
    with("argv", (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.size = 1, .ptr = &word}});
    refuse("NUL byte");
    WITH_WORDS("argv", "true");
    with("surprise", integer(1));
    refuse("takes a map");
    WITH_WORDS("argv", "true");
    WITH_WORDS("env", "no value");
    refuse("NAME=VALUE");
    WITH_WORDS("argv", "true");
    with("timeout", number(-1));
    refuse("seconds");
    WITH_WORDS("argv", "true");
    with("memory", text("much"));
    refuse("memory must be an integer");
    WITH_WORDS("argv", "true");
    with("memory", integer(1 << 20));
    refuse("memory must be 8 MiB at least");
    WITH_WORDS("argv", "true");
    with("tmpdir", text("/nowhere"));
    refuse("cannot make a file for output in /nowhere");
}

/* --- what it gets */

Test(command, standard_input_is_what_was_given_or_empty)
{
    size_t size = 3 << 20;
    char *bytes = calloc(size, 1);

    run_shell("cat; echo end");
    expect_out("end\n");
    WITH_WORDS("argv", "wc", "-c");
    with("stdin",
         (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = bytes, .size = (uint32_t)size}});
    run_ok();
    expect_out("3145728\n");
    WITH_WORDS("argv", "true"); /* does not read it */
    with("stdin",
         (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = bytes, .size = (uint32_t)size}});
    run_ok();
    expect_status(0, 0, 0);
    WITH_WORDS("argv", "cat");
    with("stdin", text("a\nb\n"));
    run_ok();
    expect_out("a\nb\n");
    free(bytes);
}

/* Bytes from..size-1 of a file that is "0123456789" over and over, and the first two before them. */
static void with_ranges(const char *name, uint64_t from, uint64_t size)
{
    static char path[96];
    static msgpack_object items[5];

    snprintf(path, sizeof path, "%s/%s", rig.folder, name);
    items[0] = text(path);
    items[1] = integer(0);
    items[2] = integer(2);
    items[3] = integer(from);
    items[4] = integer(size);
    with("stdin", (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.size = 5, .ptr = items}});
}

static void make_digits(const char *name, size_t size)
{
    char *digits = calloc(size + 1, 1);

    for (size_t i = 0; i < size; i++)
        digits[i] = (char)('0' + i % 10);
    make_file(name, digits, 0644);
    free(digits);
}

Test(command, ranges_of_a_file_are_read_through_a_pipe_or_as_a_file)
{
    make_digits("digits", 5000000);
    shell("cat");
    with_ranges("digits", 15, 4);
    run_ok();
    expect_out("015678");
    shell("wc -c; md5sum /dev/null | cut -c 1-4");
    with_ranges("digits", 1, 4999999);
    run_ok();
    expect_out("5000001\nd41d\n");
    shell("head -c 3");
    with_ranges("digits", 1, 4999999);
    run_ok();
    expect_out("011");
    expect_status(0, 0, 0);
    shell("cat; cat $PARALLEL_TMP $PARALLEL_TMP");
    with_ranges("digits", 15, 4);
    with("as_file", (msgpack_object){.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true});
    run_ok();
    expect_out("015678015678");
    shell("cat; cat $PARALLEL_TMP");
    with("stdin", text("bytes"));
    with("as_file", (msgpack_object){.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true});
    run_ok();
    expect_out("bytes");
}

Test(command, time_limit_ends_a_command_that_does_not_read_what_it_is_fed)
{
    make_digits("digits", 5000000);
    shell("sleep 1000");
    with_ranges("digits", 0, 5000000);
    with("timeout", number(0.05));
    run_ok();
    expect_status(-1, SIGTERM, COMMAND_TIMED_OUT);
}

Test(command, a_file_that_became_shorter_is_an_error)
{
    make_digits("digits", 100);
    shell("cat");
    with_ranges("digits", 50, 1000);
    refuse("became shorter meanwhile");
    shell("cat");
    with_ranges("nonexistent", 0, 1);
    refuse("cannot read");
}

Test(command, slot_is_put_in_its_places)
{
    WITH_WORDS("argv", "sh", "-c", "echo $0 $1 $V $PARALLEL_JOBSLOT", "\1%\2", "a\1%\2b\1%\2");
    WITH_WORDS("env", "V=<\1%\2>");
    run_ok();
    expect_out("7 a7b7 <7> 7\n");
    run_shell("echo \1%\2");
    expect_out("7\n");
}

Test(command, variables_are_added_to_the_environment_and_replace_others)
{
    shell("echo \"$TMPDIR|$A\"; env | grep -c ^TMPDIR=");
    WITH_WORDS("env", "A=1=2", "TMPDIR=x");
    run_ok();
    expect_out("x|1=2\n1\n");
    run_shell("echo \"$A\"");
    expect_out("\n");
}

Test(command, program_is_looked_up_in_the_path_of_its_environment)
{
    make_file("tool", "#!/bin/sh\necho mine\n", 0755);
    WITH_WORDS("argv", "tool");
    char *variable;
    cr_assert(asprintf(&variable, "PATH=/nowhere:%s:/bin", rig.folder) > 0);
    WITH_WORDS("env", variable);
    run_ok();
    expect_out("mine\n");
    WITH_WORDS("argv", "tool");
    WITH_WORDS("env", "PATH=");
    with("dir", text(rig.folder));
    run_ok();
    expect_out("mine\n");
    free(variable);
}

Test(command, folder_and_niceness_are_set)
{
    shell("pwd; nice");
    with("dir", text("/usr"));
    with("nice", integer(5));
    run_ok();
    expect_out("/usr\n5\n");
}

/* A handler of the worker's, an ignored and a blocked signal, and a descriptor must not reach it. */
Test(command, signals_are_as_a_program_expects_them)
{
    sigset_t blocked;

    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    run_shell("kill -USR1 $$; exit 1");
    expect_status(-1, SIGUSR1, 0);
    run_shell("kill -PIPE $$; exit 1");
    expect_status(-1, SIGPIPE, 0);
}

Test(command, command_leads_a_session_without_a_terminal_and_gains_no_privileges)
{
    run_shell("cut -d' ' -f1,5,6,7 /proc/$$/stat | { read a b c d; [ $a = $b ] && [ $b = $c ] && echo $d; }; "
              "grep NoNewPrivs /proc/self/status");
    expect_out("0\nNoNewPrivs:\t1\n");
    shell("grep NoNewPrivs /proc/self/status");
    with("privileges", (msgpack_object){.type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true});
    run_ok();
    expect_out("NoNewPrivs:\t0\n");
}

Test(command, limits_hold_and_are_named)
{
    shell("ulimit -n; head -c 5000 /dev/zero");
    with("open_files", integer(17));
    with("file_size", integer(4096));
    run_ok();
    expect_status(128 + SIGXFSZ, 0, COMMAND_FILE_LIMIT);
    cr_assert_eq(place(COMMAND_OUT)->via.bin.size, 4096);
    cr_assert_eq(memcmp(place(COMMAND_OUT)->via.bin.ptr, "17\n", 3), 0);
    shell("while :; do :; done");
    with("cpu_time", integer(1));
    run_ok();
    expect_status(-1, SIGXCPU, COMMAND_CPU_LIMIT);
    WITH_WORDS("argv", "dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1");
    with("memory", integer(100 << 20));
    run_ok();
    if (place(COMMAND_FLAGS)->via.u64 == COMMAND_MEMORY_LIMIT)
        expect_status(-1, SIGKILL, COMMAND_MEMORY_LIMIT); /* where there are cgroups */
    else
        expect_status(1, 0, 0);
}
