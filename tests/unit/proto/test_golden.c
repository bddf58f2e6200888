/* SPDX-License-Identifier: MIT
 *
 * The golden vectors: each decodes to the struct that stands here, which encodes to the same
 * bytes; and what becomes of them when they are cut or a byte is wrong.
 */
#include "base/error.h"
#include "golden.h"
#include "proto/codec.h"
#include "proto/limits.h"
#include "proto/scan.h"
#include "proto/value.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <string.h>

#define TEXT(string)                                  \
    {                                                 \
        .bytes = (string), .size = sizeof(string) - 1 \
    }

static const struct proto_failure results_failures[] = {
    {.index = 10, .code = MUSTER_EFAILED, .text = TEXT("no such file: \xc3\xa9t\xc3\xa9")},
    {.index = 13, .code = MUSTER_ETIMEOUT, .text = TEXT("")},
};
static const struct proto_failure quarantined_failures[] = {
    {.index = 4, .code = MUSTER_EQUARANTINED, .text = TEXT("crashed its worker 3 times")},
};
static const struct proto_failure partial_failures[] = {
    {.index = 9, .code = MUSTER_EFAILED, .text = TEXT("cannot read /etc/passwd")},
};
static const struct proto_failure valued_failures[] = {
    {.index = 10, .code = MUSTER_EFAILED, .text = TEXT("exit status 3: no"), .valued = true},
    {.index = 12, .code = MUSTER_EFAILED, .text = TEXT("no")},
};
static const struct proto_failure cancelled_failures[] = {
    {.index = 3, .code = MUSTER_ECANCELLED, .text = TEXT("cancelled")},
    {.index = 4, .code = MUSTER_ECANCELLED, .text = TEXT("cancelled")},
};
static const struct proto_after kept_after[] = {
    {.batch = 70000, .condition = PROTO_AFTER_OK},
    {.batch = 70001, .condition = PROTO_AFTER_ANY},
};
static const struct proto_plugin join_plugins[] = {
    {.name = TEXT("primes.so"),
     .digest = TEXT("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")},
};
static const struct proto_resident join_residents[] = {{.place = 1, .name = TEXT("worker-2.3.1")},
                                                       {.place = 8, .name = TEXT("worker-9.3.2")}};
static const uint64_t results_timings[] = {0,   100,        200, 0,   2,     5,   100,   0,
                                           300, 400,        305, 500, 69000, 500, 80000, UINT64_C(1) << 32,
                                           500, 4999930800, 0,   0};
static const uint64_t partial_timings[] = {0, 30, 900, 0, 890};
static const uint64_t later_timings[] = {100, 15, 500, 10, 300, 0, 25, 400, 10, 300};

#define BEGAN_NS   UINT64_C(500000000000)
#define ARRIVED_NS (BEGAN_NS - 50000)

