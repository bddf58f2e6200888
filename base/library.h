/* SPDX-License-Identifier: MIT
 *
 * A shared library that is loaded when it is first needed: what most starts do not need is not linked.
 * Its symbols stay out of the way of the program's own, and it is never unloaded. Any thread; whoever
 * loads one sees to it that this happens once.
 */
#ifndef MUSTER_BASE_LIBRARY_H
#define MUSTER_BASE_LIBRARY_H

#include <stddef.h>

/* A function, and where the pointer to it stands in the caller's table of them. */
struct library_symbol {
    const char *name;
    size_t offset;
};

/* Loads `file` and fills the table. 0; MUSTER_ENOTFOUND with what the loader says; or MUSTER_EVERSION with
 * the name of what the library lacks. *ret_why lives until the thread's next call. The table may be half
 * filled after an error. */
int library_load(const char *file, const struct library_symbol *symbols, size_t count, void *table,
                 const char **ret_why);

#endif
