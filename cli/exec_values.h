/* SPDX-License-Identifier: MIT
 *
 * The values of `muster exec` options, as GNU parallel 20221122 writes them. Each is 0, or
 * MUSTER_EINVALID with what was expected.
 */
#ifndef MUSTER_CLI_EXEC_VALUES_H
#define MUSTER_CLI_EXEC_VALUES_H

#include "base/error.h"

#include <stddef.h>

/* -j: "4", "+1", "-1", "150%", or 0 for many; at least one. Or the name of a file that holds one of these. */
int exec_value_jobs(const char *text, unsigned *ret_jobs, struct muster_error *ret_error);

/* Seconds, or "1d2h3.5m4s": fractions allowed. Above 0. */
int exec_value_duration(const char *text, double *ret_seconds, struct muster_error *ret_error);

/* Bytes: 512, 1.5M; k, m, g, t, p are powers of 1000, K, M, G, T, P of 1024. 1 or more. */
int exec_value_size(const char *text, size_t *ret_bytes, struct muster_error *ret_error);

/* --delay: as exec_value_duration, or 0. */
int exec_value_delay(const char *text, double *ret_seconds, struct muster_error *ret_error);

/* --timeout: as exec_value_duration, or "200%" of the median run time; the other one is 0 then. */
int exec_value_timeout(const char *text, double *ret_seconds, unsigned *ret_percent,
                       struct muster_error *ret_error);

/* --load: as -j, but at 0 nothing else may run: 1. */
int exec_value_load(const char *text, unsigned *ret_load, struct muster_error *ret_error);

/* 1 or more, with units as sizes have them. */
int exec_value_count(const char *text, size_t *ret_count, struct muster_error *ret_error);

/* 0 to 19. */
int exec_value_nice(const char *text, int *ret_nice, struct muster_error *ret_error);

#endif
