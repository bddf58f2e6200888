/* SPDX-License-Identifier: MIT
 *
 * How an advice is shown: as text, and as a JSON document.
 */
#ifndef MUSTER_CLI_ADVISE_REPORT_H
#define MUSTER_CLI_ADVISE_REPORT_H

#include "cli/output.h"
#include "lab/advise.h"

/* What was measured, what to do and why. 0 or MUSTER_ENOMEM. */
int advise_report_text(const struct advise_report *report, const char *function, struct output *output);

/* Everything; the caller owns the reference. NULL: out of memory. */
json_t *advise_report_document(const struct advise_report *report, const char *function);

#endif
