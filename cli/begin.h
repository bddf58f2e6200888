/* SPDX-License-Identifier: MIT
 *
 * A point in time as people write it who know `at` and `sbatch --begin`: "now+10m", "+90s", "15:30",
 * "2026-11-23T08:00". Local time, where no zone is given.
 */
#ifndef MUSTER_CLI_BEGIN_H
#define MUSTER_CLI_BEGIN_H

#include "base/error.h"

#include <stdint.h>

/* Milliseconds since 1970, for somebody to whom it is now `now_ms`. 0: at once, which
 * is any date that is over; a time of day that is over is tomorrow's. MUSTER_EINVALID with what was
 * expected. */
int begin_read(const char *text, int64_t now_ms, uint64_t *ret_ms, struct muster_error *ret_error);

#endif
