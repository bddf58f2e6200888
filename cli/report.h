/* SPDX-License-Identifier: MIT
 *
 * What muster compare and muster bench show of what they measured: as text for a terminal and as
 * JSON documents.
 */
#ifndef MUSTER_CLI_REPORT_H
#define MUSTER_CLI_REPORT_H

#include "cli/output.h"
#include "lab/bench.h"
#include "lab/compare.h"
#include "lab/ladder.h"

/* The table and the sentence. 0 or MUSTER_ENOMEM. */
int report_table(const struct compare_report *report, const char *function, unsigned rounds,
                 struct output *output);

/* All that is in the report; NULL when out of memory. The caller owns the reference. */
json_t *report_document(const struct compare_report *report, const char *function, unsigned rounds);

/* The same two of muster bench's measurements, and of its ladder. */
int report_bench_table(const struct bench_report *report, struct output *output);
json_t *report_bench_document(const struct bench_report *report);
int report_ladder_table(const struct ladder_report *report, struct output *output);
json_t *report_ladder_document(const struct ladder_report *report);

#endif