/* clang-format off */
static const struct vector {
    const char *name;
    struct proto_message message;
} vectors[] = {
    {"hello-client", {.type = PROTO_HELLO, .hello = {
        .version = 5, .role = PROTO_CLIENT, .pid = 4242, .software = TEXT("muster 0.1.0"), .user = TEXT("ada")}}},
    {"hello-worker", {.type = PROTO_HELLO, .hello = {
        .version = 5, .role = PROTO_WORKER, .pid = 70000, .credit = 2, .concurrency = 1000,
        .software = TEXT("muster 0.1.0")}}},
    {"hello-standing", {.type = PROTO_HELLO, .hello = {
        .version = 5, .role = PROTO_WORKER, .pid = 70000, .credit = 2, .concurrency = 1000,
        .software = TEXT("muster 0.1.0"), .standing = 2}}},
    {"hello-foreign", {.type = PROTO_HELLO, .hello = {.version = 6}}},
    {"hello-old", {.type = PROTO_HELLO, .hello = {.version = 2}}},
    {"hello-version-3", {.type = PROTO_HELLO, .hello = {.version = 3}}},
    {"hello-version-4", {.type = PROTO_HELLO, .hello = {.version = 4}}},
    {"welcome", {.type = PROTO_WELCOME, .welcome = {.version = 5, .workers = 2, .host = UINT64_C(0x8877665544332211)}}},
    {"welcome-keeps", {.type = PROTO_WELCOME, .welcome = {
        .version = 5, .workers = 2, .keeps = PROTO_KEEPS_ON_DISK, .epoch = 3}}},
    {"welcome-version-3", {.type = PROTO_WELCOME, .welcome = {.version = 3}}},
    {"welcome-version-4", {.type = PROTO_WELCOME, .welcome = {.version = 4}}},
    {"error", {.type = PROTO_ERROR, .error = {
        .ticket = 7, .code = MUSTER_ESTATE, .text = TEXT("this ticket is in use")}}},
    {"error-version", {.type = PROTO_ERROR, .error = {
        .code = MUSTER_EVERSION, .text = TEXT("this coordinator speaks version 5")}}},
    {"submit-range", {.type = PROTO_SUBMIT, .submit = {
        .ticket = 1, .function = TEXT("is_prime"), .kind = PROTO_RANGE, .first = -5, .last = 10000000,
        .crash_limit = 3, .window_bytes = 4 << 20, .attach = true, .cpus = 1}}},
    {"submit-list", {.type = PROTO_SUBMIT, .submit = {
        .ticket = 300, .function = TEXT("sha256"), .kind = PROTO_LIST, .chunk_jobs = 65536,
        .timeout_ms = 1500, .retries = 2, .crash_limit = 1, .timings = true, .shared = true,
        .window_bytes = UINT64_C(1) << 40, .attach = true, .cpus = 1}}},
    {"submit-whole", {.type = PROTO_SUBMIT, .submit = {
        .ticket = 301, .function = TEXT("sha256"), .kind = PROTO_LIST, .crash_limit = 3,
        .window_bytes = 4 << 20, .count = 3, .attach = true, .cpus = 1}}},
    {"submit-kept", {.type = PROTO_SUBMIT, .submit = {
        .ticket = 2, .function = TEXT("is_prime"), .kind = PROTO_RANGE, .first = 1, .last = 1000, .retries = 5,
        .crash_limit = 3, .window_bytes = 4 << 20, .keep = true, .hold = true, .ordered = true,
        .name = TEXT("primes \xe2\x89\xa4 1000"), .priority = -20, .most_running = 8, .cpus = 2,
        .memory_bytes = 1 << 30, .begin_ms = 1893456000000, .backoff_ms = 1500,
        .after = kept_after, .after_count = 2}}},
    {"accepted", {.type = PROTO_ACCEPTED, .accepted = {.ticket = 1, .batch = 70000}}},
    {"arguments", {.type = PROTO_ARGUMENTS, .arguments = {.ticket = 300, .first = 9, .count = 8}}},
    {"arguments-shared", {.type = PROTO_ARGUMENTS, .arguments = {
        .ticket = 300, .first = 17, .count = 2, .shared_bytes = 1 << 20}}},
    {"seal", {.type = PROTO_SEAL, .seal = {.ticket = 300, .total = 16}}},
    {"seal-empty", {.type = PROTO_SEAL, .seal = {.ticket = 300}}},
    {"grant", {.type = PROTO_GRANT, .grant = {.ticket = 300, .bytes = 4 << 20}}},
    {"results", {.type = PROTO_RESULTS, .results = {
        .ticket = 1, .worker = 2, .queued_ns = BEGAN_NS - 2000000, .assigned_ns = BEGAN_NS - 100000,
        .outcome = {.first = 1, .count = 3, .attempt = 1, .arrived_ns = ARRIVED_NS, .began_ns = BEGAN_NS,
                    .reported_ns = BEGAN_NS + 2600, .execute_ns = 2500, .cpu_ns = 2400}}}},
    {"results-failures", {.type = PROTO_RESULTS, .results = {
        .ticket = 300, .worker = 1, .queued_ns = BEGAN_NS - 3000000000, .assigned_ns = BEGAN_NS - 100000,
        .outcome = {.first = 10, .count = 4, .attempt = 3, .arrived_ns = ARRIVED_NS, .began_ns = BEGAN_NS,
                    .reported_ns = BEGAN_NS + 9300000000, .split = true, .decode_ns = 1200,
                    .execute_ns = 5000000000, .encode_ns = 800, .cpu_ns = 300,
                    .failures = results_failures, .failure_count = 2, .timings = results_timings}}}},
    {"results-quarantined", {.type = PROTO_RESULTS, .results = {
        .ticket = 1, .worker = 2, .queued_ns = BEGAN_NS - 3000000000,
        .outcome = {.first = 4, .count = 1, .attempt = 3, .failures = quarantined_failures,
                    .failure_count = 1}}}},
    {"results-cancelled", {.type = PROTO_RESULTS, .results = {
        .ticket = 300,
        .outcome = {.first = 3, .count = 2, .attempt = 1, .failures = cancelled_failures,
                    .failure_count = 2}}}},
    {"results-valued", {.type = PROTO_RESULTS, .results = {
        .ticket = 300, .worker = 1, .queued_ns = BEGAN_NS - 3000000000, .assigned_ns = BEGAN_NS - 100000,
        .outcome = {.first = 10, .count = 3, .attempt = 1, .arrived_ns = ARRIVED_NS, .began_ns = BEGAN_NS,
                    .reported_ns = BEGAN_NS + 624272, .split = true, .decode_ns = 30, .execute_ns = 900,
                    .encode_ns = 20, .cpu_ns = 890, .failures = valued_failures, .failure_count = 2}}}},
    {"consumed", {.type = PROTO_CONSUMED, .consumed = {.ticket = 1, .bytes = 100000}}},
    {"ended", {.type = PROTO_ENDED, .ended = {
        .ticket = 1, .succeeded = 10000004, .failed = 2, .retried = 5, .crashes = 3, .late = 1,
        .chunks = 2000, .bytes_in = 160000, .bytes_out = 20000000, .execute_ns = 123456789012,
        .cpu_ns = 120000000000, .process_cpu_ns = 125000000000, .voluntary = 1000, .involuntary = 42}}},
    {"ended-cancelled", {.type = PROTO_ENDED, .ended = {
        .ticket = 300, .succeeded = 1, .cancelled = 15, .chunks = 1, .bytes_in = 90, .bytes_out = 3,
        .execute_ns = 10, .cpu_ns = 11, .process_cpu_ns = 12, .voluntary = 13,
        .involuntary = 14}}},
    {"ended-given-up", {.type = PROTO_ENDED, .ended = {
        .ticket = 300, .code = MUSTER_ELOST, .cancelled = 16, .text = TEXT("workers do not start")}}},
    {"cancel-soon", {.type = PROTO_CANCEL, .cancel = {.id = 300, .mode = PROTO_CANCEL_SOON}}},
    {"cancel-now", {.type = PROTO_CANCEL, .cancel = {.id = 70000, .mode = PROTO_CANCEL_NOW}}},
    {"cancel-jobs", {.type = PROTO_CANCEL, .cancel = {
        .id = 300, .mode = PROTO_CANCEL_NOW, .first = UINT64_C(1) << 32, .count = 3}}},
    {"cancel-return", {.type = PROTO_CANCEL, .cancel = {
        .id = 70000, .mode = PROTO_CANCEL_RETURN, .first = 1499, .count = 2}}},
    {"chunk-range", {.type = PROTO_CHUNK, .chunk = {
        .batch = 70000, .chunk = 12, .function = TEXT("is_prime"), .first = 1001, .count = 500,
        .attempt = 1, .kind = PROTO_RANGE, .argument = 995}}},
    {"chunk-list", {.type = PROTO_CHUNK, .chunk = {
        .batch = 3, .chunk = 13, .function = TEXT("sha256"), .first = 9, .count = 2, .attempt = 2,
        .timeout_ms = 1500, .timings = true, .reader = 4242, .kind = PROTO_LIST}}},
    {"result", {.type = PROTO_RESULT, .result = {
        .batch = 70000, .chunk = 12, .final = true, .process_cpu_ns = 7000000,
        .process_voluntary = 500, .process_involuntary = 7,
        .outcome = {.first = 1498, .count = 3, .attempt = 1, .arrived_ns = ARRIVED_NS, .began_ns = BEGAN_NS,
                    .reported_ns = BEGAN_NS + 1000, .execute_ns = 900, .cpu_ns = 890}}}},
    {"result-partial", {.type = PROTO_RESULT, .result = {
        .batch = 3, .chunk = 13, .process_cpu_ns = 7000000, .process_voluntary = 500,
        .process_involuntary = 7,
        .outcome = {.first = 9, .count = 1, .attempt = 2, .arrived_ns = ARRIVED_NS, .began_ns = BEGAN_NS,
                    .reported_ns = BEGAN_NS + 50000, .split = true, .decode_ns = 30, .execute_ns = 900,
                    .cpu_ns = 890,
                    .failures = partial_failures, .failure_count = 1, .timings = partial_timings}}}},
    {"result-valued", {.type = PROTO_RESULT, .result = {
        .batch = 3, .chunk = 13, .final = true, .process_cpu_ns = 7000000, .process_voluntary = 500,
        .process_involuntary = 7,
        .outcome = {.first = 10, .count = 3, .attempt = 1, .arrived_ns = ARRIVED_NS, .began_ns = BEGAN_NS,
                    .reported_ns = BEGAN_NS + 624272, .split = true, .decode_ns = 30, .execute_ns = 900,
                    .encode_ns = 20, .cpu_ns = 890, .failures = valued_failures, .failure_count = 2}}}},
    {"result-nothing", {.type = PROTO_RESULT, .result = {
        .batch = 3, .chunk = 13, .final = true, .process_cpu_ns = 7100000,
        .process_voluntary = 500, .process_involuntary = 7,
        .outcome = {.first = 10, .attempt = 2, .arrived_ns = ARRIVED_NS,
                    .reported_ns = BEGAN_NS + 60000}}}},
    {"result-later", {.type = PROTO_RESULT, .result = {
        .batch = 70000, .chunk = 12, .process_cpu_ns = 7000000, .process_voluntary = 500,
        .process_involuntary = 7,
        .outcome = {.first = 1100, .count = 2, .attempt = 1, .arrived_ns = ARRIVED_NS, .began_ns = BEGAN_NS,
                    .reported_ns = BEGAN_NS + 1000, .split = true, .decode_ns = 40, .execute_ns = 900,
                    .encode_ns = 20, .cpu_ns = 890, .timings = later_timings}}}},
    {"result-shared", {.type = PROTO_RESULT, .result = {
        .batch = 3, .chunk = 14, .final = true, .process_cpu_ns = 9000000, .process_voluntary = 501,
        .process_involuntary = 7,
        .outcome = {.first = 11, .count = 1, .attempt = 1, .arrived_ns = ARRIVED_NS, .began_ns = BEGAN_NS,
                    .reported_ns = BEGAN_NS + 2000000, .split = true, .decode_ns = 100,
                    .execute_ns = 1900000, .encode_ns = 90000, .cpu_ns = 1950000,
                    .shared_bytes = 300000}}}},
    {"result-numbered", {.type = PROTO_RESULT, .result = {
        .batch = 70000, .chunk = (UINT64_C(3) << 40) + 12, .number = 40, .final = true,
        .process_cpu_ns = 7000000, .process_voluntary = 500, .process_involuntary = 7,
        .outcome = {.first = 1498, .count = 3, .attempt = 1, .arrived_ns = ARRIVED_NS, .began_ns = BEGAN_NS,
                    .reported_ns = BEGAN_NS + 1000, .execute_ns = 900, .cpu_ns = 890}}}},
    {"ping", {.type = PROTO_PING, .ping = {.nonce = UINT64_C(0x0123456789abcdef)}}},
    {"pong", {.type = PROTO_PONG, .ping = {.nonce = UINT64_C(0x0123456789abcdef)}}},
    {"stop", {.type = PROTO_STOP}},
    {"returned", {.type = PROTO_RETURNED, .returned = {
        .batch = 70000, .chunk = 12, .first = 1499, .count = 2}}},
    {"attach", {.type = PROTO_ATTACH, .attach = {
        .ticket = 8, .batch = 70000, .first = 1, .ordered = true, .follow = true, .arguments = true,
        .results = true, .window_bytes = 4 << 20}}},
    {"attach-wait", {.type = PROTO_ATTACH, .attach = {.ticket = 9, .batch = 70000, .first = 1, .follow = true}}},
    {"attached", {.type = PROTO_ATTACHED, .attached = {
        .ticket = 8, .batch = 70000, .function = TEXT("is_prime"), .kind = PROTO_RANGE, .first = 1,
        .last = 1000, .total = 1000, .sealed = true}}},
    {"attached-list", {.type = PROTO_ATTACHED, .attached = {
        .ticket = 9, .batch = 70001, .function = TEXT("sha256"), .kind = PROTO_LIST, .total = 3}}},
    {"detach", {.type = PROTO_DETACH, .detach = {.ticket = 8}}},
    {"request", {.type = PROTO_REQUEST, .request = {
        .ticket = 10, .operation = PROTO_REQUEST_BATCHES, .batch = 70000, .number = 20,
        .text = TEXT("state=running state=queued")}}},
    {"request-cancel", {.type = PROTO_REQUEST, .request = {
        .ticket = 11, .operation = PROTO_REQUEST_CANCEL, .batch = 70000, .number = PROTO_CANCEL_NOW}}},
    {"answer", {.type = PROTO_ANSWER, .answer = {.ticket = 10, .more = true}}},
    {"answer-refused", {.type = PROTO_ANSWER, .answer = {
        .ticket = 11, .code = MUSTER_ENOTFOUND, .text = TEXT("there is no batch 70000")}}},
    {"standing", {.type = PROTO_STANDING, .standing = {
        .batch = 70000, .chunk = (UINT64_C(2) << 40) + 12, .first = 1001, .count = 500, .attempt = 1}}},
    {"kept", {.type = PROTO_KEPT, .kept = {.number = 40}}},
    {"join", {.type = PROTO_JOIN, .join = {
        .version = 5, .pid = 4242, .session = 1001, .state = 2002, .epoch = 3, .workers = 8,
        .host = TEXT("node7"), .software = TEXT("muster 0.1.0"), .plugins = join_plugins, .plugin_count = 1,
        .residents = join_residents, .resident_count = 2}}},
    {"join-confined", {.type = PROTO_JOIN, .join = {
        .version = 5, .pid = 4242, .session = 1, .workers = 1024, .software = TEXT("muster 0.1.0"),
        .sandbox = TEXT("strict,net")}}},
    {"join-version-3", {.type = PROTO_JOIN, .join = {.version = 3}}},
    {"joined", {.type = PROTO_JOINED, .joined = {
        .version = 5, .beat_ms = 2500, .state = 2002, .epoch = 3, .hold_ms = 60000}}},
    {"spawn", {.type = PROTO_SPAWN, .spawn = {.place = 3, .name = TEXT("worker-11.1")}}},
    {"kill", {.type = PROTO_KILL, .kill = {.place = 3}}},
    {"exited", {.type = PROTO_EXITED, .exited = {
        .place = 3, .executing = true, .progress = 400, .chunk = 70000, .index = 17, .batch = 7, .attempt = 2,
        .reason = TEXT("killed by SIGSEGV (Segmentation fault)")}}},
    {"beat", {.type = PROTO_BEAT, .beat = {.nonce = BEGAN_NS, .clock_ns = UINT64_C(7000000000)}}},
};
/* clang-format on */

