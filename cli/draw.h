/* SPDX-License-Identifier: MIT
 *
 * Timelines as lines of text: a line a lane, time from left to right, the same scale for all
 * models.
 */
#ifndef MUSTER_CLI_DRAW_H
#define MUSTER_CLI_DRAW_H

#include "cli/output.h"
#include "lab/compare.h"

struct draw_style {
    size_t width;  /* columns of a line */
    bool utf8;     /* block characters; else ASCII */
    bool coloured; /* ANSI colours */
};

/* What suits whoever reads `fd`: as wide as COLUMNS or the terminal say, else 80; in the
 * characters of the locale; coloured on a terminal, unless NO_COLOR is set. */
struct draw_style draw_style_of(int fd);

/* Draws the timelines of all rows. 0 or MUSTER_ENOMEM. */
int draw_timelines(const struct compare_report *report, const struct draw_style *style,
                   struct output *output);

#endif
