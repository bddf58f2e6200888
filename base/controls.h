/* SPDX-License-Identifier: MIT
 *
 * Control characters: what has a terminal do, or a line be, something else than the text says. They are
 * U+0000 to U+001F, U+007F, and U+0080 to U+009F, which are two bytes of UTF-8; no other character has these
 * bytes in it.
 */
#ifndef MUSTER_BASE_CONTROLS_H
#define MUSTER_BASE_CONTROLS_H

#include <stdbool.h>
#include <stddef.h>

/* How many bytes the control character takes that the text begins with; 0: it begins with none. */
size_t controls_at(const char *bytes, size_t size);

/* Whether there is one. */
bool controls_in(const char *bytes, size_t size);

/* Makes a '?' of each. Returns how many bytes it takes then. */
size_t controls_hide(char *bytes, size_t size);

/* The same for a string. */
void controls_hide_string(char *text);

#endif
