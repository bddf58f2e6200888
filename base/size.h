/* SPDX-License-Identifier: MIT
 *
 * Numbers of bytes as people read them.
 */
#ifndef MUSTER_BASE_SIZE_H
#define MUSTER_BASE_SIZE_H

#include <stdint.h>

enum { SIZE_TEXT_BYTES = 24 };

/* "512 bytes", "64 KiB", "1.5 GiB": four digits at most, in the largest unit of which there is one. */
const char *size_text(uint64_t bytes, char ret_text[SIZE_TEXT_BYTES]);

#endif
