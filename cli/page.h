/* SPDX-License-Identifier: MIT
 *
 * A report as a page for a browser: one file that draws itself and needs no network. It is
 * page.html with the scripts for this kind of report (CMakeLists.txt), which are part of this
 * program, and with the report inside as JSON.
 */
#ifndef MUSTER_CLI_PAGE_H
#define MUSTER_CLI_PAGE_H

#include "base/error.h"

#include <jansson.h>
#include <msgpack.h>

enum { PAGE_COMMAND_BYTES = 4096 };

enum page { PAGE_COMPARE, PAGE_BENCH };

/* The command line as a shell would read it, cut where it is long. */
void page_command(int argc, char *const *argv, char text[PAGE_COMMAND_BYTES]);

/* How and where the report came to be: {"command", "date", "version", "machine", "cores",
 * "memory_bytes", "kernel"}; NULL when out of memory. The caller owns the reference. */
json_t *page_facts(const char *command);

/* Appends the page around a report, which is borrowed. No text in it can end the JSON early or
 * be read as markup. 0 or MUSTER_ENOMEM. */
int page_write(enum page page, const json_t *report, msgpack_sbuffer *buffer);

/* Adds the facts to a report, which is taken (NULL: there was no memory for it), and saves the page
 * (save.h). 0, MUSTER_ENOMEM or MUSTER_ESYSTEM. */
int page_save(enum page page, json_t *report, const char *command, const char *path,
              struct muster_error *ret_error);

#endif
