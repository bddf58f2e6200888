/* SPDX-License-Identifier: MIT
 *
 * A growing list of byte strings, all of them in one block: eight bytes and their own for
 * each, and no allocation while the block is large enough.
 */
#ifndef MUSTER_CLI_TEXTS_H
#define MUSTER_CLI_TEXTS_H

#include "cli/row.h"

/* Zeroed, it is an empty list. */
struct texts {
    char *bytes; /* owned */
    size_t size, bytes_room;
    size_t *ends; /* owned: where each string ends */
    size_t count, ends_room;
};

/* Adds a copy. 0 or MUSTER_ENOMEM, with the list as it was. */
int texts_add(struct texts *texts, const char *bytes, size_t size);

/* Makes the last string longer; there is one. */
int texts_append(struct texts *texts, const char *bytes, size_t size);

/* Number `index` from 0; valid until the list changes. */
struct word texts_get(const struct texts *texts, size_t index);

/* The strings as an array that is the caller's, and grows as needed: *words of *room. Valid until the list
 * changes. 0 or MUSTER_ENOMEM. */
int texts_list(const struct texts *texts, struct word **words, size_t *room);

/* Forgets the strings, keeps the memory. */
void texts_clear(struct texts *texts);

void texts_fini(struct texts *texts);

#endif
