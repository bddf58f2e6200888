/* SPDX-License-Identifier: MIT
 *
 * Reports on their way to the coordinator. See report.h.
 */
#include "worker/report.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

int report_init(struct report *report)
{
    *report = (struct report){.capacity = 0};
    if (!msgpack_zone_init(&report->texts, 1024))
        return MUSTER_ENOMEM;
    msgpack_sbuffer_init(&report->values);
    return 0;
}

void report_fini(struct report *report)
{
    msgpack_sbuffer_destroy(&report->values);
    free(report->failures);
    free(report->timings);
    msgpack_zone_destroy(&report->texts);
}

/* Of the same chunk. */
static void begin(struct report *report, uint64_t first, uint64_t began_ns)
{
    msgpack_zone_clear(&report->texts);
    report->outcome = (struct proto_outcome){.first = first,
                                             .attempt = report->outcome.attempt,
                                             .arrived_ns = report->outcome.arrived_ns,
                                             .began_ns = began_ns,
                                             .split = report->outcome.split};
}

void report_go_on(struct report *report, uint64_t began_ns)
{
    begin(report, report->outcome.first + report->outcome.count, began_ns);
}

int report_begin(struct report *report, const struct assignment *assignment, uint64_t first,
                 uint64_t began_ns)
{
    const struct proto_chunk *chunk = assignment->chunk;

    report->outcome.attempt = chunk->attempt;
    report->outcome.arrived_ns = assignment->frame->received_ns;
    report->outcome.split = false;
    begin(report, first, began_ns);
    if (!report->values.data && report->values_bytes) {
        report->values.data = malloc(report->values_bytes);
        report->values.alloc = report->values.data ? report->values_bytes : 0;
    }
    if (chunk->timings && !report->timings) {
        report->timings = calloc(PROTO_TIMINGS * (size_t)PROTO_CHUNK_JOBS_MAX, sizeof *report->timings);
        if (!report->timings)
            return MUSTER_ENOMEM;
    }
    return 0;
}

int report_failure(struct report *report, const struct proto_failure *failure)
{
    const struct proto_text *text = &failure->text;
    struct proto_failure *noted;
    char *copy;

    if (report->outcome.failure_count == report->capacity) {
        uint32_t capacity = report->capacity ? 2 * report->capacity : 64;
        struct proto_failure *failures = reallocarray(report->failures, capacity, sizeof *failures);

        if (!failures)
            return MUSTER_ENOMEM;
        report->failures = failures;
        report->capacity = capacity;
    }
    copy = msgpack_zone_malloc(&report->texts, text->size ? text->size : 1);
    if (!copy)
        return MUSTER_ENOMEM;
    memcpy(copy, text->bytes, text->size);
    noted = &report->failures[report->outcome.failure_count++];
    *noted = *failure;
    noted->text.bytes = copy;
    return 0;
}

static uint64_t ns_of(const struct timeval *time)
{
    return (uint64_t)time->tv_sec * CLOCK_NS_PER_S + (uint64_t)time->tv_usec * CLOCK_NS_PER_US;
}

int report_post(struct report *report, const struct proto_chunk *chunk, bool final, struct link *link)
{
    struct blob *values = blob_take(report->values.data, report->values.size);
    struct proto_message message = {.type = PROTO_RESULT};
    struct wire_parcel *parcel;
    struct rusage usage;
    int result;

    if (!values)
        return MUSTER_ENOMEM;
    report->values_bytes = report->values.alloc;
    msgpack_sbuffer_init(&report->values);
    report->outcome.reported_ns = clock_now_ns();
    report->outcome.failures = report->failures;
    report->outcome.timings = chunk->timings && report->outcome.count > 0 ? report->timings : NULL;
    getrusage(RUSAGE_SELF, &usage); /* the CPU time, too: a clock of it is a system call more */
    message.result = (struct proto_result){.batch = chunk->batch,
                                           .chunk = chunk->chunk,
                                           .number = link_number(link),
                                           .final = final,
                                           .process_cpu_ns = ns_of(&usage.ru_utime) + ns_of(&usage.ru_stime),
                                           .process_voluntary = (uint64_t)usage.ru_nvcsw,
                                           .process_involuntary = (uint64_t)usage.ru_nivcsw,
                                           .outcome = report->outcome};
    message.payload = (struct slice){.blob = values, .size = values->size};
    result = wire_pack(&message, &parcel);
    blob_unref(values);
    if (result == 0)
        link_post(link, &message.result, &parcel);
    return result;
}