enum { VECTORS = sizeof vectors / sizeof *vectors };

static msgpack_zone zone;
static msgpack_sbuffer buffer;

static void set_up(void)
{
    cr_assert(msgpack_zone_init(&zone, 4096));
    msgpack_sbuffer_init(&buffer);
}

static void tear_down(void)
{
    msgpack_zone_destroy(&zone);
    msgpack_sbuffer_destroy(&buffer);
}

TestSuite(golden, .init = set_up, .fini = tear_down);

#define SAME(field) cr_assert_eq(a->field, b->field, "%s: " #field, name)

static void assert_same_text(const char *name, struct proto_text a, struct proto_text b)
{
    cr_assert_eq(a.size, b.size, "%s: size of a text", name);
    cr_assert(a.size == 0 || memcmp(a.bytes, b.bytes, a.size) == 0, "%s: text", name);
}

static void assert_same_outcome(const char *name, const struct proto_outcome *a,
                                const struct proto_outcome *b)
{
    SAME(first);
    SAME(count);
    SAME(attempt);
    SAME(arrived_ns);
    SAME(began_ns);
    SAME(reported_ns);
    SAME(split);
    SAME(decode_ns);
    SAME(execute_ns);
    SAME(encode_ns);
    SAME(cpu_ns);
    SAME(shared_bytes);
    SAME(failure_count);
    for (uint32_t i = 0; i < a->failure_count; i++) {
        SAME(failures[i].index);
        SAME(failures[i].code);
        SAME(failures[i].valued);
        assert_same_text(name, a->failures[i].text, b->failures[i].text);
    }
    cr_assert_eq(!a->timings, !b->timings, "%s: timings", name);
    for (uint32_t i = 0; a->timings && i < PROTO_TIMINGS * a->count; i++)
        SAME(timings[i]);
}

