/* SPDX-License-Identifier: MIT
 *
 * The rig of tests of commands. See command_rig.h.
 */
#include "command_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOT = 7, WORDS_MAX = 8 };

struct rig rig;

msgpack_object text_of(const char *bytes, size_t size)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR, .via.str = {.ptr = bytes, .size = (uint32_t)size}};
}

msgpack_object text(const char *string)
{
    return text_of(string, strlen(string));
}

msgpack_object integer(uint64_t number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = number};
}

msgpack_object number(double value)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = value};
}

void with(const char *name, msgpack_object value)
{
    rig.members[rig.count++] = (msgpack_object_kv){.key = text(name), .val = value};
}

msgpack_object words_of(const char *const *words)
{
    msgpack_object *elements = msgpack_zone_malloc(&rig.zone, WORDS_MAX * sizeof *elements);
    uint32_t count = 0;

    for (; words[count]; count++)
        elements[count] = text(words[count]);
    return (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = elements, .size = count}};
}

int run(void)
{
    const muster_function function = {.name = "command", .run = command_run};
    const msgpack_object argument = {.type = MSGPACK_OBJECT_MAP,
                                     .via.map = {.ptr = rig.members, .size = rig.count}};

    rig.count = 0;
    return call_run(&rig.call, &function, &argument, &rig.result);
}

void run_ok(void)
{
    int code = run();

    cr_assert(code == 0 || (code == MUSTER_EFAILED && rig.call.valued), "%s", rig.call.text);
}

void shell(const char *line)
{
    with("shell", text("/bin/sh"));
    with("line", text(line));
}

void run_shell(const char *line)
{
    shell(line);
    run_ok();
}

const msgpack_object *place(enum command_place at)
{
    return &rig.result.via.array.ptr[at];
}

void expect_status(int status, int signal, unsigned flags)
{
    cr_assert_eq(place(COMMAND_EXIT)->via.i64, status, "exit %d", (int)place(COMMAND_EXIT)->via.i64);
    cr_assert_eq(place(COMMAND_SIGNAL)->via.i64, signal, "signal %d", (int)place(COMMAND_SIGNAL)->via.i64);
    cr_assert_eq(place(COMMAND_FLAGS)->via.u64, flags, "flags %u", (unsigned)place(COMMAND_FLAGS)->via.u64);
}

const char *written(enum command_place at)
{
    const msgpack_object *value = place(at);
    char *copy;

    cr_assert_eq((int)value->type, (int)MSGPACK_OBJECT_BIN);
    copy = msgpack_zone_malloc(&rig.zone, value->via.bin.size + 1);
    if (value->via.bin.size)
        memcpy(copy, value->via.bin.ptr, value->via.bin.size);
    copy[value->via.bin.size] = '\0';
    return copy;
}

void expect_out(const char *expected)
{
    cr_assert_str_eq(written(COMMAND_OUT), expected);
}

void refuse(const char *fragment)
{
    cr_assert_eq(run(), MUSTER_EFAILED);
    cr_assert_not(rig.call.valued);
    cr_assert_not_null(strstr(rig.call.text, fragment), "\"%s\" does not say: %s", rig.call.text, fragment);
}

const char *path(const char *name)
{
    char *whole = msgpack_zone_malloc(&rig.zone, 256);

    snprintf(whole, 256, "%s/%s", rig.folder, name);
    return whole;
}

void make_file(const char *name, const char *content, mode_t mode)
{
    int fd = open(path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    cr_assert(fd >= 0 && write(fd, content, strlen(content)) == (ssize_t)strlen(content));
    cr_assert_eq(fchmod(fd, mode), 0);
    close(fd);
}

void expect_no_files(void)
{
    cr_assert_eq(rmdir(rig.folder), 0, "left in %s: %s", rig.folder, strerror(errno));
    cr_assert_eq(mkdir(rig.folder, 0700), 0);
}

void rig_init(void)
{
    cr_assert(msgpack_zone_init(&rig.zone, 8192));
    call_init(&rig.call, &rig.zone, &rig.cancel, NULL);
    strcpy(rig.folder, "/tmp/muster-test-XXXXXX");
    cr_assert_not_null(mkdtemp(rig.folder));
    setenv("TMPDIR", rig.folder, 1);
    command_init(SLOT, &rig.flight, false);
}

void rig_fini(void)
{
    char *line;

    command_kill_all();
    command_fini();
    msgpack_zone_destroy(&rig.zone);
    cr_assert(asprintf(&line, "rm -rf %s", rig.folder) > 0);
    cr_assert_eq(system(line), 0);
    free(line);
}
