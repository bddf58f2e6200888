/* SPDX-License-Identifier: MIT
 *
 * The rungs in turn, and what is said of them. See ladder.h.
 */
#include "lab/ladder.h"

#include "base/clock.h"
#include "lab/rung.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

enum {
    ROUNDS = 9,
    ROUNDS_MIN = 3,      /* when a round takes very long */
    TIMES_MAX = 1 << 30, /* of what takes no time */
};

static const uint64_t ROUND_NS = 5 * CLOCK_NS_PER_MS;  /* two hundred times what a wake-up costs */
static const uint64_t RUNG_NS = 400 * CLOCK_NS_PER_MS; /* after which there are no more than ROUNDS_MIN */
static const double ORDERED = 0.9; /* a rung may seem so much faster than the one below it */

const char *ladder_name(enum ladder_rung rung)
{
    switch (rung) {
#define X(name, words)  \
    case LADDER_##name: \
        return words;
        LADDER_MAP(X)
#undef X
    }
    return "";
}

static int check_interrupt(const struct ladder_spec *spec, struct muster_error *ret_error)
{
    struct pollfd item = {.fd = spec->interrupt_fd, .events = POLLIN};

    return poll(&item, 1, 0) > 0 ? muster_error_set(ret_error, MUSTER_ECANCELLED, "interrupted") : 0;
}

/* How often the block must be repeated to fill a round; doubles until it is known. */
static int calibrate(const struct ladder_spec *spec, rung_block *block, void *context, uint64_t *ret_times,
                     struct muster_error *ret_error)
{
    uint64_t times = 2, taken_ns; /* even: some blocks go there and back */
    int code;

    for (;;) {
        if ((code = check_interrupt(spec, ret_error)) != 0 ||
            (code = block(context, times, &taken_ns, ret_error)) != 0)
            return code;
        if (taken_ns >= ROUND_NS / 2 || times >= TIMES_MAX)
            break;
        times *= 2;
    }
    *ret_times = times;
    return 0;
}

int rung_measure(const struct ladder_spec *spec, rung_block *block, void *context, uint64_t times,
                 struct sample *sample, struct muster_error *ret_error)
{
    uint64_t began_ns = clock_now_ns(), taken_ns;
    int code;

    if (times == RUNG_BY_TIME && (code = calibrate(spec, block, context, &times, ret_error)) != 0)
        return code;
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (round >= ROUNDS_MIN && clock_now_ns() - began_ns > RUNG_NS)
            break;
        if ((code = check_interrupt(spec, ret_error)) != 0 ||
            (code = block(context, times, &taken_ns, ret_error)) != 0)
            return code;
        sample_add(sample, (double)taken_ns / (double)times);
    }
    return 0;
}

/* Whether the rung is slower than the one before it by the nature of the machine. */
static bool is_ordered(enum ladder_rung rung)
{
    return rung == LADDER_L1 || rung == LADDER_L2 || rung == LADDER_L3 || rung == LADDER_RAM;
}

static void mark_disorder(struct ladder_report *report)
{
    struct ladder_figure *below = &report->figures[LADDER_REGISTER];

    for (size_t i = LADDER_L1; i < LADDER_RUNGS; i++) {
        struct ladder_figure *figure = &report->figures[i];

        if (!figure->measured || !is_ordered(figure->rung))
            continue;
        if (figure->value_ns < ORDERED * below->value_ns)
            figure->noisy = below->noisy = true;
        below = figure;
    }
}

static void write_sentence(struct ladder_report *report)
{
    char *text = report->sentence;
    size_t size = sizeof report->sentence, used, noisy = 0;

    used = (size_t)snprintf(text, size, "A cycle lasts %.3g ns (%.2f GHz, by adds that wait for each other).",
                            report->cycle_ns, 1 / report->cycle_ns);
    for (size_t i = 0; i < LADDER_RUNGS && used < size; i++) {
        if (!report->figures[i].noisy)
            continue;
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s",
                             noisy++ ? "; " : " Too noisy to tell: ", ladder_name(report->figures[i].rung));
    }
    if (noisy > 0 && used < size)
        snprintf(text + used, size - used, ". Run it again when the machine has less to do.");
}

void ladder_judge(struct ladder_report *report)
{
    mark_disorder(report);
    for (size_t i = 0; i < LADDER_RUNGS; i++) {
        struct ladder_figure *figure = &report->figures[i];

        if (!figure->measured)
            continue;
        figure->scaled_s = figure->value_ns / report->cycle_ns;
        scale_write(figure->scaled_s, figure->scaled);
    }
    write_sentence(report);
}

/* One rung; that it cannot be measured is no error. */
static int run_rung(const struct ladder_spec *spec, rung_run *run, struct ladder_figure *figure,
                    struct muster_error *ret_error)
{
    struct sample sample = {.count = 0};
    struct sample_summary summary;
    int code;

    if (spec->on_rung)
        spec->on_rung(spec->context, figure->rung);
    code = run(spec, figure, &sample, ret_error);
    if (code == MUSTER_ECANCELLED || (code && figure->rung == LADDER_REGISTER))
        return code;
    if (code) {
        snprintf(figure->note, sizeof figure->note, "%.*s", LADDER_NOTE_BYTES - 1, ret_error->text);
        return 0;
    }
    summary = sample_summarize(&sample);
    figure->measured = true;
    figure->noisy = summary.noisy;
    figure->value_ns = summary.median;
    figure->low_ns = summary.low;
    figure->high_ns = summary.high;
    return 0;
}

int ladder_run(const struct ladder_spec *spec, struct ladder_report *ret_report,
               struct muster_error *ret_error)
{
    static rung_run *const runs[LADDER_RUNGS] = {
        [LADDER_REGISTER] = rung_register,
        [LADDER_L1] = rung_l1,
        [LADDER_L2] = rung_l2,
        [LADDER_L3] = rung_l3,
        [LADDER_RAM] = rung_ram,
        [LADDER_RAM_PAGES] = rung_ram_pages,
        [LADDER_SWITCH] = rung_switch,
        [LADDER_MUTEX] = rung_mutex,
        [LADDER_PIPE] = rung_pipe,
        [LADDER_HOP_INPROC] = rung_hop_inproc,
        [LADDER_HOP_IPC] = rung_hop_ipc,
        [LADDER_DISK_READ] = rung_disk_read,
        [LADDER_FSYNC] = rung_fsync,
        [LADDER_SPAWN] = rung_spawn,
    };
    struct ladder_report report = {.cycle_ns = 0};
    struct ladder_spec known = *spec;
    struct muster_error error;
    int code;

    caches_read(CACHES_FOLDER, &known.caches);
    for (int i = 0; i < LADDER_RUNGS; i++) {
        report.figures[i].rung = (enum ladder_rung)i;
        if ((code = run_rung(&known, runs[i], &report.figures[i], &error)) != 0)
            return muster_error_set(ret_error, code, "%s", error.text);
    }
    report.cycle_ns = report.figures[LADDER_REGISTER].value_ns;
    ladder_judge(&report);
    *ret_report = report;
    return 0;
}