static void assert_same_ended(const char *name, const struct proto_ended *a, const struct proto_ended *b)
{
    SAME(ticket);
    SAME(code);
    SAME(succeeded);
    SAME(failed);
    SAME(cancelled);
    SAME(retried);
    SAME(crashes);
    SAME(late);
    SAME(chunks);
    SAME(bytes_in);
    SAME(bytes_out);
    SAME(execute_ns);
    SAME(cpu_ns);
    SAME(process_cpu_ns);
    SAME(voluntary);
    SAME(involuntary);
    assert_same_text(name, a->text, b->text);
}

static void assert_same_submit(const char *name, const struct proto_submit *a, const struct proto_submit *b)
{
    SAME(ticket);
    assert_same_text(name, a->function, b->function);
    SAME(kind);
    SAME(first);
    SAME(last);
    SAME(chunk_jobs);
    SAME(timeout_ms);
    SAME(retries);
    SAME(crash_limit);
    SAME(timings);
    SAME(shared);
    SAME(window_bytes);
    SAME(count);
    SAME(keep);
    SAME(hold);
    SAME(attach);
    SAME(ordered);
    assert_same_text(name, a->name, b->name);
    SAME(priority);
    SAME(most_running);
    SAME(cpus);
    SAME(memory_bytes);
    SAME(begin_ms);
    SAME(backoff_ms);
    SAME(after_count);
    for (uint32_t i = 0; i < a->after_count; i++) {
        SAME(after[i].batch);
        SAME(after[i].condition);
    }
}

