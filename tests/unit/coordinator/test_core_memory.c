/* SPDX-License-Identifier: MIT
 *
 * What the core takes from the heap, with malloc and its like wrapped by the linker: no more
 * for a range of any length, and when there is none left, an outbox that says so, not a crash.
 */
#include "base/clock.h"
#include "coordinator/core.h"
#include "coordinator/core_look.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static uint64_t allocations, bytes;
static uint64_t failing; /* the allocation that fails, and all after it; 0: none */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_reallocarray(void *memory, size_t count, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_reallocarray(void *memory, size_t count, size_t size);
char *__wrap_strdup(const char *text);

static bool granted(size_t size)
{
    allocations++;
    bytes += size;
    return !failing || allocations < failing;
}

void *__wrap_malloc(size_t size)
{
    return granted(size) ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return granted(count * size) ? __real_calloc(count, size) : NULL;
}

void *__wrap_reallocarray(void *memory, size_t count, size_t size)
{
    return granted(count * size) ? __real_reallocarray(memory, count, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
    return granted(strlen(text) + 1) ? __real_strdup(text) : NULL;
}

/* --- a small life of a core; each step returns false once memory ran out, and
 * the outbox or an error to the client has said so */

static struct core *core;
static struct outbox outbox;
static uint64_t now_ns;

/* The chunks that the last step sent, of worker-1.1. */
static struct proto_chunk chunks[16];
static unsigned chunk_count;

static bool after_step(void)
{
    bool failed = outbox.failed;

    chunk_count = 0;
    for (size_t i = 0; i < outbox.count; i++) {
        const struct proto_message *message = &outbox.items[i].message;

        if (message->type == PROTO_CHUNK)
            chunks[chunk_count++] = message->chunk;
        failed |= message->type == PROTO_ERROR && message->error.code == MUSTER_ENOMEM;
    }
    outbox_clear(&outbox);
    return !failed;
}

static bool tell(const char *peer, const struct proto_message *message)
{
    core_message(core, now_ns, peer, message, &outbox);
    return after_step();
}

static bool greet(const char *peer, enum proto_role role)
{
    return tell(peer, &(struct proto_message){.type = PROTO_HELLO,
                                              .hello = {.version = PROTO_VERSION,
                                                        .role = role,
                                                        .credit = role == PROTO_WORKER,
                                                        .concurrency = role == PROTO_WORKER}});
}

static bool submit(enum proto_arguments kind, int64_t last)
{
    struct proto_message message = {.type = PROTO_SUBMIT,
                                    .submit = {.ticket = 1 + (kind == PROTO_LIST),
                                               .function = {"noop", 4},
                                               .kind = kind,
                                               .first = kind == PROTO_RANGE,
                                               .last = last,
                                               .chunk_jobs = 1,
                                               .crash_limit = 1,
                                               .window_bytes = 1 << 20,
                                               .attach = true,
                                               .cpus = 1}};

    return tell("client", &message);
}

static bool stream(void)
{
    static const uint8_t values[] = {1, 2, 3};
    static struct blob blob; /* nobody frees it: the reference of the test stays */
    struct proto_message message = {.type = PROTO_ARGUMENTS,
                                    .arguments = {.ticket = 2, .first = 1, .count = 3},
                                    .payload = {.blob = &blob, .size = sizeof values}};

    blob_init(&blob, values, sizeof values, NULL);
    return tell("client", &message);
}

/* Answers the one chunk that was sent with a value. */
static bool answer(void)
{
    static const uint8_t nil = 0xc0;
    static struct blob blob;
    struct proto_message message = {.type = PROTO_RESULT,
                                    .result = {.batch = chunks[0].batch,
                                               .chunk = chunks[0].chunk,
                                               .final = true,
                                               .outcome = {.first = chunks[0].first,
                                                           .count = 1,
                                                           .attempt = chunks[0].attempt,
                                                           .execute_ns = 1000}},
                                    .payload = {.blob = &blob, .size = 1}};

    blob_init(&blob, &nil, 1, NULL);
    return chunk_count == 0 || tell("worker-1.1", &message);
}

static bool die(bool executing)
{
    struct worker_exit exit = {
        .slot = 1, .reason = "killed", .executing = executing, .chunk = chunks[0].chunk};

    exit.index = chunks[0].first;
    core_worker_exited(core, now_ns, &exit, &outbox);
    return after_step();
}

static bool begin(unsigned workers)
{
    struct core_options options = {.workers = workers, .heartbeat_ns = CLOCK_NS_PER_S};

    now_ns = CLOCK_NS_PER_S;
    chunk_count = 0;
    if (outbox_init(&outbox) != 0)
        return false;
    if (core_create(&options, &core) != 0)
        core = NULL;
    return core && greet("client", PROTO_CLIENT);
}

static void end(void)
{
    core_destroy(core);
    core = NULL;
    outbox_fini(&outbox);
}

/* What ten jobs of a range of that many take. */
static uint64_t bytes_for_range(int64_t jobs, uint64_t *ret_allocations)
{
    allocations = bytes = 0;
    cr_assert(begin(1));
    cr_assert(submit(PROTO_RANGE, jobs));
    cr_assert(greet("worker-1.1", PROTO_WORKER));
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(chunk_count, 1);
        cr_assert(answer());
    }
    end();
    *ret_allocations = allocations;
    return bytes;
}

Test(core_memory, longest_range_costs_what_a_range_of_eleven_costs)
{
    uint64_t of_short, of_long, short_bytes, long_bytes;

    short_bytes = bytes_for_range(11, &of_short);
    long_bytes = bytes_for_range(PROTO_BATCH_JOBS_MAX, &of_long);
    cr_assert_gt(of_short, 10, "the heap was watched");
    cr_assert_eq(of_long, of_short);
    cr_assert_eq(long_bytes, short_bytes);
}

/* Everything that takes memory, once; false when it ran out on the way. */
static bool live(void)
{
    const struct muster_error error = {.code = MUSTER_ESYSTEM, .text = "no more processes"};

    if (!begin(1) || !submit(PROTO_RANGE, 3) || !greet("worker-1.1", PROTO_WORKER) || !answer() || !die(true))
        return false;
    if (!greet("other", PROTO_CLIENT) || !submit(PROTO_LIST, 0) || !stream())
        return false;
    for (unsigned i = 0; i < 3; i++) {
        core_spawn_failed(core, now_ns, 1, &error, &outbox);
        if (!after_step())
            return false;
        now_ns += CLOCK_NS_PER_S;
        core_tick(core, now_ns, &outbox);
        if (!after_step())
            return false;
    }
    return core_count(core).batches == 0;
}

Test(core_memory, core_without_memory_says_so_and_can_be_destroyed)
{
    uint64_t needed;

    allocations = 0;
    cr_assert(live());
    end();
    needed = allocations;
    cr_assert_gt(needed, 15, "the heap was watched");
    for (uint64_t n = 1; n <= needed; n++) {
        allocations = 0;
        failing = n;
        cr_assert_not(live(), "the allocation %lu of %lu is not missed", (unsigned long)n,
                      (unsigned long)needed);
        failing = 0;
        end();
    }
}
