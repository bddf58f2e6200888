/* SPDX-License-Identifier: MIT
 *
 * Text to values: JSON where it parses as JSON, a string where it does not. What is JSON but
 * no value of muster (an integer beyond 64 bits, too deep a nesting) is an error, never
 * quietly a string.
 */
#ifndef MUSTER_CLI_JSON_READ_H
#define MUSTER_CLI_JSON_READ_H

#include "base/error.h"

#include <msgpack.h>
#include <stdbool.h>

/* Reads one argument. A value that is not JSON is a string that points at `text` itself;
 * everything else lives in `zone`. 0, MUSTER_ELIMIT, MUSTER_EINVALID or MUSTER_ENOMEM. */
int json_read(const char *text, size_t size, msgpack_zone *zone, msgpack_object *ret_value,
              struct muster_error *ret_error);

/* The integer as a value. */
void json_read_integer(int64_t number, msgpack_object *ret_value);

#endif