static void assert_same_chunk(const char *name, const struct proto_chunk *a, const struct proto_chunk *b)
{
    SAME(batch);
    SAME(chunk);
    assert_same_text(name, a->function, b->function);
    SAME(first);
    SAME(count);
    SAME(attempt);
    SAME(timeout_ms);
    SAME(timings);
    SAME(reader);
    SAME(shared_bytes);
    SAME(kind);
    SAME(argument);
}

static void assert_same_greeting(const char *name, const struct proto_message *a,
                                 const struct proto_message *b)
{
    if (a->type == PROTO_WELCOME) {
        SAME(welcome.version);
        SAME(welcome.workers);
        SAME(welcome.host);
        SAME(welcome.keeps);
        SAME(welcome.epoch);
        return;
    }
    SAME(hello.version);
    SAME(hello.role);
    SAME(hello.pid);
    SAME(hello.credit);
    SAME(hello.concurrency);
    assert_same_text(name, a->hello.software, b->hello.software);
    assert_same_text(name, a->hello.user, b->hello.user);
    SAME(hello.standing);
}

static void assert_same_attachment(const char *name, const struct proto_message *a,
                                   const struct proto_message *b)
{
    if (a->type == PROTO_ATTACH) {
        SAME(attach.ticket);
        SAME(attach.batch);
        SAME(attach.first);
        SAME(attach.ordered);
        SAME(attach.follow);
        SAME(attach.arguments);
        SAME(attach.results);
        SAME(attach.window_bytes);
        return;
    }
    SAME(attached.ticket);
    SAME(attached.batch);
    assert_same_text(name, a->attached.function, b->attached.function);
    SAME(attached.kind);
    SAME(attached.first);
    SAME(attached.last);
    SAME(attached.total);
    SAME(attached.sealed);
}

