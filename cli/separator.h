/* SPDX-License-Identifier: MIT
 *
 * Where records end in the input of --pipe: between a record's end (--recend) and the next one's start
 * (--recstart), each a text or, with --regexp, a pattern.
 */
#ifndef MUSTER_CLI_SEPARATOR_H
#define MUSTER_CLI_SEPARATOR_H

#include "cli/pattern.h"

/* Zeroed, records are lines. Borrowed by separator_init alone. */
struct separator_spec {
    const char *start, *end; /* with escapes such as \n; one that is NULL is empty when the other is not */
    bool regexp;
};

struct separator {
    char *text;                         /* owned: the end and the start behind it; NULL: patterns */
    size_t size, end_size;              /* of all of it, and of the end; 0 bytes: each byte is a record */
    struct pattern between, end, start; /* group 1 of `between` is the end */
};

/* 0, MUSTER_EINVALID with the option and what is wrong with it, or MUSTER_ENOMEM. */
int separator_init(struct separator *separator, const struct separator_spec *spec,
                   struct muster_error *ret_error);

/* Takes zeroed ones, too. */
void separator_fini(struct separator *separator);

/* Where the first record ends that ends behind `from`. `more`: the bytes go on, and so may what matches at
 * their end. 0; MUSTER_EEND when there is none; MUSTER_ENOMEM. */
int separator_next(struct separator *separator, struct word bytes, size_t from, bool more, size_t *ret_cut);

/* `from` for the next search, when one from `from` found nothing and there are more bytes now than these. */
size_t separator_resume(const struct separator *separator, size_t size, size_t from);

/* Where the last record ends. As above. */
int separator_last(struct separator *separator, struct word bytes, size_t *ret_cut);

/* Takes starts and ends out of whole records. Returns how many bytes are left. */
size_t separator_remove(struct separator *separator, char *bytes, size_t size);

#endif
