/* SPDX-License-Identifier: MIT
 *
 * A store with something of each kind in it, and all of that as text, so that what is read of a file that was
 * damaged, or copied, can be compared.
 */
#ifndef MUSTER_TESTS_STORE_CONTENTS_H
#define MUSTER_TESTS_STORE_CONTENTS_H

#include "coordinator/store.h"

enum { CONTENTS_BATCHES = 40 };

/* Called after each request that changed the store; NULL for nothing. */
typedef void contents_asked(struct store *store);

/* Batches of each kind: arguments in the row, in rows of their own, and a range; names, conditions, failures;
 * in all states that can be told apart; and some that were forgotten, whose pages are free. */
void contents_fill(struct store *store, contents_asked *asked);

/* In a new file. */
void contents_make(const char *path);

/* Further ones, small and alike, of these numbers. */
void contents_add(struct store *store, uint64_t from, uint64_t to, contents_asked *asked);

/* Everything that can be asked for; NULL when some of it was refused. The caller frees it. */
char *contents_describe(struct store *store);

/* The first of its batches as listed. The caller frees it. */
char *contents_list(struct store *store);

/* What contents_describe() says of a file, or that it is refused: NULL. */
char *contents_of_file(const char *path);

#endif
