/* SPDX-License-Identifier: MIT
 *
 * What a coordinator of its own process says while it runs: lines on standard error, and its state to
 * systemd. An embedded one has none, NULL, and says nothing. The loop's thread.
 */
#ifndef MUSTER_COORDINATOR_JOURNAL_H
#define MUSTER_COORDINATOR_JOURNAL_H

#include "coordinator/core.h"

#include <stdbool.h>

struct journal {
    bool verbose; /* clients and batches, too */
};

/* A client is new, or has gone: "connected", "left". */
void journal_client(const struct journal *journal, const char *name, const char *what);

/* The core has this message for a client: those that tell of its batches are worth a line. */
void journal_message(const struct journal *journal, const char *name, const struct proto_message *message);

/* A worker of another life is there, or was ended since it cannot be taken over (`refused`: why). */
void journal_found(const struct journal *journal, const char *name, const char *refused);

/* Another host is there, or is lost: "joins with 8 workers". */
void journal_host(const struct journal *journal, const char *name, const char *what);

/* A worker died, or could not be started. */
void journal_exit(const struct journal *journal, const struct worker_exit *exit);
void journal_spawn_failed(const struct journal *journal, const char *text);

/* The end has begun: because somebody asked for it, or because of a failure. */
void journal_stopping(const struct journal *journal, const char *why);

#endif
