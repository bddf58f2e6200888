/* SPDX-License-Identifier: MIT
 *
 * Numbers with units as they stand on a command line. The whole text must be one; 0, or
 * MUSTER_EINVALID with what was expected instead.
 */
#ifndef MUSTER_CLI_QUANTITY_H
#define MUSTER_CLI_QUANTITY_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

/* A whole number in decimal digits. */
int quantity_integer(const char *text, uint64_t least, uint64_t most, uint64_t *ret_number,
                     struct muster_error *ret_error);

/* Seconds, fractions allowed: "2", "0.5", "1e-3". */
int quantity_seconds(const char *text, double least, double most, double *ret_seconds,
                     struct muster_error *ret_error);

/* Seconds above 0 with units or without: "2", "0.5", "1m30s", "2h", "1d2h3.5m4s". */
int quantity_duration(const char *text, double most, double *ret_seconds, struct muster_error *ret_error);

/* Bytes: a whole number, in powers of 1024 with k, M, G or T behind it. */
int quantity_size(const char *text, uint64_t *ret_bytes, struct muster_error *ret_error);

/* Workers: "4", or "50%" of `cores`, at least one. */
int quantity_workers(const char *text, unsigned cores, unsigned most, unsigned *ret_workers,
                     struct muster_error *ret_error);

/* When to end a batch early, as GNU parallel writes it: "never", "soon,fail=3" or
 * "now,fail=1". never is 0 failures. */
int quantity_halt(const char *text, uint64_t *ret_failures, bool *ret_now, struct muster_error *ret_error);

#endif