static void assert_same_question(const char *name, const struct proto_message *a,
                                 const struct proto_message *b)
{
    if (a->type == PROTO_REQUEST) {
        SAME(request.ticket);
        SAME(request.operation);
        SAME(request.batch);
        SAME(request.number);
        assert_same_text(name, a->request.text, b->request.text);
        return;
    }
    SAME(answer.ticket);
    SAME(answer.code);
    SAME(answer.more);
    assert_same_text(name, a->answer.text, b->answer.text);
}

/* Messages of a few numbers. */
static void assert_same_small(const char *name, const struct proto_message *a, const struct proto_message *b)
{
    if (a->type == PROTO_ACCEPTED) {
        SAME(accepted.ticket);
        SAME(accepted.batch);
    } else if (a->type == PROTO_ARGUMENTS) {
        SAME(arguments.ticket);
        SAME(arguments.first);
        SAME(arguments.count);
        SAME(arguments.shared_bytes);
    } else if (a->type == PROTO_SEAL) {
        SAME(seal.ticket);
        SAME(seal.total);
    } else if (a->type == PROTO_GRANT) {
        SAME(grant.ticket);
        SAME(grant.bytes);
    } else if (a->type == PROTO_CONSUMED) {
        SAME(consumed.ticket);
        SAME(consumed.bytes);
    } else if (a->type == PROTO_CANCEL) {
        SAME(cancel.id);
        SAME(cancel.mode);
        SAME(cancel.first);
        SAME(cancel.count);
    } else if (a->type == PROTO_RETURNED) {
        SAME(returned.batch);
        SAME(returned.chunk);
        SAME(returned.first);
        SAME(returned.count);
    } else if (a->type == PROTO_DETACH) {
        SAME(detach.ticket);
    } else if (a->type == PROTO_STANDING) {
        SAME(standing.batch);
        SAME(standing.chunk);
        SAME(standing.first);
        SAME(standing.count);
        SAME(standing.attempt);
    } else if (a->type == PROTO_KEPT) {
        SAME(kept.number);
    } else if (a->type != PROTO_STOP) {
        SAME(ping.nonce);
    }
}

static void assert_same_host(const char *name, const struct proto_message *a, const struct proto_message *b)
{
    if (a->type == PROTO_JOIN) {
        SAME(join.version);
        SAME(join.pid);
        SAME(join.session);
        SAME(join.state);
        SAME(join.epoch);
        SAME(join.workers);
        assert_same_text(name, a->join.host, b->join.host);
        assert_same_text(name, a->join.software, b->join.software);
        assert_same_text(name, a->join.sandbox, b->join.sandbox);
        SAME(join.plugin_count);
        for (uint32_t i = 0; i < a->join.plugin_count; i++) {
            assert_same_text(name, a->join.plugins[i].name, b->join.plugins[i].name);
            assert_same_text(name, a->join.plugins[i].digest, b->join.plugins[i].digest);
        }
        SAME(join.resident_count);
        for (uint32_t i = 0; i < a->join.resident_count; i++) {
            SAME(join.residents[i].place);
            assert_same_text(name, a->join.residents[i].name, b->join.residents[i].name);
        }
    } else if (a->type == PROTO_JOINED) {
        SAME(joined.version);
        SAME(joined.beat_ms);
        SAME(joined.state);
        SAME(joined.epoch);
        SAME(joined.hold_ms);
    } else if (a->type == PROTO_SPAWN) {
        SAME(spawn.place);
        assert_same_text(name, a->spawn.name, b->spawn.name);
    } else if (a->type == PROTO_KILL) {
        SAME(kill.place);
    } else if (a->type == PROTO_EXITED) {
        SAME(exited.place);
        SAME(exited.killed);
        SAME(exited.batch);
        SAME(exited.attempt);
        SAME(exited.executing);
        SAME(exited.timed_out);
        SAME(exited.progress);
        SAME(exited.chunk);
        SAME(exited.index);
        assert_same_text(name, a->exited.reason, b->exited.reason);
    } else {
        SAME(beat.nonce);
        SAME(beat.clock_ns);
    }
}

