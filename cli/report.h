/* SPDX-License-Identifier: MIT
 *
 * What muster compare shows of a comparison: as text for a terminal, as a JSON document, and as
 * a page for a browser.
 */
#ifndef MUSTER_CLI_REPORT_H
#define MUSTER_CLI_REPORT_H

#include "cli/output.h"
#include "lab/compare.h"

/* The table and the sentence. 0 or MUSTER_ENOMEM. */
int report_table(const struct compare_report *report, const char *function, unsigned rounds,
                 struct output *output);

/* All that is in the report; NULL when out of memory. The caller owns the reference. */
json_t *report_document(const struct compare_report *report, const char *function, unsigned rounds);

#endif
