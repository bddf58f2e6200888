/* SPDX-License-Identifier: MIT
 *
 * One line on standard error that says how far the batch is, rewritten in place: only on a
 * terminal, only for work longer than a second, at most ten times a second. When it was
 * asked for and standard error is no terminal, a line of its own every second.
 */
#ifndef MUSTER_CLI_PROGRESS_H
#define MUSTER_CLI_PROGRESS_H

#include "client/muster.h"

enum progress_wish { PROGRESS_AUTOMATIC, PROGRESS_ALWAYS, PROGRESS_NEVER };

struct progress {
    int fd; /* borrowed */
    bool enabled, terminal;
    bool visible;      /* the line stands on the terminal */
    bool bar;          /* with a bar, on a terminal; the user's to set, as */
    double left_s;     /* what is left; negative: told by the rate so far */
    uint64_t after_ns; /* elapsed time before which nothing is shown */
};

void progress_init(struct progress *progress, int fd, enum progress_wish wish);

/* Shows how far the batch is, when it is time to. */
void progress_show(struct progress *progress, const struct muster_progress *now);

/* Shows another text in the line's place, at once. */
void progress_note(struct progress *progress, const char *text);

/* Takes the line away: before anything else is written to the terminal, and at the end. */
void progress_hide(struct progress *progress);

enum { PROGRESS_TEXT_BYTES = 256 };

/* "1,234/10,000 done, 2 failed, 4,321/s, ETA 12 s"; where that is wider, without the rate. left_s: as above.
 */
void progress_format(const struct muster_progress *now, double left_s, size_t width,
                     char text[PROGRESS_TEXT_BYTES]);

/* Puts "[###   ] " in front of the text, as wide as there is room for; nothing where that is too little. */
void progress_bar(const struct muster_progress *now, size_t width, char text[PROGRESS_TEXT_BYTES]);

#endif
