/* SPDX-License-Identifier: MIT
 *
 * A few of many arguments, evenly spread over all of them, each with memory of its own.
 */
#ifndef MUSTER_CLI_SAMPLES_H
#define MUSTER_CLI_SAMPLES_H

#include "client/muster.h"

enum { SAMPLES_MAX = 64 };

struct samples {
    msgpack_object values[SAMPLES_MAX];
    msgpack_zone *zones[SAMPLES_MAX]; /* owned; NULL where the value needs none */
    size_t count;
    uint64_t total; /* arguments that the source has */
};

/* Takes samples of a source that never has to be waited for: all of its arguments where they are
 * SAMPLES_MAX at most, else more than a quarter as many, evenly spread. 0, or the source's error. */
int samples_take(struct samples *samples, const struct muster_source *source, struct muster_error *ret_error);

void samples_fini(struct samples *samples);

#endif
