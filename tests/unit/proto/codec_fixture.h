/* SPDX-License-Identifier: MIT
 *
 * What the tests of the codec have in common. Headers are written as JSON arrays and packed as msgpack, so
 * that a table can hold a wrong field each.
 */
#ifndef MUSTER_TESTS_UNIT_PROTO_CODEC_FIXTURE_H
#define MUSTER_TESTS_UNIT_PROTO_CODEC_FIXTURE_H

#include "base/error.h"
#include "proto/codec.h"

#include <msgpack.h>

/* Of each test between codec_set_up and codec_tear_down: for what is encoded, for what is decoded, and why
 * the last was refused. */
extern msgpack_sbuffer encoded;
extern msgpack_zone decode_zone;
extern struct muster_error refusal;

void codec_set_up(void);
void codec_tear_down(void);

/* Of a header, in bytes and as JSON: what proto_decode returns. */
int decode_bytes(const void *bytes, size_t size, struct proto_message *ret_message);
int decode(const char *text, struct proto_message *ret_message);

/* A header and the field it must be refused for. */
struct wrong {
    const char *header, *field;
};

void assert_refused(const struct wrong *cases, size_t count);
void assert_accepted(const char *const *headers, size_t count);

/* What proto_check_payload says of the message with these bytes. */
int check_payload(const struct proto_message *message, const void *bytes, size_t size);

#define COUNT(array) (sizeof(array) / sizeof *(array))

#endif
