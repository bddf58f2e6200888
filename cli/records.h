/* SPDX-License-Identifier: MIT
 *
 * How input sources are combined: record after record of one value from each, in the cross
 * product (the last source varies fastest; linked ones move together, until the shortest
 * ends), or linked all of them (shorter ones start again). A source without any value counts
 * as one empty value, unless there is no value at all.
 *
 * Values are kept only where they come again: in the cross product where a source before has
 * more than one value, with --link until all other sources have ended.
 */
#ifndef MUSTER_CLI_RECORDS_H
#define MUSTER_CLI_RECORDS_H

#include "cli/source.h"

enum records_state {
    RECORDS_FIRST,   /* nothing has been read */
    RECORDS_LOADING, /* read_all: everything is */
    RECORDS_INDEXED, /* everything has been: records by their index */
    RECORDS_NEXT,    /* record after record */
    RECORDS_ENDED,
};

struct records {
    struct source *sources; /* borrowed */
    size_t count;           /* at least 1 */
    const struct source_rules *rules;
    bool link;
    bool read_all, shuffle; /* the latter needs the former */
    uint64_t seed;

    enum records_state state;
    size_t at;             /* the source that is moving; MUSTER_EAGAIN continues there */
    size_t awaited;        /* the source that had nothing yet at the last MUSTER_EAGAIN */
    uint64_t index, total; /* INDEXED: of the next record, and how many there are */
};

/* Moves to the next record: records_value of each source. 0; MUSTER_EEND; MUSTER_EAGAIN, with
 * sources[awaited] to be waited for; or an error. */
int records_next(struct records *records, struct muster_error *ret_error);

/* What source number i has in the present record; valid until the next call. */
struct word records_value(const struct records *records, size_t i);

/* How many there are in all; 0 while nobody knows. */
uint64_t records_total(const struct records *records);

#endif
