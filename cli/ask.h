/* SPDX-License-Identifier: MIT
 *
 * What the verbs share that ask a coordinator, or tell it something: the command line with its numbers
 * of batches, the connection, and what goes to standard output.
 */
#ifndef MUSTER_CLI_ASK_H
#define MUSTER_CLI_ASK_H

#include "cli/facts.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "client/remote.h"

struct ask {
    struct options options;
    struct remote *remote; /* owned */
    struct output output;
    bool json;
    uint64_t *batches; /* that the command line names; owned */
    size_t batch_count;
    uint64_t number; /* of workers; scale alone has it */
};

/* What a verb does when it is connected. Returns the exit status, or a negative code with its text in
 * *ret_error. */
typedef int ask_run(struct ask *ask, struct muster_error *ret_error);

/* Does it; returns the exit status. A reader of standard output that leaves is no error to speak of. */
int ask_verb(enum verb verb, int argc, char **argv, ask_run *run);

/* Asks about a batch, 0 being none; as remote_ask. */
int ask_batch(struct ask *ask, enum proto_operation operation, uint64_t batch, uint64_t number,
              remote_take *take, void *context, struct muster_error *ret_error);

/* The connection is lost, as *error says: waits for the coordinator's return, as long as --wait-coordinator
 * says and not beyond the deadline, and says so. 0: ask->remote is connected anew. */
int ask_return(struct ask *ask, uint64_t deadline_ns, struct muster_error *error);

/* Writes a value as JSON, on a line. 0, MUSTER_EOUTPUT or MUSTER_ENOMEM. */
int ask_write(struct ask *ask, const msgpack_object *value, struct muster_error *ret_error);

/* Ends the line in the buffer, and writes what is there if it is much. As ask_write. */
int ask_end_line(struct ask *ask, struct muster_error *ret_error);

/* The exit status for so many failed jobs. */
int ask_status(uint64_t failed);

#endif
