/* SPDX-License-Identifier: MIT
 *
 * What a verb writes: results as text, tables and documents, gathered in a buffer that the
 * caller flushes. Nothing is lost in silence: what cannot be written is MUSTER_EOUTPUT, with
 * the reason.
 */
#ifndef MUSTER_CLI_OUTPUT_H
#define MUSTER_CLI_OUTPUT_H

#include "base/error.h"
#include "client/muster.h"

#include <jansson.h>

enum output_format {
    OUTPUT_TEXT, /* map: a result a line, as JSON; other verbs: a table */
    OUTPUT_JSON, /* map: an object a line */
    OUTPUT_NONE,
};

struct output {
    int fd;           /* borrowed */
    const char *name; /* of it, for errors; borrowed */
    enum output_format format;
    uint64_t batch;         /* number of the batch that results are of */
    bool broken;            /* nobody reads any more */
    msgpack_sbuffer buffer; /* not written yet */
};

/* Standard output, for results alone: what jobs that run in this process print goes to
 * standard error from now on, as it does in workers. Returns the descriptor to write to. */
int output_claim_stdout(void);

void output_init(struct output *output, int fd, const char *name, enum output_format format);

/* Does not flush. */
void output_fini(struct output *output);

/* Whether something waits to be flushed. */
static inline bool output_pending(const struct output *output)
{
    return output->buffer.size > 0;
}

/* Writes what is gathered; waits as long as the reader lets it. 0 or MUSTER_EOUTPUT. */
int output_flush(struct output *output, struct muster_error *ret_error);

/* Appends text. 0 or MUSTER_ENOMEM. */
int output_text(struct output *output, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends a document, on one line or, for a terminal, indented. Takes the reference over,
 * which may be NULL: out of memory. 0 or MUSTER_ENOMEM. */
int output_document(struct output *output, json_t *document);

/* Appends one result in the format: in OUTPUT_TEXT the value of a job that succeeded, in
 * OUTPUT_JSON an object for every job, with the command line that runs it again if there is one. Flushes when
 * much is gathered. 0; MUSTER_EOUTPUT; or, with nothing appended, MUSTER_ENOMEM, MUSTER_EINVALID or
 * MUSTER_ELIMIT when the value cannot be written as JSON (libmuster lets no such value through). */
int output_result(struct output *output, const struct muster_result *result, const char *again,
                  struct muster_error *ret_error);

#endif
