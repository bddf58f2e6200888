/* SPDX-License-Identifier: MIT
 *
 * What the tests of questions and orders to the ledger have in common: a world with the client "a", what it
 * says, and what the maps of the answers hold.
 */
#ifndef MUSTER_TESTS_UNIT_COORDINATOR_REQUESTS_FIXTURE_H
#define MUSTER_TESTS_UNIT_COORDINATOR_REQUESTS_FIXTURE_H

#include "tests/support/ledger_steps.h"

extern msgpack_zone answer_zone; /* of the last answer */

/* In the third life of a coordinator, of the client's user "ann". */
void open_world(unsigned workers);
void close_world(void);

/* Batches that stay when they are read, which nobody reads: of the arguments 1..last, or of a list. */
struct proto_message held_range(uint64_t ticket, int64_t last);
struct proto_message held_list(uint64_t ticket);

/* The number of the batch, which is accepted. */
uint64_t submit(const struct proto_message *message);
uint64_t accept_range(int64_t last);

void ask(enum proto_operation operation, uint64_t batch, uint64_t number, const char *text);

/* The next answer: whatever it is; one of this code, without a value; a value of this type. */
struct proto_answer take_answer(msgpack_object *ret_value);
void check_code(int code);
msgpack_object told(msgpack_object_type type);

/* What a map has under the key, which is there. */
const msgpack_object *find(const msgpack_object *map, const char *key);
uint64_t count_of(const msgpack_object *map, const char *key);
bool is_text(const msgpack_object *value, const char *text);

/* The map of a batch, or of the coordinator (0). */
msgpack_object status_of(uint64_t batch);
void check_jobs(uint64_t batch, const char *state, uint64_t succeeded, uint64_t failed, uint64_t cancelled);

#endif
