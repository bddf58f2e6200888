/* SPDX-License-Identifier: MIT
 *
 * TOML 1.0 as jansson's values, read by toml++ (toml.cc): tables are objects, and dates and times, which
 * JSON has not, the strings that they were written as in ISO 8601.
 */
#ifndef MUSTER_CLI_TOML_H
#define MUSTER_CLI_TOML_H

#include "base/error.h"

#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Told of each table: in which line it begins. */
typedef void toml_note(void *context, const json_t *table, unsigned line);

/* `name` is what errors call the text: "NAME:LINE:COLUMN: what". The caller owns *ret_value. 0,
 * MUSTER_EINVALID or MUSTER_ENOMEM. */
int toml_read(const char *name, const char *text, size_t size, toml_note *note, void *context,
              json_t **ret_value, struct muster_error *ret_error);

#ifdef __cplusplus
}
#endif

#endif
