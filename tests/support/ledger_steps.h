/* SPDX-License-Identifier: MIT
 *
 * What clients of a ledger say and expect, in the one world of a test program.
 */
#ifndef MUSTER_TESTS_LEDGER_STEPS_H
#define MUSTER_TESTS_LEDGER_STEPS_H

#include "tests/support/ledger_harness.h"

extern struct world w;

/* A state file in a folder of its own, of which nothing else may be left in the end. */
extern char state_path[];
void make_folder(void);
void remove_folder(void);

/* The world with that file, in which workers wait, with client a. */
void open_again(uint32_t epoch);

/* To the next thing that is to happen by itself. */
void let_pass(void);

/* Batches that are kept, in chunks of 10: of the arguments 1..last, or of a list that follows. */
struct proto_message submit_range(uint64_t ticket, int64_t last, bool attach);
struct proto_message submit_list(uint64_t ticket, bool attach);

/* Values of so many jobs; the caller drops the blob. */
struct slice numbers(uint64_t first, uint32_t count);

void say_arguments(const char *client, uint64_t ticket, uint64_t first, uint32_t count);
void say_seal(const char *client, uint64_t ticket, uint64_t total);
void say_attach(const char *client, uint64_t ticket, uint64_t batch, bool ordered, uint64_t window);
/* The cancellation of what the client submitted with the ticket, and a request under the ticket 99. */
void say_cancel(const char *client, uint64_t ticket, enum proto_cancel_mode mode);
void say_request(const char *client, enum proto_operation operation, uint64_t batch, uint64_t number,
                 const char *text);

/* A list of so many arguments of so many bytes, in blocks of their own, without its SEAL. */
void say_large_list(const char *client, uint64_t ticket, uint64_t jobs, size_t bytes);
void say_consumed(const char *client, uint64_t ticket, uint64_t bytes);

/* The client was told so: the number of its batch, the code of the answer. */
uint64_t accepted(const char *client);
int answered(const char *client);

/* All RESULTS that the client has: each of 1..jobs once; in order if asked for. Returns their cost. */
uint64_t check_results(const char *client, uint64_t jobs, bool ordered);
void check_ended(const char *client, uint64_t succeeded, uint64_t failed, uint64_t cancelled);

/* What a client is told of the batch when it asks. */
void check_state(const char *client, uint64_t batch, const char *state);

#endif