static void assert_same(const char *name, const struct proto_message *a, const struct proto_message *b)
{
    SAME(type);
    switch (a->type) {
    case PROTO_HELLO:
    case PROTO_WELCOME:
        assert_same_greeting(name, a, b);
        return;
    case PROTO_ERROR:
        SAME(error.ticket);
        SAME(error.code);
        assert_same_text(name, a->error.text, b->error.text);
        return;
    case PROTO_SUBMIT:
        assert_same_submit(name, &a->submit, &b->submit);
        return;
    case PROTO_RESULTS:
        SAME(results.ticket);
        SAME(results.worker);
        SAME(results.queued_ns);
        SAME(results.assigned_ns);
        assert_same_outcome(name, &a->results.outcome, &b->results.outcome);
        return;
    case PROTO_ENDED:
        assert_same_ended(name, &a->ended, &b->ended);
        return;
    case PROTO_CHUNK:
        assert_same_chunk(name, &a->chunk, &b->chunk);
        return;
    case PROTO_RESULT:
        SAME(result.batch);
        SAME(result.chunk);
        SAME(result.number);
        SAME(result.final);
        SAME(result.process_cpu_ns);
        SAME(result.process_voluntary);
        SAME(result.process_involuntary);
        assert_same_outcome(name, &a->result.outcome, &b->result.outcome);
        return;
    case PROTO_ATTACH:
    case PROTO_ATTACHED:
        assert_same_attachment(name, a, b);
        return;
    case PROTO_REQUEST:
    case PROTO_ANSWER:
        assert_same_question(name, a, b);
        return;
    case PROTO_DETACH:
    case PROTO_STANDING:
    case PROTO_KEPT:
    case PROTO_ACCEPTED:
    case PROTO_ARGUMENTS:
    case PROTO_SEAL:
    case PROTO_GRANT:
    case PROTO_CONSUMED:
    case PROTO_CANCEL:
    case PROTO_PING:
    case PROTO_PONG:
    case PROTO_STOP:
    case PROTO_RETURNED:
        assert_same_small(name, a, b);
        return;
    case PROTO_JOIN:
    case PROTO_JOINED:
    case PROTO_SPAWN:
    case PROTO_KILL:
    case PROTO_EXITED:
    case PROTO_BEAT:
        assert_same_host(name, a, b);
        return;
    }
    cr_assert_fail("%s: unknown type %d", name, (int)a->type);
}

static bool is_foreign(const struct proto_message *message)
{
    return (message->type == PROTO_HELLO && message->hello.version != PROTO_VERSION) ||
           (message->type == PROTO_WELCOME && message->welcome.version != PROTO_VERSION) ||
           (message->type == PROTO_JOIN && message->join.version != PROTO_VERSION) ||
           (message->type == PROTO_JOINED && message->joined.version != PROTO_VERSION);
}

static struct golden read_vector(const struct vector *vector)
{
    struct golden golden;

    cr_assert(golden_read(vector->name, &golden), "%s.hex cannot be read", vector->name);
    return golden;
}

Test(golden, header_decodes_to_its_struct)
{
    for (const struct vector *v = vectors; v < vectors + VECTORS; v++) {
        struct golden golden = read_vector(v);
        struct muster_error error = {0};
        struct proto_message message;

        cr_assert_eq(proto_decode(golden.header.bytes, golden.header.size, &zone, &message, &error), 0,
                     "%s: %s", v->name, error.text);
        assert_same(v->name, &message, &v->message);
        cr_assert_null(message.payload.blob);
        cr_assert_eq(proto_has_payload(&message), golden.has_payload, "%s", v->name);
    }
}

Test(golden, struct_encodes_to_its_header)
{
    for (const struct vector *v = vectors; v < vectors + VECTORS; v++) {
        struct golden golden = read_vector(v);

        if (is_foreign(&v->message))
            continue;
        buffer.size = 0;
        cr_assert_eq(proto_encode(&v->message, &buffer), 0, "%s", v->name);
        cr_assert_eq(buffer.size, golden.header.size, "%s", v->name);
        cr_assert(memcmp(buffer.data, golden.header.bytes, buffer.size) == 0, "%s", v->name);
    }
}

static int check_payload(const struct proto_message *message, const struct golden_frame *frame)
{
    struct proto_message with_payload = *message;
    struct blob *blob = blob_copy(frame->bytes, frame->size);
    int code;

    cr_assert_not_null(blob);
    with_payload.payload = (struct slice){.blob = blob, .size = frame->size};
    code = proto_check_payload(&with_payload, NULL);
    blob_unref(blob);
    return code;
}

Test(golden, payload_holds_the_values_that_its_header_promises)
{
    for (const struct vector *v = vectors; v < vectors + VECTORS; v++) {
        struct golden golden = read_vector(v);

        cr_assert_eq(check_payload(&v->message, &golden.payload), 0, "%s", v->name);
        cr_assert(golden.payload.size < sizeof golden.payload.bytes);
        golden.payload.bytes[golden.payload.size++] = 0xc0;
        cr_assert_eq(check_payload(&v->message, &golden.payload), MUSTER_EPROTOCOL, "%s", v->name);
    }
}

