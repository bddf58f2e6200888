/* SPDX-License-Identifier: MIT
 *
 * A comparison as a page for a browser: one file that draws itself and needs no network. It is
 * page.html, which is part of this program, with the report inside as JSON.
 */
#ifndef MUSTER_CLI_PAGE_H
#define MUSTER_CLI_PAGE_H

#include "base/error.h"

#include <jansson.h>
#include <msgpack.h>

enum { PAGE_COMMAND_BYTES = 4096 };

/* The command line as a shell would read it, cut where it is long. */
void page_command(int argc, char *const *argv, char text[PAGE_COMMAND_BYTES]);

/* How and where the report came to be: {"command", "date", "version", "machine", "kernel"}; NULL
 * when out of memory. The caller owns the reference. */
json_t *page_facts(const char *command);

/* Appends the page around a report, which is borrowed. No text in it can end the JSON early or
 * be read as markup. 0 or MUSTER_ENOMEM. */
int page_write(const json_t *report, msgpack_sbuffer *buffer);

#endif
