/* SPDX-License-Identifier: MIT
 *
 * The arguments of a command line as a source of libmuster: words after `:::`, lines of the
 * files after `::::`, or lines of standard input. Ranges are never expanded and lines are
 * read only as fast as jobs are taken, so memory does not grow with the number of arguments.
 */
#ifndef MUSTER_CLI_ARGUMENTS_H
#define MUSTER_CLI_ARGUMENTS_H

#include "base/error.h"
#include "cli/lines.h"
#include "client/muster.h"

enum arguments_family {
    ARGUMENTS_STDIN, /* neither `:::` nor `::::` */
    ARGUMENTS_WORDS, /* ::: ARG... */
    ARGUMENTS_FILES, /* :::: FILE... */
};

struct arguments {
    enum arguments_family family;
    const char *const *items; /* words or files; borrowed */
    size_t count, next;       /* items, and which comes next */

    bool in_range; /* words: a range has begun; `at` is its next number */
    int64_t at, last;

    int fd;             /* lines: what every file in turn is read from; owned, -1 for words */
    bool reading;       /* lines: items[next - 1] has begun */
    struct lines lines; /* of that file */

    bool kept;             /* lines: all of them are in memory */
    msgpack_sbuffer store; /* with their newlines */
    size_t store_at;
};

/* Checks every word, and that every file can be read, before anything runs. `items` must
 * outlive *arguments. 0, or the error with the number of the argument or the file's name. */
int arguments_init(struct arguments *arguments, enum arguments_family family, const char *const *items,
                   size_t count, struct muster_error *ret_error);
void arguments_fini(struct arguments *arguments);

/* The source that reads them; a single range is a RANGE. *arguments must outlive it. */
struct muster_source arguments_source(struct arguments *arguments);

/* How many they are; 0 while nobody knows, as for lines. */
uint64_t arguments_total(const struct arguments *arguments);

/* Reads all lines into memory, so that arguments_rewind can start them over; words need
 * none of it. MUSTER_ECANCELLED when interrupt_fd becomes readable before the end. */
int arguments_keep(struct arguments *arguments, int interrupt_fd, struct muster_error *ret_error);

/* Starts over: the `rewind` of a compare_spec, `context` being the arguments. */
int arguments_rewind(void *context);

#endif
