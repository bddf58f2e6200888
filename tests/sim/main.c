/* SPDX-License-Identifier: MIT
 *
 * sim: the coordinator in worlds that are simulated, one for each seed; see sim.h. Exits with 0 when nothing
 * was violated; else it names the seed, which shows the same again.
 */
#include "tests/sim/sim.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void usage(FILE *file)
{
    fputs("Usage: sim [--seeds N] [--first N]    runs the worlds of N seeds (1000)\n"
          "       sim --seed N [--trace]         runs that of one; --trace tells what happens\n"
          "       sim --scale [--workers N] [--jobs N]\n"
          "                                      what a job costs as workers and jobs grow to\n"
          "                                      these (10000, 100000000)\n",
          file);
}

/* An assertion of the product, or worse. */
static void note_crash(int signal_number)
{
    char text[96];
    int size = snprintf(text, sizeof text, "sim: seed %lu, step %lu: signal %d\n", (unsigned long)world.seed,
                        (unsigned long)world.step, signal_number);

    if (write(STDERR_FILENO, text, (size_t)size) < 0)
        return;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static uint64_t number(const char *text)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        usage(stderr);
        exit(2);
    }
    return value;
}

enum { TURNS_SEEDS = 100 }; /* in so many worlds there are turns */

static void run_seeds(uint64_t first, uint64_t seeds)
{
    for (uint64_t seed = first; seed < first + seeds; seed++)
        sim_run(seed);
    if (seeds >= TURNS_SEEDS && world.sum.turns == 0) {
        fputs("sim: no turns were seen: are the functions that turns.c wraps called from other files?\n",
              stderr);
        exit(1);
    }
    printf("%lu seeds, nothing violated: %lu steps, %lu jobs begun, %lu turns compared, %lu lives of "
           "coordinators, %lu workers "
           "died, %lu commits, %.0f hours of virtual time; %lu hosts joined, of which %lu came back, %lu to "
           "another life; %lu jobs ran at two places, since they did not come\n",
           (unsigned long)seeds, (unsigned long)world.sum.steps, (unsigned long)world.sum.jobs,
           (unsigned long)world.sum.turns, (unsigned long)world.sum.lives, (unsigned long)world.sum.deaths,
           (unsigned long)world.sum.commits, (double)world.sum.virtual_ns / 3600e9,
           (unsigned long)world.sum.joins, (unsigned long)(world.sum.returns + world.sum.takeovers),
           (unsigned long)world.sum.takeovers, (unsigned long)world.sum.strays);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seeds", required_argument, NULL, 'n'},
        {"first", required_argument, NULL, 'f'},
        {"seed", required_argument, NULL, 's'},
        {"trace", no_argument, NULL, 't'},
        {"scale", no_argument, NULL, 'c'},
        {"workers", required_argument, NULL, 'w'},
        {"jobs", required_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    uint64_t first = 1, seeds = 1000, workers = 10000, jobs = 100000000;
    bool scale = false;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'n':
            seeds = number(optarg);
            break;
        case 'f':
            first = number(optarg);
            break;
        case 's':
            first = number(optarg);
            seeds = 1;
            break;
        case 't':
            world.traced = true;
            break;
        case 'c':
            scale = true;
            break;
        case 'w':
            workers = number(optarg);
            break;
        case 'j':
            jobs = number(optarg);
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return 2;
        }
    }
    if (optind < argc || workers < 1 || workers > PROTO_WORKERS_MAX || jobs < 1) {
        usage(stderr);
        return 2;
    }
    signal(SIGABRT, note_crash);
    signal(SIGSEGV, note_crash);
    if (scale)
        sim_scale((unsigned)workers, jobs);
    else
        run_seeds(first, seeds);
    return 0;
}
