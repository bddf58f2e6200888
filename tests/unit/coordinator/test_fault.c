/* SPDX-License-Identifier: MIT
 *
 * A crash in words, from pages that crashes may have written anything to.
 */
#include "coordinator/fault.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fault_files files = {.program = "/proc/self/exe", .program_fd = -1};

static char text[FAULT_TEXT_BYTES];

/* Returns whether names came in time. */
static bool describe(const struct flight_page *page)
{
    bool in_time;

    memset(text, 'x', sizeof text);
    in_time = fault_describe(page, &files, text);
    cr_assert(memchr(text, '\0', sizeof text) != NULL);
    return in_time;
}

/* Of two places in the program, by a process that behaves like this. */
static bool describe_with(const char *behaviour)
{
    const struct flight_page page = {
        .fault_signal = 11, .frame_count = 2, .frames = {{.offset = 16}, {.offset = 32}}};
    bool in_time;

    setenv("MUSTER_TEST_SYMBOLS", behaviour, 1);
    files.program_fd = open(FAKE_SYMBOLS, O_PATH | O_CLOEXEC);
    cr_assert(files.program_fd >= 0);
    in_time = describe(&page);
    close(files.program_fd);
    files.program_fd = -1;
    return in_time;
}

Test(fault, process_that_crashes_over_names_costs_the_names_alone)
{
    cr_expect(describe_with("crash"));
    cr_expect_str_eq(text, ", in first? < exe+0x20");
}

Test(fault, process_that_hangs_over_names_is_ended_and_said_to)
{
    cr_expect(!describe_with("hang"));
    cr_expect_str_eq(text, ", in first? < exe+0x20");
}

/* It ends by itself, but so would the next one. */
Test(fault, process_that_computes_for_too_long_over_names_is_said_to)
{
    cr_expect(!describe_with("busy"));
    cr_expect_str_eq(text, ", in first? < exe+0x20");
}

static void count(void *context)
{
    ++*(unsigned *)context;
}

/* Whoever waits for it has others who wait for him. */
Test(fault, process_that_hangs_over_names_keeps_nobody_from_what_is_due)
{
    unsigned calls = 0;

    files.meanwhile = count;
    files.context = &calls;
    cr_expect(!describe_with("hang"));
    cr_expect_gt(calls, 1);
}

Test(fault, process_that_answers_without_end_is_not_read_without_end)
{
    cr_expect(describe_with("flood"));
    cr_expect_str_eq(text, ", in first? < exe+0x20");
}

Test(fault, nothing_is_said_of_a_page_without_a_fault)
{
    struct flight_page page = {.frame_count = 3};

    describe(&page);
    cr_expect_str_eq(text, "");
}

Test(fault, address_and_frames_without_files)
{
    struct flight_page page = {.fault_signal = 11,
                               .fault_flags = FLIGHT_HAS_ADDRESS,
                               .fault_address = 0x10,
                               .frame_count = 1,
                               .frames = {{.offset = 0x20, .module = FLIGHT_MODULES_MAX}}};

    describe(&page);
    cr_expect_str_eq(text, ", at address 0x10, in 0x20");
    page.fault_flags |= FLIGHT_STACK_IS_FULL;
    describe(&page);
    cr_expect_str_eq(text, ", its stack overflowed, in 0x20");
}

/* A worker that means harm must not choose what is opened and parsed in its supervisor. */
Test(fault, file_that_nobody_asked_for_is_named_and_not_opened)
{
    struct flight_page page = {.fault_signal = 11, .frame_count = 1, .frames = {{.offset = 1}}};
    char path[] = "/tmp/muster-fault-XXXXXX";
    int fd = mkstemp(path);

    cr_assert(fd >= 0);
    strcpy(page.modules[0].name, path);
    strcat(page.modules[0].name, "\033x");
    describe(&page);
    cr_expect(strstr(text, "muster-fault-") != NULL);
    cr_expect(strstr(text, "?x+0x1") != NULL);
    close(fd);
    unlink(path);
}

/* Its page has room for the end of a path. */
Test(fault, plugin_with_a_long_path_is_looked_into)
{
    struct flight_page page = {.fault_signal = 11, .frame_count = 1, .frames = {{.offset = 16}}};
    char path[1000] = "/", *name;
    const char *plugins[] = {path};

    memset(path + 1, 'd', sizeof path - 2);
    name = path + sizeof path - sizeof "/mine.so";
    memcpy(name, "/mine.so", sizeof "/mine.so");
    for (size_t at = 200; path + at < name; at += 200)
        path[at] = '/';
    strcpy(page.modules[0].name, flight_module_name(path));
    cr_assert_lt(strlen(page.modules[0].name), strlen(path));
    files.plugins = plugins;
    files.plugin_count = 1;
    setenv("MUSTER_TEST_SYMBOLS", "crash", 1);
    files.program_fd = open(FAKE_SYMBOLS, O_PATH | O_CLOEXEC);
    describe(&page);
    cr_expect_str_eq(text, ", in first?");
    close(files.program_fd);
    files.program_fd = -1;
    describe(&page);
    cr_expect_str_eq(text, ", in mine.so+0x10");
}

Test(fault, any_page_is_described_within_its_bounds)
{
    union {
        struct flight_page page;
        unsigned char bytes[sizeof(struct flight_page)];
    } any;

    srand(7);
    for (int i = 0; i < 2000; i++) {
        for (size_t at = 0; at < sizeof any.bytes; at++)
            any.bytes[at] = (unsigned char)(i % 3 ? rand() : 0xff);
        for (int frame = 0; frame < FLIGHT_FRAMES_MAX && i % 2; frame++)
            any.page.frames[frame].module %= 2 * FLIGHT_MODULES_MAX;
        if (i % 5 == 0)
            any.page.modules[0].name[0] = '\0'; /* the program, at any offset */
        describe(&any.page);
    }
}
