/* SPDX-License-Identifier: MIT
 *
 * A look over encoded bytes before anything is allocated for them. msgpack-c reserves 24
 * bytes for every element a container *declares*, before it reads one; the scan refuses
 * counts that the remaining bytes cannot hold, nesting, totals and truncated values, so
 * that what passes can be given to msgpack_unpack. It allocates nothing and does not
 * recurse. Reserved type 0xc1 and everything else msgpack-c rejects is refused here too.
 */
#ifndef MUSTER_PROTO_SCAN_H
#define MUSTER_PROTO_SCAN_H

#include <stddef.h>
#include <stdint.h>

struct scan_limits {
    uint32_t depth;     /* containers inside each other; a scalar has depth 0 */
    uint64_t elements;  /* of one value: itself, and each key and value inside; at least 1 */
    size_t value_bytes; /* of one value */
};

/* PROTO_DEPTH_MAX, PROTO_ELEMENTS_MAX, PROTO_VALUE_BYTES_MAX: arguments and results. */
extern const struct scan_limits scan_value_limits;

/* The header frame of a message. */
extern const struct scan_limits scan_header_limits;

/* Scans the one value that starts at `bytes`. Returns 0 and its length in *ret_length;
 * MUSTER_EPROTOCOL when it is truncated or malformed, MUSTER_ELIMIT when it exceeds one. */
int scan_value(const struct scan_limits *limits, const uint8_t *bytes, size_t size, size_t *ret_length);

/* Scans `count` values, one after another. Returns 0 and their total length; the length may
 * be less than `size`. The common small scalars cost a few nanoseconds each. */
int scan_values(const struct scan_limits *limits, const uint8_t *bytes, size_t size, uint64_t count,
                size_t *ret_length);

/* The body of the next ext of this type behind `*offset` in values that passed the scan, and moves
 * *offset behind it. NULL when there is none. */
const uint8_t *scan_ext(const uint8_t *bytes, size_t size, int8_t type, size_t *offset, size_t *ret_length);

#endif
