/* SPDX-License-Identifier: MIT
 *
 * What each golden vector decodes to.
 */
#include "base/error.h"
#include "golden.h"

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
const struct vector vectors[] = {
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
    {"submit-common", {.type = PROTO_SUBMIT, .submit = {
        .ticket = 1, .function = TEXT("command"), .kind = PROTO_LIST, .crash_limit = 3, .window_bytes = 4 << 20,
        .attach = true, .cpus = 1, .common = TEXT("\x81\xa3" "dir\xa4/tmp")}}},
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
    {"chunk-common", {.type = PROTO_CHUNK, .chunk = {
        .batch = 3, .chunk = 13, .function = TEXT("command"), .first = 9, .count = 1, .attempt = 2,
        .timeout_ms = 1500, .timings = true, .reader = 4242, .kind = PROTO_LIST,
        .common = TEXT("\x81\xa3" "dir\xa4/tmp")}}},
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
        .version = 5, .pid = 4242, .session = 1001, .state = 2002, .epoch = 3, .connection = 2, .workers = 8,
        .host = TEXT("node7"), .software = TEXT("muster 0.1.0"), .plugins = join_plugins, .plugin_count = 1,
        .residents = join_residents, .resident_count = 2}}},
    {"join-confined", {.type = PROTO_JOIN, .join = {
        .version = 5, .pid = 4242, .session = 1, .connection = 1, .workers = 1024, .software = TEXT("muster 0.1.0"),
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

const size_t vector_count = sizeof vectors / sizeof *vectors;
