/* SPDX-License-Identifier: MIT
 *
 * Results in each format, and output that cannot be written.
 */
#include "cli/output.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct output output;
static struct muster_error error;

static void tear_down(void)
{
    output_fini(&output);
}

TestSuite(output, .fini = tear_down);

static const msgpack_object number = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 42};
static const msgpack_object garbage = {.type = (msgpack_object_type)0x77};

static const struct muster_result good = {.index = 7,
                                          .argument = &number,
                                          .value = &number,
                                          .attempts = 1,
                                          .worker = 2,
                                          .wall_ns = 1234567,
                                          .cpu_ns = 89};
static const struct muster_receipt receipt = {
    .phase_ns = {1, 20, 300, 4000, 50000, 600000, 7, 8000, 90, 1000}, .total_ns = 663418};
static const struct muster_result bad = {.index = 8,
                                         .argument = &number,
                                         .code = MUSTER_ETIMEOUT,
                                         .text = "took \"long\"",
                                         .attempts = 3,
                                         .worker = 1};

static void expect(const char *text)
{
    cr_assert_eq(output.buffer.size, strlen(text), "%.*s", (int)output.buffer.size, output.buffer.data);
    cr_assert_eq(strncmp(output.buffer.data, text, output.buffer.size), 0, "%.*s", (int)output.buffer.size,
                 output.buffer.data);
}

Test(output, text_has_results_and_no_failures)
{
    output_init(&output, -1, "nowhere", OUTPUT_TEXT);
    cr_assert_eq(output_result(&output, &good, NULL, &error), 0);
    cr_assert_eq(output_result(&output, &bad, NULL, &error), 0);
    expect("42\n");
}

Test(output, json_says_all_of_success_and_failure)
{
    output_init(&output, -1, "nowhere", OUTPUT_JSON);
    cr_assert_eq(output_result(&output, &good, NULL, &error), 0);
    cr_assert_eq(output_result(&output, &bad, NULL, &error), 0);
    expect("{\"job\":\"1.7\",\"argument\":42,\"result\":42,\"attempts\":1,\"worker\":2,\"wall_us\":1234.567,"
           "\"cpu_us\":0.089}\n"
           "{\"job\":\"1.8\",\"argument\":42,\"error\":\"took \\\"long\\\"\",\"error_kind\":\"timeout\","
           "\"attempts\":3,\"worker\":1}\n"); /* of which no time was measured */
}

Test(output, json_says_where_the_time_of_a_timed_job_went)
{
    struct muster_result timed = good;

    timed.receipt = &receipt;
    output_init(&output, -1, "nowhere", OUTPUT_JSON);
    cr_assert_eq(output_result(&output, &timed, NULL, &error), 0);
    expect("{\"job\":\"1.7\",\"argument\":42,\"result\":42,\"attempts\":1,\"worker\":2,\"wall_us\":1234.567,"
           "\"cpu_us\":0.089,\"receipt\":{\"total_us\":663.418,\"encode_us\":0.001,\"queued_us\":0.020,"
           "\"send_us\":0.300,\"wait_us\":4.000,\"decode_us\":50.000,\"execute_us\":600.000,"
           "\"encode_result_us\":0.007,\"return_us\":8.000,\"decode_result_us\":0.090,"
           "\"commit_us\":1.000}}\n");
}

Test(output, none_writes_nothing)
{
    output_init(&output, -1, "nowhere", OUTPUT_NONE);
    cr_assert_eq(output_result(&output, &good, NULL, &error), 0);
    cr_assert_eq(output_result(&output, &bad, NULL, &error), 0);
    cr_assert_not(output_pending(&output));
}

Test(output, result_that_is_no_json_leaves_no_half_of_a_line)
{
    struct muster_result result = good;

    result.value = &garbage;
    output_init(&output, -1, "nowhere", OUTPUT_JSON);
    cr_assert_eq(output_result(&output, &result, NULL, &error), MUSTER_EINVALID);
    cr_assert_not(output_pending(&output));
    cr_assert(strstr(error.text, "cannot be written as JSON"), "%s", error.text);
}

Test(output, full_disk_is_reported_with_its_reason)
{
    int fd = open("/dev/full", O_WRONLY);

    output_init(&output, fd, "standard output", OUTPUT_TEXT);
    cr_assert_eq(output_result(&output, &good, NULL, &error), 0, "gathered, not written");
    cr_assert_eq(output_flush(&output, &error), MUSTER_EOUTPUT);
    cr_assert_str_eq(error.text, "standard output: No space left on device");
    close(fd);
}

Test(output, much_output_is_written_without_being_asked)
{
    int fd = open("/dev/full", O_WRONLY), code = 0, results = 0;

    output_init(&output, fd, "standard output", OUTPUT_TEXT);
    for (; !code && results < 1000000; results++)
        code = output_result(&output, &good, NULL, &error);
    cr_assert_eq(code, MUSTER_EOUTPUT);
    cr_assert_lt(results, 100000, "memory does not grow with the number of results");
    close(fd);
}

Test(output, flushing_nothing_to_a_closed_descriptor_is_no_error)
{
    output_init(&output, -1, "nowhere", OUTPUT_TEXT);
    cr_assert_eq(output_flush(&output, &error), 0);
}

Test(output, non_blocking_pipe_that_is_full_is_waited_for_not_cut)
{
    static char sink[1 << 16];
    int ends[2];
    size_t total = 0;
    ssize_t count;

    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    output_init(&output, ends[1], "pipe", OUTPUT_TEXT);
    while (write(ends[1], sink, 4096) == 4096)
        total += 4096; /* until it is full */
    cr_assert_eq(output_text(&output, "last words"), 0);
    if (fork() == 0) {
        close(ends[1]);
        fcntl(ends[0], F_SETFL, 0);
        while ((count = read(ends[0], sink, sizeof sink)) > 0)
            total -= (size_t)count < total ? (size_t)count : total;
        _exit(total == 0 && memmem(sink, sizeof sink, "last words", 10) ? 0 : 1);
    }
    cr_assert_eq(output_flush(&output, &error), 0, "%s", error.text);
    close(ends[1]);
    cr_assert_not(output_pending(&output));
    close(ends[0]);
}

Test(output, documents_are_one_line_off_a_terminal)
{
    output_init(&output, -1, "nowhere", OUTPUT_JSON);
    cr_assert_eq(output_document(&output, json_pack("{s:[i,f]}", "a", 1, 0.5)), 0);
    expect("{\"a\":[1,0.5]}\n");
    cr_assert_eq(output_document(&output, NULL), MUSTER_ENOMEM);
}
