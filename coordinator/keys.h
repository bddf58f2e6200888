/* SPDX-License-Identifier: MIT
 *
 * The files of a user's keys, in ${XDG_CONFIG_HOME:-~/.config}/muster: `key`, his secret one, for what he
 * connects to and for the coordinators that he runs, and `allowed`, the keys that these let in (allowed.h).
 */
#ifndef MUSTER_COORDINATOR_KEYS_H
#define MUSTER_COORDINATOR_KEYS_H

#include "coordinator/allowed.h"

#include <sys/types.h>
#include <time.h>

enum { KEYS_PATH_BYTES = 4096 };

#define KEYS_SECRET  "key"
#define KEYS_ALLOWED "allowed"

/* The path of one of the files; "" is their folder. */
int keys_path(const char *file, char ret_path[KEYS_PATH_BYTES], struct muster_error *ret_error);

/* MUSTER_ENOTFOUND when there is none; MUSTER_ESTATE when others can read it, or can put another in its place
 * (keys_way.h), or when it is no key. */
int keys_load(struct curve_key *ret_secret, struct muster_error *ret_error);

/* Makes one. MUSTER_ESTATE when there is one. */
int keys_create(struct curve_key *ret_secret, struct muster_error *ret_error);

/* The text of the allow-list, NUL behind it, the caller's to free. MUSTER_ENOTFOUND when there is none;
 * MUSTER_ESTATE when others can write it, or put another in its place. */
int keys_load_allowed(char **ret_text, size_t *ret_size, struct muster_error *ret_error);

/* What is another once the list is, or another file is in its place; all zeros: there is none. Padding is
 * zero. */
struct keys_stamp {
    dev_t device;
    ino_t file;
    off_t size;
    struct timespec written, changed;
};
void keys_stamp_allowed(struct keys_stamp *ret_stamp);

/* Adds a line to the list, which is made if there is none. MUSTER_ESTATE when its key is there. */
int keys_allow(const struct allowed_key *key, const char *line, struct muster_error *ret_error);

#endif
