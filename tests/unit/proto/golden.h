/* SPDX-License-Identifier: MIT
 *
 * The golden vectors of proto/golden, read from their text form, and what they are to decode to.
 */
#ifndef MUSTER_TESTS_UNIT_PROTO_GOLDEN_H
#define MUSTER_TESTS_UNIT_PROTO_GOLDEN_H

#include "proto/messages.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GOLDEN_FRAME_BYTES_MAX = 1024 };

struct golden_frame {
    uint8_t bytes[GOLDEN_FRAME_BYTES_MAX];
    size_t size;
};

struct golden {
    struct golden_frame header, payload;
    bool has_payload;
};

/* Reads proto/golden/NAME.hex; false when it is not in the form that PROTOCOL.md says. */
bool golden_read(const char *name, struct golden *ret_golden);

struct vector {
    const char *name;
    struct proto_message message;
};

extern const struct vector vectors[];
extern const size_t vector_count;

/* That all fields of both messages are the same; `name` is that of the vector. */
void assert_same(const char *name, const struct proto_message *a, const struct proto_message *b);

#endif
