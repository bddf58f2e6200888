/* SPDX-License-Identifier: MIT
 *
 * Fields of the maps that a coordinator answers with (proto/PROTOCOL.md, "Requests"), as people read
 * them. What is not there, or is not of the type that it should be, reads as nothing: 0, "", false.
 */
#ifndef MUSTER_CLI_FACTS_H
#define MUSTER_CLI_FACTS_H

#include <msgpack.h>
#include <stdbool.h>
#include <stdint.h>

/* The value of a key; NULL when `map` is no map or has no such key. */
const msgpack_object *fact_find(const msgpack_object *map, const char *key);

uint64_t fact_count(const msgpack_object *map, const char *key);
int64_t fact_integer(const msgpack_object *map, const char *key);
bool fact_flag(const msgpack_object *map, const char *key);

/* A str, which may be NULL, on one line: control characters and bytes that are not UTF-8 become '?', and what
 * does not fit is cut off between characters. Returns `text`. */
const char *fact_string(const msgpack_object *value, char *text, size_t size);
const char *fact_text(const msgpack_object *map, const char *key, char *text, size_t size);

/* A count in 7 places: 9999999 as it is, more as 12.3M, 123.4G. */
enum { FACT_BYTES = 32 };
const char *fact_short(uint64_t count, char text[FACT_BYTES]);

/* A point in time, milliseconds since 1970, in local time: 2026-11-22 17:43:22; "-" for 0. */
const char *fact_when(uint64_t ms, char text[FACT_BYTES]);

/* The same in a few places: 11-22 17:43, or 2025-11-22 where that is another year. */
const char *fact_moment(uint64_t ms, char text[FACT_BYTES]);

/* A duration: 0.25s, 12.3s, 2m05s, 3h12m, 5d02h. */
const char *fact_duration(uint64_t ms, char text[FACT_BYTES]);

#endif
