/* SPDX-License-Identifier: MIT
 *
 * Threads that are left, under a limit of memory: each reserves its stack.
 */
#include "proto/threads.h"

#include "base/sanitize.h"
#include "proto/threads_limits.h"
#include "proto/wire.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* From now on there is room for one more stack, not for two. */
static void leave_one(void)
{
    pthread_attr_t attributes;
    unsigned long pages;
    struct rlimit limit;
    size_t stack_bytes;
    FILE *file = fopen("/proc/self/statm", "r");

    if (SANITIZE_ADDRESS)
        cr_skip_test("the address sanitizer needs memory of its own for a thread");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    cr_assert_eq(pthread_getattr_default_np(&attributes), 0);
    cr_assert_eq(pthread_attr_getstacksize(&attributes, &stack_bytes), 0);
    limit.rlim_cur = limit.rlim_max = pages * (rlim_t)sysconf(_SC_PAGESIZE) + stack_bytes * 3 / 2;
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

Test(threads, are_counted_as_far_as_is_asked)
{
    cr_assert_eq(threads_count(7), 7);
    cr_assert_eq(threads_count(THREADS_COUNT_MAX + 1), THREADS_COUNT_MAX);
}

Test(threads, are_counted_as_far_as_they_can_be)
{
    leave_one();
    cr_assert_eq(threads_count(7), 1);
}

Test(threads, one_too_few_is_enough)
{
    struct muster_error error;

    leave_one();
    cr_assert_eq(threads_check(&error), MUSTER_ELIMIT);
    cr_assert(strstr(error.text, "2 threads and only 1 can be had"), "%s", error.text);
}

Test(threads, context_without_threads_aborts_with_its_first_socket)
{
    struct wire_context *context = NULL;
    struct muster_error error;

    leave_one();
    cr_assert_eq(wire_context_create(&context, &error), MUSTER_ELIMIT);
    cr_assert_null(context);
    cr_assert_eq(wire_contexts(), 0);
}

Test(threads, are_not_plenty_under_a_limit_of_memory)
{
    struct rlimit limit = {.rlim_cur = (rlim_t)1 << 50, /* more than sanitizers map */
                           .rlim_max = RLIM_INFINITY};

    cr_assert_eq(setrlimit(RLIMIT_DATA, &limit), 0);
    cr_assert_not(threads_are_plenty(2));
    cr_assert_eq(threads_count(7), 7);
}

Test(threads, are_not_plenty_where_few_processes_are_allowed)
{
    struct rlimit limit;

    cr_assert_eq(getrlimit(RLIMIT_NPROC, &limit), 0);
    if (limit.rlim_max < 1000)
        cr_skip_test("fewer are allowed than this test allows");
    limit.rlim_cur = 1000;
    cr_assert_eq(setrlimit(RLIMIT_NPROC, &limit), 0);
    cr_assert_not(threads_are_plenty(2));
}
