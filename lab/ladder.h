/* SPDX-License-Identifier: MIT
 *
 * The latency ladder of this machine: from adding to a register up to a write that is safe on
 * disk, each rung measured, in nanoseconds and at a scale where one cycle lasts a second.
 *
 * A rung is measured in rounds of some milliseconds, of which the median counts; with all of
 * them it takes two or three seconds on a machine that has nothing else to do. What cannot be
 * measured here is in the report with its reason.
 */
#ifndef MUSTER_LAB_LADDER_H
#define MUSTER_LAB_LADDER_H

#include "base/error.h"
#include "lab/caches.h"
#include "lab/scale.h"

#include <stdbool.h>

/* X(name, words) in ascending order, about. */
#define LADDER_MAP(X)                   \
    X(REGISTER, "register")             \
    X(L1, "L1 cache")                   \
    X(L2, "L2 cache")                   \
    X(L3, "L3 cache")                   \
    X(RAM, "RAM")                       \
    X(RAM_PAGES, "RAM, 4 KiB pages")    \
    X(SWITCH, "context switch")         \
    X(MUTEX, "mutex hand-over")         \
    X(PIPE, "pipe round trip")          \
    X(HOP_INPROC, "ZeroMQ hop, inproc") \
    X(HOP_IPC, "ZeroMQ hop, ipc")       \
    X(DISK_READ, "disk read, 4 KiB")    \
    X(FSYNC, "fsync")                   \
    X(SPAWN, "process creation")

enum ladder_rung {
#define X(name, words) LADDER_##name,
    LADDER_MAP(X)
#undef X
};

enum { LADDER_RUNGS = LADDER_SPAWN + 1, LADDER_NOTE_BYTES = 160, LADDER_SENTENCE_BYTES = 640 };

struct ladder_figure {
    enum ladder_rung rung;
    bool measured;
    bool noisy;                    /* too far apart, or not above the rung that is below it by nature */
    double value_ns;               /* the median */
    double low_ns, high_ns;        /* between them lies the middle half of the rounds */
    double scaled_s;               /* when one cycle lasts a second */
    char scaled[SCALE_TEXT_BYTES]; /* the same, in words */
    char note[LADDER_NOTE_BYTES];  /* what was measured, or why it was not */
};

struct ladder_report {
    struct ladder_figure figures[LADDER_RUNGS];
    double cycle_ns; /* a dependent add */
    char sentence[LADDER_SENTENCE_BYTES];
};

struct ladder_spec {
    const char *folder; /* where the file for disk reads and fsync is made; it has no name */
    int interrupt_fd;   /* readable: end early, with MUSTER_ECANCELLED; -1: none */
    /* Before each rung, for progress. May be NULL. */
    void (*on_rung)(void *context, enum ladder_rung rung);
    void *context;
    struct caches caches; /* filled in by ladder_run */
};

/* The words for a rung. */
const char *ladder_name(enum ladder_rung rung);

/* All rungs. 0; MUSTER_ECANCELLED; what kept it from measuring a cycle. */
int ladder_run(const struct ladder_spec *spec, struct ladder_report *ret_report,
               struct muster_error *ret_error);

/* From the figures' times: marks rungs that are out of order as noisy, and writes scaled times
 * and the sentence. Pure. */
void ladder_judge(struct ladder_report *report);

#endif
