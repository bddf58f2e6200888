/* SPDX-License-Identifier: MIT
 *
 * The coordinator's core under a recording outbox, for Criterion tests. Each step gives the
 * core one event and then checks its invariants; what it decided waits to be taken by
 * expect_...; the next step fails the test if something was decided that nobody expected.
 * Messages to one peer are expected in their order; peers among each other have none.
 *
 * The job with index i returns value_of(i); what comes out for it must be that.
 */
#ifndef MUSTER_TESTS_CORE_HARNESS_H
#define MUSTER_TESTS_CORE_HARNESS_H

#include "base/clock.h"
#include "coordinator/core_look.h"
#include "coordinator/state.h"

#define HEARTBEAT_NS (3 * CLOCK_NS_PER_S)

/* The client that speaks when none is named. */
#define CLIENT "client"
#define OWNER  "owner" /* the client whose STOP ends the coordinator */

extern struct core *core;
extern uint64_t now_ns;

/* --- life */

/* A core with that many workers, none of them spawned, and a client. */
void begin_lazy(unsigned workers);

/* A core that wants its workers from the start. */
void begin_warm(unsigned workers);

/* A core with so many of its workers wanted before there are jobs, and no client. */
void begin_ahead(unsigned workers, unsigned ahead);

/* A core whose workers were spawned and have said HELLO with this credit, and a client. */
void begin_ready(unsigned workers, unsigned credit);

/* As begin_ready with a wide credit, of workers that run `concurrency` jobs at once. */
void begin_concurrent(unsigned workers, unsigned concurrency);

/* The second life of a coordinator that keeps books, and a client. Its batch of ticket 1 has the number 1,
 * too. Workers are to be adopted; those that nobody adopts are not spawned yet. */
void begin_again(unsigned workers);

/* For the end of every test: nothing unexpected was decided, nothing leaks. */
void end_core(void);

/* --- steps */

void step_message(const char *peer, const struct proto_message *message);
void step_malformed(const char *peer);
void step_gone(const char *client);
void step_exit(const struct worker_exit *exit);
void step_adopt(unsigned slot);
void step_scale(unsigned workers);
unsigned step_join(unsigned host, unsigned places);

/* In the second life: with workers of these names, in places from 1; of a host that was expected, or not. */
bool step_join_again(unsigned host, unsigned places, const char *const names[], uint32_t count);
bool step_join_unexpected(unsigned host, unsigned places, const char *const names[], uint32_t count);
void step_part(unsigned host);
void step_away(unsigned host);
void step_heard(unsigned host);

/* The workers of these slots are there still. */
bool step_back(unsigned host, const unsigned *slots, uint32_t count);
void step_drain(bool drain);
void step_finish(void);
void step_committed(unsigned slot, uint64_t number);
void step_spawn_failed(unsigned slot, const char *text);

/* Lets time pass, without a tick. */
void pass(uint64_t duration_ns);

/* Lets time pass until the core's deadline, which must be after `from_now_ns`, and ticks. */
void step_deadline(uint64_t from_now_ns);
void step_tick(void);

/* --- what clients say; all with ticket 1 unless they take one */

void client_hello(const char *client); /* and expects WELCOME */

/* Settings of a batch of jobs `first`..`last`, or of a list: no retries, a crash limit of 3, a wide
 * window, chunks of `chunk_jobs`. */
struct proto_submit range_of(int64_t first, int64_t last, uint32_t chunk_jobs);
struct proto_submit list_of(uint32_t chunk_jobs);

/* Expects ACCEPTED, for a list GRANT, too, and returns the number of the batch. */
uint64_t submit(const char *client, const struct proto_submit *settings);

void send_arguments(const char *client, uint64_t first, uint32_t count); /* argument_of each */
void seal(uint64_t total);
void cancel(enum proto_cancel_mode mode);
void cancel_some(uint64_t first, uint64_t count); /* these jobs alone, now */
void consumed(uint64_t bytes);
void stop_client(const char *client);

/* --- what workers say */

/* Expects WELCOME. */
void worker_hello(unsigned slot, unsigned credit);
void worker_hello_concurrent(unsigned slot, unsigned credit, unsigned concurrency);

/* The name of the present incarnation. */
const char *worker_name(unsigned slot);

/* Jobs of a chunk that ended; those in `failed` (0-terminated, or NULL) with `code`, the first of
 * them with `first_code` if that is set, and those in `valued`, too, with a value nonetheless. */
struct report {
    uint64_t first;
    uint32_t count;
    bool final;
    const uint64_t *failed, *valued;
    int code, first_code;
    uint64_t execute_ns, cpu_ns, shared_bytes;
};

/* A RESULT message; its memory is valid until the next call. */
struct proto_message result_message(const struct proto_chunk *chunk, const struct report *report);

void worker_reports(unsigned slot, const struct proto_chunk *chunk, const struct report *report);

/* Jobs of the chunk that were asked for and had not begun. */
void worker_returns(unsigned slot, const struct proto_chunk *chunk, uint64_t first, uint32_t count);

/* All jobs of the chunk succeeded. */
void worker_finishes(unsigned slot, const struct proto_chunk *chunk);

/* All jobs of the chunk ended, those in `failed` (0-terminated) without a value. */
void worker_fails(unsigned slot, const struct proto_chunk *chunk, const uint64_t *failed);

/* A worker that died while it executed the job `index` of `chunk`, or timed out there. */
void worker_crashes(unsigned slot, const struct proto_chunk *chunk, uint64_t index);
void worker_times_out(unsigned slot, const struct proto_chunk *chunk, uint64_t index);

/* --- what the core decided */

void expect_nothing(void);
void expect_spawn(unsigned slot);
void expect_kill(unsigned slot);

/* The next message to the peer, which must be of that type. Valid until the next step. */
const struct proto_message *expect_sent(const char *peer, enum proto_type type);

/* The next CHUNK to a worker: its jobs, with the right arguments. */
struct proto_chunk expect_chunk(unsigned slot, uint64_t first, uint32_t count);

/* A worker is asked for these jobs of the batch 1. */
void expect_recall(unsigned slot, uint64_t first, uint64_t count);

/* The next RESULTS to CLIENT: exactly these jobs, those in `failed` (0-terminated, or NULL) as
 * failures, all others, and failures that are valued, with the values that they returned. */
const struct proto_outcome *expect_results(uint64_t first, uint32_t count, const uint64_t *failed);

/* The next RESULTS to CLIENT: this job alone, failed so; `text` is part of its text. */
void expect_failure(uint64_t index, int code, const char *text);

/* What the values of these jobs refer to in shared memory is released. */
void expect_release(uint64_t first, uint32_t count);

/* That this RESULT of the worker is recorded is waited for. */
void expect_keep(unsigned slot, uint64_t number);

/* ERROR to the peer about the ticket; `text` is part of its text. */
void expect_error(const char *peer, uint64_t ticket, int code, const char *text);

/* ENDED to CLIENT with these counts. */
struct proto_ended expect_ended(uint64_t succeeded, uint64_t failed, uint64_t cancelled);

/* --- values */

int64_t value_of(uint64_t index);
int64_t argument_of(uint64_t index);

/* A blob with `count` integers, packed; the caller unrefs it. */
struct blob *pack_values(int64_t (*number)(uint64_t index), uint64_t first, uint32_t count,
                         const uint64_t *without);

#endif
