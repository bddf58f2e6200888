/* SPDX-License-Identifier: MIT
 *
 * What a worker says of a command: it may be anything.
 */
#include "cli/exec_result.h"

#include "worker/command.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static msgpack_object items[COMMAND_PLACES];

/* A command that ended well, with the place set to something else. */
static int read_from(const struct exec_folder *own, int place, msgpack_object item,
                     struct exec_result *ret_result)
{
    const msgpack_object value = {.type = MSGPACK_OBJECT_ARRAY,
                                  .via.array = {.ptr = items, .size = COMMAND_PLACES}};

    for (size_t i = 0; i < COMMAND_PLACES; i++)
        items[i] = (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER};
    items[COMMAND_START] = (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = 1.7e9};
    items[COMMAND_OUT] = items[COMMAND_ERR] = (msgpack_object){.type = MSGPACK_OBJECT_BIN};
    items[place] = item;
    return exec_result_read(&value, own, ret_result);
}

static int read_with(int place, msgpack_object item, struct exec_result *ret_result)
{
    static const struct exec_folder own = {.parent = "/tmp", .path = "/tmp/muster-exec-1"};

    return read_from(&own, place, item, ret_result);
}

static msgpack_object real(double number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = number};
}

static msgpack_object whole(uint64_t number)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = number};
}

Test(exec_result, start_time_of_300_digits_is_refused)
{
    const double wrong[] = {1e300, -1, INFINITY, NAN};
    struct exec_result result;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cr_expect_eq(read_with(COMMAND_START, real(wrong[i]), &result), MUSTER_EPROTOCOL, "%g", wrong[i]);
    cr_assert_eq(read_with(COMMAND_START, real(1.5), &result), 0);
    cr_expect_eq(result.start_s, 1.5);
}

Test(exec_result, status_beyond_64_bits_signed_is_no_small_number)
{
    struct exec_result result;

    cr_expect_eq(read_with(COMMAND_EXIT, whole(UINT64_MAX), &result), MUSTER_EPROTOCOL);
    cr_expect_eq(read_with(COMMAND_EXIT, whole(256), &result), MUSTER_EPROTOCOL);
    cr_assert_eq(read_with(COMMAND_EXIT, whole(255), &result), 0);
    cr_expect_eq(result.exit, 255);
}

Test(exec_result, file_that_a_coordinator_names_stays_where_it_is)
{
    char path[] = "/tmp/muster-test-XXXXXX";
    const int fd = mkstemp(path);
    const msgpack_object named = {.type = MSGPACK_OBJECT_STR,
                                  .via.str = {.ptr = path, .size = (uint32_t)strlen(path)}};
    struct exec_result result;

    cr_assert_geq(fd, 0);
    close(fd);
    cr_assert_eq(read_from(NULL, COMMAND_OUT, named, &result), 0);
    cr_expect(result.out.lent);
    exec_result_discard(&result);
    cr_expect_eq(access(path, F_OK), 0);
    cr_assert_eq(read_with(COMMAND_OUT, named, &result), 0);
    cr_expect_eq(result.lost, 0);
    exec_result_discard(&result);
    cr_expect_neq(access(path, F_OK), 0);
}

Test(exec_result, file_that_is_not_what_it_was_is_that_jobs_failure_and_empty)
{
    char path[] = "/tmp/muster-test-XXXXXX", other[sizeof path + 1];
    const int fd = mkstemp(path);
    const msgpack_object named = {.type = MSGPACK_OBJECT_STR,
                                  .via.str = {.ptr = path, .size = (uint32_t)strlen(path)}};
    struct exec_result result;

    cr_assert_geq(fd, 0);
    close(fd);
    snprintf(other, sizeof other, "%s2", path);
    cr_assert_eq(link(path, other), 0);
    for (int gone = 0; gone < 2; gone++) {
        cr_assert_eq(read_with(COMMAND_OUT, named, &result), 0);
        cr_expect_eq(result.lost, ESTALE);
        cr_expect_neq(exec_result_status(&result), 0);
        cr_expect(result.out.bytes && result.out.size == 0);
        exec_result_discard(&result);
        cr_expect_neq(access(path, F_OK), 0, "it is removed with its job");
    }
    unlink(other);
}

Test(exec_result, file_elsewhere_is_no_output_of_a_worker_of_this_process)
{
    const char *const wrong[] = {"/etc/passwd", "/tmp/other/muster-1-0", "/tmp/muster-exec-1/../muster-1-0",
                                 "muster-1-0"};
    struct exec_result result;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const msgpack_object named = {.type = MSGPACK_OBJECT_STR,
                                      .via.str = {.ptr = wrong[i], .size = (uint32_t)strlen(wrong[i])}};

        cr_expect_eq(read_with(COMMAND_OUT, named, &result), MUSTER_EPROTOCOL, "%s", wrong[i]);
        cr_expect_eq(read_with(COMMAND_ERR, named, &result), MUSTER_EPROTOCOL, "%s", wrong[i]);
    }
}
