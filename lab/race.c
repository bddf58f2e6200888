/* SPDX-License-Identifier: MIT
 *
 * The variants of the race in turn, and what they showed. See race.h.
 */
#include "lab/race.h"

#include <inttypes.h>
#include <stdio.h>

const char *race_variant_name(enum race_variant variant)
{
    switch (variant) {
#define X(name, word) \
    case RACE_##name: \
        return word;
        RACE_VARIANT_MAP(X)
#undef X
    }
    return "";
}

/* What the processes showed; the rest of the sentence stands before it. */
static void judge_processes(const struct race_row *row, const char *without, char *text, size_t size)
{
    if (without) {
        snprintf(text, size, "The processes were left out: %s.", without);
        return;
    }
    snprintf(
        text, size,
        "Processes share nothing to race on: each decided on a copy, and the account's one owner carried "
        "a decision out only while that copy was true; %" PRIu64 " of %" PRIu64
        " came too late for that and were asked for again.",
        row->stale, 2 * row->rounds + row->stale);
}

void race_judge(struct race_report *report, const char *without, unsigned cores)
{
    const struct race_row *open = &report->rows[RACE_UNPROTECTED];
    char processes[RACE_SENTENCE_BYTES / 2];

    judge_processes(&report->rows[RACE_PROCESSES], without, processes, sizeof processes);
    if (open->overdrawn > 0)
        snprintf(report->sentence, sizeof report->sentence,
                 "Unprotected threads paid both withdrawals in %" PRIu64 " of %" PRIu64
                 " rounds: one thread's check came between the check and the act of the other. A mutex, or "
                 "one compare-and-swap, makes check and act a single step. %s",
                 open->overdrawn, open->rounds, processes);
    else
        snprintf(report->sentence, sizeof report->sentence,
                 "No unprotected thread was seen to overdraw in %" PRIu64
                 " rounds, which proves nothing: %s. %s",
                 open->rounds,
                 cores > 1 ? "more --rounds, or a machine with less to do, may show it"
                           : "on the one core that there is threads hardly ever meet",
                 processes);
}

void race_count(struct race_row *row, int64_t balance, unsigned paid)
{
    int64_t left = RACE_BALANCE - (int64_t)paid * RACE_AMOUNT;

    row->overdrawn += left < 0;
    row->miscounted += balance != left;
    if (left < row->lowest_balance)
        row->lowest_balance = left;
}

/* One variant. */
static int run_variant(const struct race_spec *spec, enum race_variant variant, struct race_row *ret_row,
                       struct muster_error *ret_error)
{
    struct race_row row = {.variant = variant, .rounds = spec->rounds, .lowest_balance = RACE_BALANCE};
    int code;

    if (variant == RACE_PROCESSES && !spec->workers) {
        row.rounds = 0;
        *ret_row = row;
        return 0;
    }
    if (spec->on_variant)
        spec->on_variant(spec->context, variant);
    if (variant == RACE_PROCESSES)
        row.rounds = (spec->rounds + RACE_ROUNDS_PER_MESSAGES - 1) / RACE_ROUNDS_PER_MESSAGES;
    code = variant == RACE_PROCESSES ? race_in_processes(spec, &row, ret_error)
                                     : race_in_threads(spec, &row, ret_error);
    if (code)
        return code;
    if (variant != RACE_UNPROTECTED && row.overdrawn + row.miscounted > 0)
        return muster_error_set(ret_error, MUSTER_ESTATE,
                                "race: the account of '%s' was overdrawn, or miscounted, in %" PRIu64
                                " of %" PRIu64 " rounds, though it is protected; this is a bug of muster",
                                race_variant_name(variant), row.overdrawn + row.miscounted, row.rounds);
    *ret_row = row;
    return 0;
}

int race_run(const struct race_spec *spec, struct race_report *ret_report, struct muster_error *ret_error)
{
    struct race_report report;
    int code = 0;

    for (int i = 0; i < RACE_VARIANTS && !code; i++)
        code = run_variant(spec, (enum race_variant)i, &report.rows[i], ret_error);
    if (code)
        return code;
    race_judge(&report, spec->workers ? NULL : spec->without, muster_cores());
    *ret_report = report;
    return 0;
}
