/* SPDX-License-Identifier: MIT
 *
 * read: what it counts, and files that change, are missing or come when there is no
 * descriptor left. What happens meanwhile is done where the call would wait.
 */
#include "rig.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 64 << 10 };

static char folder[] = "/tmp/muster-test-XXXXXX";
static char path[256];
static struct muster_call_ops ops;
static unsigned blocks, sleeps;
static int spare = -1; /* the last descriptor there is */

static void init(void)
{
    rig_init();
    ops = call_blocking_ops;
    rig.call.base.ops = &ops;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/caf\xc3\xa9 file", folder);
}

static void fini(void)
{
    unlink(path);
    rmdir(folder);
    rig_fini();
}

TestSuite(read, .init = init, .fini = fini);

/* A file of lines of 64 bytes. */
static void write_lines(size_t lines)
{
    char line[65];
    FILE *file = fopen(path, "we");
    size_t i;

    cr_assert_not_null(file);
    snprintf(line, sizeof line, "%063d\n", 7);
    for (i = 0; i < lines; i++)
        cr_assert_eq(fputs(line, file) >= 0, 1);
    cr_assert_eq(fclose(file), 0);
}

static void check_counts(msgpack_object argument, uint64_t bytes, uint64_t lines)
{
    const msgpack_object_kv *members;

    cr_assert_eq(run("read", argument), 0, "%s", rig.call.text);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_MAP);
    cr_assert_eq(rig.result.via.map.size, 2);
    members = rig.result.via.map.ptr;
    cr_assert_arr_eq(members[0].key.via.str.ptr, "bytes", 5);
    cr_assert_arr_eq(members[1].key.via.str.ptr, "lines", 5);
    cr_assert_eq(members[0].val.via.u64, bytes);
    cr_assert_eq(members[1].val.via.u64, lines);
}

Test(read, wrong_counts_of_a_file_of_none_one_or_many_blocks)
{
    write_lines(0);
    check_counts(text(path), 0, 0);
    write_lines(1);
    check_counts(text(path), 64, 1);
    write_lines(BLOCK / 64);
    check_counts(text(path), BLOCK, BLOCK / 64);
    write_lines(100000);
    check_counts(text(path), 6400000, 100000);
    cr_assert_eq(rig.progress, 1000);
}

Test(read, last_line_without_a_newline_is_counted)
{
    write_lines(3);
    cr_assert_eq(truncate(path, 2 * 64 + 63), 0);
    check_counts(text(path), 2 * 64 + 63, 2);
}

static int cut_after_the_first_block(muster_call *call, void (*run_blocking)(void *), void *context)
{
    int code = call_blocking_ops.block(call, run_blocking, context);

    if (++blocks == 2) /* the first opened the file */
        cr_assert_eq(truncate(path, 100), 0);
    return code;
}

Test(read, file_that_is_cut_meanwhile_is_taken_for_whole)
{
    write_lines(100000);
    ops.block = cut_after_the_first_block;
    refuse("read", text(path), "it was cut from 6400000 to 100 bytes meanwhile");
}

static int grow_after_the_first_block(muster_call *call, void (*run_blocking)(void *), void *context)
{
    int code = call_blocking_ops.block(call, run_blocking, context);
    FILE *file;

    if (++blocks == 2) {
        file = fopen(path, "ae");
        cr_assert_not_null(file);
        cr_assert_eq(fputc('\n', file), '\n');
        cr_assert_eq(fclose(file), 0);
    }
    return code;
}

Test(read, file_that_grows_meanwhile_is_not_read_to_its_end)
{
    write_lines(100000);
    ops.block = grow_after_the_first_block;
    check_counts(text(path), 6400001, 100001);
}

Test(read, file_without_a_size_is_taken_for_empty)
{
    cr_assert_eq(run("read", text("/proc/self/status")), 0, "%s", rig.call.text);
    cr_assert_gt(rig.result.via.map.ptr[0].val.via.u64, 100);
    cr_assert_eq(run("read", text("/sys/devices/system/cpu/online")), 0, "%s", rig.call.text);
}

static int free_the_spare(muster_call *call, double seconds)
{
    (void)call;
    cr_assert_geq(seconds, 0);
    if (++sleeps == 3)
        close(spare);
    return 0;
}

Test(read, file_is_lost_when_there_is_no_descriptor_for_a_while)
{
    struct rlimit limit;

    write_lines(1);
    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)spare + 1;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ops.sleep = free_the_spare;
    check_counts(text(path), 64, 1);
    cr_assert_eq(sleeps, 3);
}

static int sleep_cancelled(muster_call *call, double seconds)
{
    (void)seconds;
    call_cancel_raise(((struct call *)call)->cancel);
    return MUSTER_ECANCELLED;
}

Test(read, cancelled_call_waits_for_a_descriptor)
{
    struct rlimit limit;

    spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = (rlim_t)spare + 1;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ops.sleep = sleep_cancelled;
    cr_assert_eq(run("read", text("/proc/self/status")), MUSTER_ECANCELLED);
}

static int cancel_after_the_first_block(muster_call *call, void (*run_blocking)(void *), void *context)
{
    if (blocks == 2)
        call_cancel_raise(((struct call *)call)->cancel);
    blocks++;
    return call_blocking_ops.block(call, run_blocking, context);
}

Test(read, cancelled_call_leaks_its_descriptor)
{
    int before = open("/dev/null", O_RDONLY | O_CLOEXEC), after;

    close(before);
    write_lines(100000);
    ops.block = cancel_after_the_first_block;
    cr_assert_eq(run("read", text(path)), MUSTER_ECANCELLED);
    after = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(after);
    cr_assert_eq(after, before);
}

Test(read, file_that_cannot_be_read_is_named_with_the_reason)
{
    refuse("read", text("/nonexistent/file"), "cannot open \"/nonexistent/file\": No such file or directory");
    refuse("read", text(folder), "Is a directory");
    refuse("read", text("/dev/null"), "it is neither a file nor a disk");
    refuse("read", text("/proc/self/mem"), "cannot read \"/proc/self/mem\": Input/output error");
    cr_assert_eq(mkfifo(path, 0600), 0);
    refuse("read", text(path), "it is neither a file nor a disk");
}

Test(read, path_with_a_nul_byte_or_no_byte_is_refused)
{
    msgpack_object hidden = text("/etc/passwd");

    hidden.via.str.ptr = "/etc/passwd\0.txt";
    hidden.via.str.size = 16;
    refuse("read", hidden, "read takes the path of a file");
    refuse("read", text(""), "not \"\"");
}
