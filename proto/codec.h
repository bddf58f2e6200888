/* SPDX-License-Identifier: MIT
 *
 * Messages to bytes and back. A header frame is one msgpack array: the type, then the
 * fields in the order of the struct (proto/PROTOCOL.md). Decoding scans first, checks every
 * field's type and range, and refuses trailing bytes; nothing a peer sends reaches an
 * assertion or an unbounded allocation. Encoding and decoding are exact inverses; the golden
 * vectors in proto/golden pin the bytes.
 */
#ifndef MUSTER_PROTO_CODEC_H
#define MUSTER_PROTO_CODEC_H

#include "base/error.h"
#include "proto/messages.h"

#include <msgpack.h>

/* Appends the header frame of *message to *buffer. 0; MUSTER_ENOMEM; MUSTER_EINVALID for a
 * struct that would not decode, which is a bug of the caller. After a failure the buffer's
 * size is what it was. Texts longer than PROTO_TEXT_MAX are cut, and the texts of failures so
 * that all fit into a header. The payload is not touched. */
int proto_encode(const struct proto_message *message, msgpack_sbuffer *buffer);

/* Decodes a header frame. `bytes` and `zone` must outlive the message, which borrows from
 * them. ret_message->payload is left empty. 0, MUSTER_EPROTOCOL, MUSTER_ELIMIT or
 * MUSTER_ENOMEM. */
int proto_decode(const void *bytes, size_t size, msgpack_zone *zone, struct proto_message *ret_message,
                 struct muster_error *ret_error);

/* Whether this message carries a payload frame, be it empty (CHUNK: only of kind LIST). */
bool proto_has_payload(const struct proto_message *message);

/* Checks that message->payload holds exactly the values its header promises, within the
 * limits of values; a message without a payload must have none. 0, MUSTER_EPROTOCOL or
 * MUSTER_ELIMIT. Call once, at the boundary; what passed can be sliced and unpacked. */
int proto_check_payload(const struct proto_message *message, struct muster_error *ret_error);

/* How many values the payload of an outcome has. */
uint32_t proto_outcome_values(const struct proto_outcome *outcome);

/* What the message counts in grants and windows: its payload's size, the texts of failures,
 * and what it takes to keep them; of RESULTS, the bytes in shared memory too. */
uint64_t proto_cost(const struct proto_message *message);

/* "HELLO" and so on; "?" for a number that is no type. */
const char *proto_type_name(int type);

/* A text message field from a C string, cut at PROTO_TEXT_MAX. Borrowed. */
struct proto_text proto_text(const char *string);

#endif
