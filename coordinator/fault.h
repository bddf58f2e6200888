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
    int program_fd;      /* muster, to look names up; -1: they are not */
    const char *const *plugins;
    unsigned plugin_count;
    /* Called ten times a second while names are waited for; NULL: nothing is. */
    void (*meanwhile)(void *context);
    void *context;
};

enum { FAULT_TEXT_BYTES = 480, FAULT_FRAME_BYTES = 160 };

/* ", at address 0x0, in crash (faulty.c:12) < run_job (execute.c:200)"; "" when nothing is known of it. False
 * when names took too long to be had, and are missing: they will again. */
bool fault_describe(const struct flight_page *page, const struct fault_files *files,
                    char ret_text[FAULT_TEXT_BYTES]);

/* --- of fault_names.c */

/* A virtual address in a file; NULL: in none. Borrowed. */
struct fault_place {
    const char *file;
    uint64_t address;
};

/* Has the program say what is there: "crash (faulty.c:12)"; "" where that is not known. FLIGHT_FRAMES_MAX
 * places at most. False as fault_describe. */
bool fault_names(const struct fault_files *files, const struct fault_place *places, size_t count,
                 char (*ret_names)[FAULT_FRAME_BYTES]);

/* --- of fault_symbols.c */

/* Answers the questions that fault_names has written to standard input, confined. Returns the exit status of
 * the process, which does nothing else. */
int fault_symbols_answer(void);

#endif
