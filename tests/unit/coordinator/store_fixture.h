/* SPDX-License-Identifier: MIT
 *
 * What the tests of the store share: a folder of their own, and a request that is waited for.
 */
#ifndef MUSTER_TESTS_STORE_FIXTURE_H
#define MUSTER_TESTS_STORE_FIXTURE_H

#include "coordinator/store.h"
#include "tests/support/check.h"

/* A path in this test's folder, which goes when the program ends. Valid until the next but 7. */
const char *fixture_path(const char *name);

struct store *fixture_open(const char *path);

/* Opening it fails with the code, and a text with these words. */
void fixture_refuses(const char *path, int code, const char *words);

/* The next completion, waited for. The caller frees it. */
struct store_done *fixture_done(struct store *store);

/* Submits and waits. */
struct store_done *fixture_ask(struct store *store, const struct store_request *request);

/* The same, for the code alone. A failure has a text. */
int fixture_code(struct store *store, const struct store_request *request);

struct proto_text fixture_text(const char *text);

/* A slice of a new blob, which the caller drops with fixture_drop when it was submitted. */
struct slice fixture_slice(const char *text);

/* A sealed batch of one job with the argument "\x01", of user "ann", function "noop". */
struct store_request fixture_single(uint64_t number, struct blob *argument);

/* A record of `count` jobs. */
struct store_request fixture_record(uint64_t batch, uint64_t first, uint32_t count, struct blob *payload);

/* STATE or END of a batch of as many jobs as it has. */
struct store_request fixture_state(enum store_operation operation, uint64_t batch, enum store_state state);

/* The state that FIND says. */
enum store_state fixture_find(struct store *store, uint64_t batch);

/* Rows of a table of the file. */
uint64_t fixture_count(const char *path, const char *table);

/* All bytes of the file, which the caller frees, and a file of these bytes. */
uint8_t *fixture_read(const char *path, size_t *ret_size);
void fixture_write(const char *path, const void *bytes, size_t size);

#endif
