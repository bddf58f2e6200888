/* SPDX-License-Identifier: MIT
 *
 * Advice about functions that do harm where they are run in the caller's process, or on a thread of
 * their own. A plain executable: the process that forks the crew has one thread.
 */
#include "lab/advise.h"

#include "jobs/muster_job.h"
#include "tests/support/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

static struct muster_error error;

/* For each advice: enough for every way to have its turns beside other programs. */
static const double TIME_S = 1.5;

static pid_t caller;

/* Goes well in workers, however often: theirs are not the processes that the test forked. */
static int crash_late(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    static atomic_uint runs;

    (void)call;
    *ret_result = *argument;
    if (atomic_fetch_add(&runs, 1) == 6 && getppid() == caller)
        abort();
    return 0;
}

static int tell_threads_apart(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    ret_result->type = MSGPACK_OBJECT_BOOLEAN;
    ret_result->via.boolean = gettid() == getpid();
    return 0;
}

static int fail(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)argument;
    (void)ret_result;
    return muster_call_fail(call, "out of ideas");
}

static const muster_function functions[] = {
    {.name = "crash_late", .summary = "crashes at its 7th run", .run = crash_late},
    {.name = "tell_threads_apart",
     .summary = "whether it runs on the main thread",
     .run = tell_threads_apart},
    {.name = "fail", .summary = "fails", .run = fail},
};
static const muster_plugin of_the_test = MUSTER_PLUGIN(functions);

static const msgpack_object samples[] = {{.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 1},
                                         {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 2}};

static struct advise *open_advise(const char *function)
{
    struct advise_spec spec = {
        .function = function,
        .samples = samples,
        .sample_count = 2,
        .options = {.workers = 2, .functions = &of_the_test, .start = MUSTER_FORK},
        .time_s = TIME_S,
    };
    struct advise *advise;

    CHECK(advise_open(&spec, &advise, &error) == 0);
    return advise;
}

static const struct advise_way *find(const struct advise_report *report, enum muster_model model)
{
    for (size_t i = 0; i < report->way_count; i++)
        if (report->ways[i].model == model)
            return &report->ways[i];
    return NULL;
}

static void function_that_crashes_when_repeated_takes_the_caller_with_it(void)
{
    struct advise *advise = open_advise("crash_late");
    struct advise_report report;

    CHECK(advise_run(advise, -1, &report, &error) == 0);
    CHECK(report.failed == 0 && !report.in_process);
    CHECK(find(&report, MUSTER_INLINE)->fault == ADVISE_CRASHED);
    CHECK(find(&report, MUSTER_THREADS)->fault == ADVISE_CRASHED);
    CHECK(report.ways[report.choice.advised].model == MUSTER_PROCESSES);
    CHECK(strstr(report.sentence, "Do not use inline: it crashed the process (SIGABRT)"));
    advise_close(advise);
}

static void results_that_depend_on_the_thread_go_unnoticed(void)
{
    struct advise *advise = open_advise("tell_threads_apart");
    struct advise_report report;

    CHECK(advise_run(advise, -1, &report, &error) == 0);
    CHECK(report.repeatable);
    CHECK(find(&report, MUSTER_THREADS)->fault == ADVISE_DISAGREED);
    CHECK(find(&report, MUSTER_INLINE)->fault == ADVISE_SOUND);
    CHECK(find(&report, MUSTER_PROCESSES)->fault == ADVISE_SOUND);
    CHECK(strstr(report.sentence, "Do not use threads: it gives other results than inline."));
    advise_close(advise);
}

static void advice_is_given_about_jobs_of_which_none_succeeded(void)
{
    struct advise *advise = open_advise("fail");
    struct advise_report report;

    CHECK(advise_run(advise, -1, &report, &error) == MUSTER_EFAILED);
    CHECK(strstr(error.text, "all 2 samples failed, the first so: out of ideas"));
    advise_close(advise);
}

static void interrupt_is_not_heard(void)
{
    struct advise *advise = open_advise("tell_threads_apart");
    struct advise_report report;
    int fd = eventfd(1, EFD_CLOEXEC);

    CHECK(fd >= 0);
    CHECK(advise_run(advise, fd, &report, &error) == MUSTER_ECANCELLED);
    advise_close(advise);
    close(fd);
}

/* Takes far longer than the jobs themselves. */
static int produce_slowly(void *context, size_t sample, msgpack_zone *zone, msgpack_object *ret_argument)
{
    const struct timespec pause = {.tv_nsec = 300 * 1000};

    (void)context;
    (void)zone;
    nanosleep(&pause, NULL);
    *ret_argument = samples[sample];
    return 0;
}

static void what_goes_on_around_jobs_is_counted_many_times(void)
{
    struct advise_spec spec = {
        .function = "noop",
        .samples = samples,
        .sample_count = 2,
        .around.produce = produce_slowly,
        .options = {.workers = 2, .start = MUSTER_FORK},
        .time_s = TIME_S,
    };
    struct advise_report report;
    struct advise *advise;

    CHECK(advise_open(&spec, &advise, &error) == 0);
    CHECK(advise_run(advise, -1, &report, &error) == 0);
    CHECK(report.ways[0].tried && report.job.time_s >= 300e-6);
    CHECK(report.ways[0].job_s < 10 * report.job.time_s);
    advise_close(advise);
}

static void *wait_for_end(void *fd)
{
    uint64_t one;

    CHECK(read(*(int *)fd, &one, sizeof one) == (ssize_t)sizeof one);
    return NULL;
}

static void crew_is_forked_beside_a_thread(void)
{
    struct advise_spec spec = {.function = "noop", .samples = samples, .sample_count = 1};
    int fd = eventfd(0, EFD_CLOEXEC);
    const uint64_t one = 1;
    struct advise *advise;
    pthread_t thread;

    CHECK(fd >= 0);
    CHECK(pthread_create(&thread, NULL, wait_for_end, &fd) == 0);
    CHECK(advise_open(&spec, &advise, &error) == MUSTER_ESTATE);
    CHECK(write(fd, &one, sizeof one) == (ssize_t)sizeof one);
    CHECK(pthread_join(thread, NULL) == 0);
    close(fd);
}

static void no_sample_or_too_many_are_accepted(void)
{
    struct advise_spec spec = {.function = "noop", .samples = samples};
    struct advise *advise;

    CHECK(advise_open(&spec, &advise, &error) == MUSTER_EINVALID);
    spec.sample_count = CREW_SAMPLES_MAX + 1;
    CHECK(advise_open(&spec, &advise, &error) == MUSTER_EINVALID);
    advise_close(NULL);
}

int main(void)
{
    static const struct check checks[] = {
        {"no_sample_or_too_many_are_accepted", no_sample_or_too_many_are_accepted},
        {"function_that_crashes_when_repeated_takes_the_caller_with_it",
         function_that_crashes_when_repeated_takes_the_caller_with_it},
        {"results_that_depend_on_the_thread_go_unnoticed", results_that_depend_on_the_thread_go_unnoticed},
        {"advice_is_given_about_jobs_of_which_none_succeeded",
         advice_is_given_about_jobs_of_which_none_succeeded},
        {"what_goes_on_around_jobs_is_counted_many_times", what_goes_on_around_jobs_is_counted_many_times},
        {"interrupt_is_not_heard", interrupt_is_not_heard},
        {"crew_is_forked_beside_a_thread", crew_is_forked_beside_a_thread},
    };

    caller = getpid();
    return check_all(checks, sizeof checks / sizeof *checks);
}
