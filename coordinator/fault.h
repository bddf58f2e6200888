/* SPDX-License-Identifier: MIT
 *
 * Where a worker crashed, in words, from what its signal handler left in the flight recorder
 * (proto/flight.h). Nothing in there is trusted: it may be the crash that wrote it.
 */
#ifndef MUSTER_COORDINATOR_FAULT_H
#define MUSTER_COORDINATOR_FAULT_H

#include "proto/flight.h"

#include <stdbool.h>
#include <stddef.h>

/* Whose code can be looked up by name, beside the libraries that this process has. Borrowed. */
struct fault_files {
    const char *program; /* of the workers */
    const char *const *plugins;
    unsigned plugin_count;
};

enum { FAULT_TEXT_BYTES = 480 };

/* ", at address 0x0, in crash (faulty.c:12) < run_job (execute.c:200)"; "" when nothing is known of it. */
void fault_describe(const struct flight_page *page, const struct fault_files *files,
                    char ret_text[FAULT_TEXT_BYTES]);

/* --- of fault_symbols.c */

struct fault_symbols; /* the files of one stack */

/* NULL: names cannot be had. */
struct fault_symbols *fault_symbols_create(void);
void fault_symbols_destroy(struct fault_symbols *symbols);

/* "crash (faulty.c:12)" of a virtual address in a file; false: not known. */
bool fault_symbols_find(struct fault_symbols *symbols, const char *file, uint64_t address, char *ret_text,
                        size_t size);

#endif
