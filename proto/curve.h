/* SPDX-License-Identifier: MIT
 *
 * Keys of CURVE, the Curve25519 key pairs that connections over tcp are encrypted and told apart by.
 * As text a key is 64 hexadecimal digits, which no shell and no URL takes for anything else.
 */
#ifndef MUSTER_PROTO_CURVE_H
#define MUSTER_PROTO_CURVE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CURVE_KEY_BYTES = 32, CURVE_TEXT_BYTES = 2 * CURVE_KEY_BYTES + 1 };

struct curve_key {
    uint8_t bytes[CURVE_KEY_BYTES];
};

void curve_write(const struct curve_key *key, char ret_text[CURVE_TEXT_BYTES]);

/* Returns whether the text, of `size` bytes, is a key. */
bool curve_read(const char *text, size_t size, struct curve_key *ret_key);

bool curve_equal(const struct curve_key *a, const struct curve_key *b);

/* A new secret key; and the public key of one. 0 or MUSTER_ESYSTEM: this libzmq has no CURVE. */
int curve_make(struct curve_key *ret_secret, struct muster_error *ret_error);
int curve_public(const struct curve_key *secret, struct curve_key *ret_public,
                 struct muster_error *ret_error);

#endif
