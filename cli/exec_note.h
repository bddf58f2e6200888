/* SPDX-License-Identifier: MIT
 *
 * What a run of commands needs to know again when a job has ended: the array "note" of its argument, which
 * comes back with the result.
 */
#ifndef MUSTER_CLI_EXEC_NOTE_H
#define MUSTER_CLI_EXEC_NOTE_H

#include "cli/row.h"
#include "client/muster.h"

enum exec_note {
    EXEC_NOTE_SEQUENCE, /* its number, which the one of libmuster is not when jobs are left out */
    EXEC_NOTE_TITLE,    /* the command as a line */
    EXEC_NOTE_TAG,      /* nil: none */
    EXEC_NOTE_RESULTS,  /* the place of its files; for a table, its arguments; nil: none */
    EXEC_NOTE_SENT,     /* bytes of its standard input */
    EXEC_NOTES,
};

/* One of them; NULL: there is none. Nothing of an argument is trusted: a coordinator may have it from
 * anybody. */
const msgpack_object *exec_note(const struct muster_result *result, enum exec_note item);

/* A text, with the number of the worker where it belongs; without bytes: there is none. Valid until `filled`
 * is used again. */
struct word exec_note_text(const struct muster_result *result, enum exec_note item, msgpack_sbuffer *filled);

/* A number, `otherwise` if there is none. */
uint64_t exec_note_number(const struct muster_result *result, enum exec_note item, uint64_t otherwise);

/* A command or tag with the number of the worker where it belongs, which is known only when the job has
 * ended. Valid until `filled` is used again. */
struct word exec_note_fill(struct word word, unsigned worker, msgpack_sbuffer *filled);

#endif
