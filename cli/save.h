/* SPDX-License-Identifier: MIT
 *
 * Files that are there completely or not at all: written beside their place, and renamed. What
 * is no regular file, a pipe or a terminal, is written to as it is.
 */
#ifndef MUSTER_CLI_SAVE_H
#define MUSTER_CLI_SAVE_H

#include "base/error.h"

#include <stddef.h>

/* Whether a file could be saved there, before the work for it is done. Leaves nothing behind.
 * 0 or MUSTER_ESYSTEM. */
int save_check(const char *path, struct muster_error *ret_error);

/* 0, or MUSTER_ESYSTEM; then what was at `path` is unchanged. */
int save_file(const char *path, const char *bytes, size_t size, struct muster_error *ret_error);

#endif
