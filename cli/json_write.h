/* SPDX-License-Identifier: MIT
 *
 * Values to JSON text, on one line. What JSON lacks is mapped the way jq and Python users
 * would expect: binaries become base64 strings, extensions {"ext":TYPE,"data":BASE64}, NaN
 * and the infinities null, keys that are no strings their own JSON text, bytes that are not
 * UTF-8 U+FFFD. Doubles are written with as few digits as read back to the same number.
 */
#ifndef MUSTER_CLI_JSON_WRITE_H
#define MUSTER_CLI_JSON_WRITE_H

#include "base/error.h"

#include <jansson.h>
#include <msgpack.h>

/* Appends one value. 0; MUSTER_ELIMIT when it nests deeper than PROTO_DEPTH_MAX, or
 * a key of a map holds containers within a container; MUSTER_EINVALID when it is no value at all (a function
 * run in this process may have left garbage); MUSTER_ENOMEM. After a failure the buffer's size is what it
 * was. */
int json_write(const msgpack_object *value, msgpack_sbuffer *buffer);

/* Appends a string in quotes. 0 or MUSTER_ENOMEM. */
int json_write_string(const char *bytes, size_t size, msgpack_sbuffer *buffer);

/* The same in pieces, whose quotes are the caller's: characters, none of them cut, or bytes as base64, a
 * multiple of 3 of them but for the last. 0 or MUSTER_ENOMEM. */
int json_write_characters(const char *bytes, size_t size, msgpack_sbuffer *buffer);
int json_write_base64(const char *bytes, size_t size, msgpack_sbuffer *buffer);

/* How many of the bytes are UTF-8, up to the first that are not or are cut off. */
size_t json_utf8_bytes(const char *bytes, size_t size);

/* A text as a JSON string, bytes that are not UTF-8 replaced; NULL when out of memory. The caller
 * owns the reference. */
json_t *json_write_text(const char *text);

/* Appends bytes as they are. 0 or MUSTER_ENOMEM. */
static inline int json_write_raw(const char *bytes, size_t size, msgpack_sbuffer *buffer)
{
    return size == 0 || msgpack_sbuffer_write(buffer, bytes, size) == 0 ? 0 : MUSTER_ENOMEM;
}

/* Appends an integer. 0 or MUSTER_ENOMEM. */
int json_write_unsigned(uint64_t number, msgpack_sbuffer *buffer);

#endif
