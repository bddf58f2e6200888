/* SPDX-License-Identifier: MIT
 *
 * Plain words: sentences that are put together piece by piece, and numbers as people read them.
 */
#ifndef MUSTER_LAB_WORDS_H
#define MUSTER_LAB_WORDS_H

#include <stddef.h>
#include <stdint.h>

enum { WORDS_BYTES = 32 };

/* A text of so many bytes, of which `used` are filled; what does not fit is cut. */
struct words {
    char *text; /* borrowed */
    size_t size, used;
};

void words_say(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "1,234,567 jobs", "1 job" */
void words_jobs(struct words *words, uint64_t jobs);

/* Two or three digits and the unit that suits: "1.5 ms". */
void words_time(double seconds, char text[WORDS_BYTES]);

#endif
