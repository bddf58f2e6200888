/* SPDX-License-Identifier: MIT
 *
 * What the input sources of `muster exec` hand to its command template: a row is the
 * arguments of one job. A word may hold any byte, NUL too, and need not end with one.
 */
#ifndef MUSTER_CLI_ROW_H
#define MUSTER_CLI_ROW_H

#include <stddef.h>

struct word {
    const char *bytes;
    size_t size;
};

struct row {
    const struct word *args; /* {1} is args[0] */
    size_t count;
};

#endif