Test(golden, payload_values_survive_unpacking_and_packing)
{
    struct golden golden;
    msgpack_object value;
    size_t offset = 0;

    cr_assert(golden_read("arguments", &golden));
    while (offset < golden.payload.size) {
        cr_assert_eq(value_unpack(golden.payload.bytes, golden.payload.size, &offset, &zone, &value), 0);
        cr_assert_eq(value_pack(&value, &buffer, NULL), 0);
    }
    cr_assert_eq(buffer.size, golden.payload.size);
    cr_assert(memcmp(buffer.data, golden.payload.bytes, buffer.size) == 0);
}

Test(golden, every_file_is_tested_and_every_type_has_one)
{
    DIR *folder = opendir(PROTO_FOLDER "/golden");
    struct dirent *entry;
    size_t files = 0;

    cr_assert_not_null(folder);
    while ((entry = readdir(folder)))
        files += strlen(entry->d_name) > 4 && strcmp(entry->d_name + strlen(entry->d_name) - 4, ".hex") == 0;
    closedir(folder);
    cr_assert_eq(files, VECTORS);
    for (int type = PROTO_HELLO; type <= PROTO_BEAT; type++) {
        bool found = false;

        for (const struct vector *v = vectors; v < vectors + VECTORS; v++)
            found |= (int)v->message.type == type;
        cr_assert(found, "%s has no golden vector", proto_type_name(type));
    }
}

Test(golden, truncated_header_is_refused)
{
    for (const struct vector *v = vectors; v < vectors + VECTORS; v++) {
        struct golden golden = read_vector(v);

        for (size_t size = 0; size < golden.header.size; size++) {
            /* A copy of that size, so that a read beyond it is seen. */
            uint8_t *cut = malloc(size ? size : 1);
            struct proto_message message;

            memcpy(cut, golden.header.bytes, size);
            cr_assert_eq(proto_decode(cut, size, &zone, &message, NULL), MUSTER_EPROTOCOL,
                         "%s cut to %zu bytes", v->name, size);
            free(cut);
        }
    }
}

/* The same value in msgpack's smallest form. */
static void pack_smallest(const struct golden_frame *frame, msgpack_sbuffer *ret_smallest)
{
    msgpack_packer packer;
    msgpack_object object;
    size_t offset = 0;

    cr_assert_eq(msgpack_unpack((const char *)frame->bytes, frame->size, &offset, &zone, &object),
                 MSGPACK_UNPACK_SUCCESS);
    msgpack_packer_init(&packer, ret_smallest, msgpack_sbuffer_write);
    cr_assert_eq(msgpack_pack_object(&packer, object), 0);
}

/* What a wrong byte left decodable must say the same again when it is encoded. */
static bool decodes_and_encodes_alike(const struct golden_frame *frame)
{
    msgpack_sbuffer smallest;
    struct proto_message message;

    msgpack_zone_clear(&zone);
    if (proto_decode(frame->bytes, frame->size, &zone, &message, NULL) != 0)
        return false;
    if (is_foreign(&message))
        return true;
    msgpack_sbuffer_init(&smallest);
    pack_smallest(frame, &smallest);
    buffer.size = 0;
    cr_assert_eq(proto_encode(&message, &buffer), 0);
    cr_assert_eq(buffer.size, smallest.size);
    cr_assert(memcmp(buffer.data, smallest.data, buffer.size) == 0);
    msgpack_sbuffer_destroy(&smallest);
    return true;
}

Test(golden, wrong_byte_is_refused_or_decodes_to_what_it_says)
{
    unsigned refused = 0, decoded = 0;

    for (const struct vector *v = vectors; v < vectors + VECTORS; v++) {
        struct golden golden = read_vector(v);

        for (size_t at = 0; at < golden.header.size; at++) {
            uint8_t right = golden.header.bytes[at];

            for (unsigned wrong = 0; wrong < 256; wrong++) {
                golden.header.bytes[at] = (uint8_t)wrong;
                if (decodes_and_encodes_alike(&golden.header))
                    decoded++;
                else
                    refused++;
            }
            golden.header.bytes[at] = right;
        }
    }
    cr_assert(decoded > 1000 && refused > 1000, "%u decoded, %u refused", decoded, refused);
}

Test(golden, wrong_byte_in_a_payload_that_passes_its_check_leaves_values)
{
    for (const struct vector *v = vectors; v < vectors + VECTORS; v++) {
        struct golden golden = read_vector(v);

        for (size_t at = 0; at < golden.payload.size; at++) {
            uint8_t right = golden.payload.bytes[at];

            for (unsigned wrong = 0; wrong < 256; wrong++) {
                msgpack_object value;
                size_t offset = 0;

                golden.payload.bytes[at] = (uint8_t)wrong;
                if (check_payload(&v->message, &golden.payload) != 0)
                    continue;
                msgpack_zone_clear(&zone);
                while (offset < golden.payload.size)
                    cr_assert_eq(
                        value_unpack(golden.payload.bytes, golden.payload.size, &offset, &zone, &value), 0);
            }
            golden.payload.bytes[at] = right;
        }
    }
}
