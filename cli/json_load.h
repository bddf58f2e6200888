/* SPDX-License-Identifier: MIT
 *
 * JSON that is read whole or not at all. jansson (2.14) leaves characters out of a text, and says that it is
 * well, where memory runs out as it reads; so whoever reads JSON does it here.
 */
#ifndef MUSTER_CLI_JSON_LOAD_H
#define MUSTER_CLI_JSON_LOAD_H

#include <jansson.h>

/* As json_loadb. Out of memory: NULL, and the error's code is json_error_out_of_memory. */
json_t *json_load_text(const char *text, size_t size, size_t flags, json_error_t *ret_why);

#endif
