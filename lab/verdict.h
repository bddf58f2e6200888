/* SPDX-License-Identifier: MIT
 *
 * What a comparison found, in one sentence of plain words.
 */
#ifndef MUSTER_LAB_VERDICT_H
#define MUSTER_LAB_VERDICT_H

#include "lab/compare.h"

/* Writes report->sentence from all else in the report. Pure. */
void verdict_write(struct compare_report *report);

#endif
