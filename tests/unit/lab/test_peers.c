/* SPDX-License-Identifier: MIT
 *
 * Peers that are missing, fail, hang or write garbage: each is a figure that says so, and the rest
 * is measured. The programs are fakes in a folder that is all of PATH.
 */
#include "lab/peers.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(holds)                                                            \
    do {                                                                        \
        if (!(holds)) {                                                         \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #holds); \
            exit(1);                                                            \
        }                                                                       \
    } while (0)

static const struct bench_scale scale = {"jobs/s", true, 1};
static char folder[] = "/tmp/muster-peers-XXXXXX";
static struct bench_report report;
static struct muster_error error;

static void remove_program(const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

/* A program of this name that a shell runs. */
static void fake(const char *name, const char *script)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    CHECK((file = fopen(path, "w")) != NULL);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    CHECK(fclose(file) == 0 && chmod(path, 0700) == 0);
}

static int own(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    (void)context, (void)ret_error;
    *ret_ns = times * 1000; /* a million a second */
    return 0;
}

static void compare(enum peer_measure measure)
{
    struct bench_spec spec = {.workers = 2, .rounds = 1, .peers = true, .interrupt_fd = -1};
    struct bench_turn turn = {.block = own, .times = 100};

    bench_report_fini(&report);
    CHECK(peers_compare(&spec, measure, "ours", &turn, &scale, &report, &error) == 0);
    CHECK(report.figure_count == peers_count(measure));
    for (size_t i = 0; i < report.figure_count; i++)
        CHECK(strcmp(report.figures[i].figure, peers_name(measure, i)) == 0);
}

static const struct bench_figure *figure(const char *name)
{
    for (size_t i = 0; i < report.figure_count; i++)
        if (strcmp(report.figures[i].figure, name) == 0)
            return &report.figures[i];
    fprintf(stderr, "no figure %s\n", name);
    exit(1);
}

static void is_left_out(const char *name, const char *why)
{
    const struct bench_figure *left_out = figure(name);

    if (!left_out->measured && left_out->value == 0 && strstr(left_out->note, why))
        return;
    fprintf(stderr, "%s: not '%s' but '%s'\n", name, why, left_out->note);
    exit(1);
}

/* Answers each question with a nanosecond a job. */
static const char good[] = "echo ready; while read jobs ns; do echo $jobs; done";

static void missing_programs_end_the_measurement(void)
{
    remove_program("python3");
    compare(PEER_TRIP);
    is_left_out("xargs", "xargs is not installed");
    is_left_out("GNU parallel", "parallel is not installed");
    compare(PEER_SINGLE); /* the system's own interpreter may have them, or not */
}

static void good_answers_are_not_figures(void)
{
    fake("python3", good);
    compare(PEER_BATCH);
    CHECK(figure("Pool.map")->measured && figure("Pool.map")->value == 1e9);
    CHECK(strcmp(figure("Pool.map")->baseline, "ours") == 0);
    CHECK(figure("Pool.map")->baseline_value == 1e6 && figure("Pool.map")->ratio == 1e3);
    CHECK(figure("joblib")->measured);
    compare(PEER_BLOCK);
    CHECK(figure("ProcessPoolExecutor.submit")->measured);
}

/* It is the second number of a question; answered with as many nanoseconds. */
static void block_has_no_size(void)
{
    double seconds;

    fake("python3", "echo ready; while read jobs size; do echo $size; done");
    compare(PEER_BLOCK);
    seconds = 1 / figure("Pool.apply")->value;
    CHECK(seconds * 1e9 > 0.99 * PEER_BLOCK_BYTES && seconds * 1e9 < 1.01 * PEER_BLOCK_BYTES);
}

static void missing_module_fails_without_a_word(void)
{
    fake("python3", "case $3 in joblib) echo missing this module;; *) echo missing that;; esac");
    compare(PEER_SINGLE);
    /* Then the system's interpreter is asked: with one, these are measured. */
    if (access("/usr/bin/python3", X_OK) == 0)
        CHECK(figure("Pool.imap_unordered")->measured);
    else
        is_left_out("Pool.imap_unordered", "that");
}

static void failure_is_a_figure(void)
{
    fake("python3", "echo ModuleNotFoundError: no such thing >&2; exit 1");
    fake("xargs", "echo xargs: invalid option >&2; exit 2");
    fake("parallel", "exit 0");
    compare(PEER_BATCH);
    is_left_out("Pool.map", "python3 ended with status 1: ModuleNotFoundError: no such thing");
    is_left_out("xargs", "xargs ended with status 2: xargs: invalid option");
    CHECK(figure("GNU parallel")->measured);
    fake("python3", "echo ready; read jobs ns; kill -SEGV $$");
    compare(PEER_TRIP);
    is_left_out("Pool.apply", "python3 was ended by signal 11");
}

static void garbage_is_a_figure(void)
{
    static const char *const garbage[] = {"-5", "1e9", "0", "12 34", "99999999999999999999999", "", "ready"};
    char script[256];

    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        snprintf(script, sizeof script, "echo ready; while read jobs ns; do echo '%s'; done", garbage[i]);
        fake("python3", script);
        compare(PEER_SINGLE);
        is_left_out("Gearman", "which is no time");
    }
    fake("python3", "echo '\033[31mHello'; read x");
    compare(PEER_SINGLE);
    is_left_out("Gearman", "python3 wrote '?[31mHello' instead of its answer");
    fake("python3", "exec /bin/cat /dev/zero");
    compare(PEER_SINGLE);
    is_left_out("Gearman", "something long");
}

static void interpreter_that_hangs_is_waited_for_by_each(void)
{
    uint64_t began_ns = clock_now_ns();

    fake("python3", "exec /bin/sleep 1000");
    compare(PEER_SINGLE);
    is_left_out("Pool.imap_unordered", "python3 took too long and was ended");
    is_left_out("Gearman", "left out: python3 took too long before");
    CHECK(clock_now_ns() - began_ns < 120 * CLOCK_NS_PER_S);
}

static void interrupt_is_taken_for_a_failure(void)
{
    struct bench_spec spec = {.workers = 2, .rounds = 1, .peers = true};
    struct bench_turn turn = {.block = own, .times = 100};
    int fds[2];

    CHECK(pipe(fds) == 0 && write(fds[1], "x", 1) == 1);
    spec.interrupt_fd = fds[0];
    fake("python3", "exec /bin/sleep 1000");
    bench_report_fini(&report);
    CHECK(peers_compare(&spec, PEER_BATCH, "ours", &turn, &scale, &report, &error) == MUSTER_ECANCELLED);
    close(fds[0]);
    close(fds[1]);
}

static void peers_are_measured_unasked(void)
{
    struct bench_spec spec = {.workers = 2, .interrupt_fd = -1};
    struct bench_turn turn = {.block = own, .times = 100};

    bench_report_fini(&report);
    CHECK(peers_compare(&spec, PEER_BATCH, "ours", &turn, &scale, &report, &error) == 0);
    CHECK(report.figure_count == 0);
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL && setenv("PATH", folder, 1) == 0);
    missing_programs_end_the_measurement();
    good_answers_are_not_figures();
    block_has_no_size();
    missing_module_fails_without_a_word();
    failure_is_a_figure();
    garbage_is_a_figure();
    interpreter_that_hangs_is_waited_for_by_each();
    interrupt_is_taken_for_a_failure();
    peers_are_measured_unasked();
    bench_report_fini(&report);
    remove_program("python3");
    remove_program("xargs");
    remove_program("parallel");
    CHECK(rmdir(folder) == 0);
    return 0;
}
