/* SPDX-License-Identifier: MIT
 *
 * An animation that keeps 60 frames a second while two workers compute without a pause:
 *
 *     cc animation.c -o animation $(pkg-config --cflags --libs muster) -lm
 *     ./animation processes 300
 *
 * A frame has an absolute time. Until it comes the program sleeps in ppoll, on muster_fd, and
 * dispatches what is there; no callback here takes long, so no frame waits for one. At the end
 * it says how many frames were late, by more than a frame, and how much the latest was.
 */
#define _GNU_SOURCE /* ppoll */
#include <math.h>
#include <muster/muster.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 2, AHEAD = 2 * WORKERS };

static const double FRAME_S = 1.0 / 60;

static muster *m;
static bool over;
static unsigned jobs;

static void on_end(void *context, muster_future *future);

/* One more piece of work: 50 ms of a core. */
static void compute(void)
{
    const msgpack_object seconds = {.type = MSGPACK_OBJECT_FLOAT64, .via.f64 = 0.05};
    struct muster_error error;
    muster_future *future;

    if (muster_submit(m, &(struct muster_job){.function = "spin", .argument = &seconds}, &future, &error) !=
        0) {
        fprintf(stderr, "animation: %s\n", error.text);
        exit(1);
    }
    muster_future_on_end(future, on_end, on_end, NULL);
    muster_future_drop(future);
}

/* A worker is free: the next piece keeps it busy. */
static void on_end(void *context, muster_future *future)
{
    (void)context;
    if (muster_future_state(future) == MUSTER_SUCCEEDED)
        jobs++;
    if (!over)
        compute();
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Sleeps until `time`, and dispatches whatever comes before it. */
static void sleep_until(double time)
{
    double left;

    while ((left = time - now()) > 0) {
        const struct timespec timeout = {.tv_sec = (time_t)left, .tv_nsec = (long)(fmod(left, 1) * 1e9)};
        struct pollfd item = {.fd = muster_fd(m), .events = POLLIN};
        struct muster_error error;

        if (ppoll(&item, 1, &timeout, NULL) > 0 && muster_dispatch(m, &error) != 0) {
            fprintf(stderr, "animation: %s\n", error.text);
            exit(1);
        }
    }
}

/* A ball on a spring. */
static void draw(unsigned frame)
{
    int column = 30 + (int)(29 * sin(frame * 0.1));

    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%*s%*s", column + 1, "o", 60 - column, "");
}

int main(int argc, char **argv)
{
    struct muster_options options = {.workers = WORKERS, .warm = true};
    unsigned frames = argc == 3 ? (unsigned)atoi(argv[2]) : 0, late = 0;
    double began, latest = 0;
    struct muster_error error;

    if (frames == 0)
        return fprintf(stderr, "usage: animation MODEL FRAMES\n"), 2;
    if (muster_model_parse(argv[1], &options.model, &error) != 0 || muster_open(&options, &m, &error) != 0)
        return fprintf(stderr, "animation: %s\n", error.text), 1;
    for (int i = 0; i < AHEAD; i++)
        compute();
    began = now();
    for (unsigned frame = 1; frame <= frames; frame++) {
        double due = began + frame * FRAME_S, delay;

        sleep_until(due);
        delay = now() - due;
        draw(frame);
        late += delay > FRAME_S;
        latest = fmax(latest, delay);
    }
    over = true;
    printf("%u frames in %.2f s, %u late, the latest by %.1f ms; %u jobs of 50 ms meanwhile\n", frames,
           now() - began, late, latest * 1000, jobs);
    muster_close(m);
    return 0;
}
