/* SPDX-License-Identifier: MIT
 *
 * Text with escapes as `-d`, `--tagstring` and their like take it: \n \t \r, \0 to \7, \000 to
 * \377 and \x00 to \xff; any other backslash is a backslash.
 */
#ifndef MUSTER_CLI_ESCAPES_H
#define MUSTER_CLI_ESCAPES_H

#include <stddef.h>

/* Writes what `text` stands for into ret_bytes, which has room for strlen(text) bytes and a
 * NUL behind them, and may be `text` itself. Returns how many bytes it is without that NUL. */
size_t escapes_read(const char *text, char *ret_bytes);

#endif
