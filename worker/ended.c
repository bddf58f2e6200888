/* SPDX-License-Identifier: MIT
 *
 * From outcomes in any order to reports of neighbours. See ended.h.
 */
#include "worker/ended.h"

#include "base/clock.h"
#include "proto/codec.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

int ended_init(struct ended *ended, struct lent *lent)
{
    *ended = (struct ended){.lent = lent};
    pthread_getcpuclockid(pthread_self(), &ended->cpu_clock);
    if (report_init(&ended->report) != 0)
        return MUSTER_ENOMEM;
    if (!msgpack_zone_init(&ended->texts, 1024)) {
        report_fini(&ended->report);
        return MUSTER_ENOMEM;
    }
    msgpack_sbuffer_init(&ended->values);
    return 0;
}

void ended_fini(struct ended *ended)
{
    free(ended->list);
    msgpack_sbuffer_destroy(&ended->values);
    msgpack_zone_destroy(&ended->texts);
    report_fini(&ended->report);
}

static int set_failure(struct ended *ended, struct outcome *outcome, int code, const char *text)
{
    struct proto_text view = proto_text(text);
    char *copy = msgpack_zone_malloc(&ended->texts, view.size ? view.size : 1);

    if (!copy)
        return MUSTER_ENOMEM;
    memcpy(copy, view.bytes, view.size);
    outcome->code = code;
    outcome->text = (struct proto_text){.bytes = copy, .size = view.size};
    ended->failures++;
    return 0;
}

/* When its function had returned. */
static uint64_t end_of(const struct outcome *outcome)
{
    return outcome->began_ns + outcome->decode_ns + outcome->execute_ns;
}

int ended_add(struct ended *ended, const struct outcome *outcome, const msgpack_object *value,
              const char *text)
{
    struct outcome *added;
    struct muster_error error;
    int code;

    if (ended->count == ended->capacity) {
        size_t capacity = ended->capacity ? 2 * ended->capacity : 256;
        struct outcome *list = reallocarray(ended->list, capacity, sizeof *list);

        if (!list)
            return MUSTER_ENOMEM;
        ended->list = list;
        ended->capacity = capacity;
    }
    added = &ended->list[ended->count];
    *added = *outcome;
    added->offset = ended->values.size;
    added->encode_ns = 0;
    if (outcome->code != 0 && (code = set_failure(ended, added, outcome->code, text)) != 0)
        return code;
    if (outcome->code == 0 || outcome->valued) {
        uint64_t began_ns = clock_now_ns();

        code = lent_pack(ended->lent, outcome->lot->assignment->chunk, value, &ended->values,
                         &added->shared_bytes, &error);
        added->encode_ns = clock_now_ns() - began_ns;
        added->size = ended->values.size - added->offset;
        added->valued = outcome->valued && code == 0;
        if (code != 0) /* a job whose value there is no memory for fails alone */
            code = set_failure(ended, added, code, error.text);
        if (code != 0)
            return code;
    }
    ended->held_ns += outcome->held_ns;
    ended->shared_bytes += added->shared_bytes;
    if (ended->count++ == 0)
        ended->oldest_ns = end_of(outcome);
    return 0;
}

bool ended_due(const struct ended *ended, uint64_t now_ns, uint64_t hold_ns)
{
    return ended->count > 0 &&
           (ended->values.size + ended->shared_bytes >= PROTO_BLOCK_BYTES ||
            ended->failures >= PROTO_REPORT_FAILURES_MAX || now_ns >= clock_after(ended->oldest_ns, hold_ns));
}

static int compare(const void *a, const void *b)
{
    const struct outcome *x = a, *y = b;
    uint64_t chunk_x = x->lot->assignment->chunk->chunk, chunk_y = y->lot->assignment->chunk->chunk;

    if (chunk_x != chunk_y)
        return chunk_x < chunk_y ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* Most often they ended in order. */
static void sort(struct ended *ended)
{
    for (size_t i = 1; i < ended->count; i++)
        if (compare(&ended->list[i - 1], &ended->list[i]) > 0) {
            qsort(ended->list, ended->count, sizeof *ended->list, compare);
            return;
        }
}

/* How many of the outcomes from `run` on are of neighbours, and fit one report. */
static size_t count_neighbours(const struct outcome *run, const struct outcome *end)
{
    size_t count = 1, bytes = run->size + run->shared_bytes;
    uint32_t failures = run->code != 0;

    while (run + count < end && run[count].lot == run->lot && run[count].place == run->place + count &&
           bytes < PROTO_BLOCK_BYTES && failures < PROTO_REPORT_FAILURES_MAX) {
        bytes += run[count].size + run[count].shared_bytes;
        failures += run[count].code != 0;
        count++;
    }
    return count;
}

static uint64_t earliest(const struct outcome *run, size_t count)
{
    uint64_t began_ns = run->began_ns;

    for (size_t i = 1; i < count; i++)
        if (run[i].began_ns < began_ns)
            began_ns = run[i].began_ns;
    return began_ns;
}

/* Puts one outcome behind those that the report has. */
static int put(struct ended *ended, const struct proto_chunk *chunk, const struct outcome *outcome,
               double share)
{
    struct report *report = &ended->report;
    struct proto_failure failure = {.index = chunk->first + outcome->place,
                                    .code = outcome->code,
                                    .text = outcome->text,
                                    .valued = outcome->valued};

    if (chunk->timings) {
        uint64_t *timing = report->timings + PROTO_TIMINGS * (size_t)report->outcome.count;

        timing[0] = outcome->execute_ns ? outcome->began_ns - report->outcome.began_ns : 0;
        timing[1] = outcome->decode_ns;
        timing[2] = outcome->execute_ns;
        timing[3] = outcome->encode_ns;
        timing[4] = outcome->cpu_ns;
    }
    report->outcome.count++;
    report->outcome.shared_bytes += outcome->shared_bytes;
    report->outcome.decode_ns += outcome->decode_ns;
    report->outcome.execute_ns += outcome->execute_ns;
    report->outcome.encode_ns += outcome->encode_ns;
    report->outcome.cpu_ns +=
        outcome->cpu_ns ? outcome->cpu_ns : (uint64_t)(share * (double)outcome->held_ns);
    if (outcome->code != 0 && !outcome->valued)
        return report_failure(report, &failure);
    if (msgpack_sbuffer_write(&report->values, ended->values.data + outcome->offset, outcome->size) == 0)
        return outcome->valued ? report_failure(report, &failure) : 0;
    if (report->outcome.failure_count >= PROTO_REPORT_FAILURES_MAX)
        return MUSTER_ENOMEM;
    failure.code = MUSTER_ENOMEM;
    failure.text = proto_text("no memory to send a value");
    failure.valued = false;
    return report_failure(report, &failure);
}

/* Of the time for which jobs had the thread since the last report, the part that it ran. */
static double take_share(struct ended *ended)
{
    uint64_t cpu_ns = clock_read_ns(ended->cpu_clock), used_ns = cpu_ns - ended->reported_cpu_ns;

    ended->reported_cpu_ns = cpu_ns;
    return used_ns < ended->held_ns ? (double)used_ns / (double)ended->held_ns : 1;
}

int ended_report(struct ended *ended, struct link *link)
{
    const struct outcome *run = ended->list, *end = run + ended->count;
    double share = take_share(ended);
    int result = 0;

    lent_publish(ended->lent);
    sort(ended);
    while (run < end && result == 0) {
        struct lot *lot = run->lot;
        const struct proto_chunk *chunk = lot->assignment->chunk;
        size_t count = count_neighbours(run, end);

        result =
            report_begin(&ended->report, lot->assignment, chunk->first + run->place, earliest(run, count));
        ended->report.outcome.split = true;
        for (size_t i = 0; i < count && result == 0; i++)
            result = put(ended, chunk, &run[i], share);
        run += count;
        lot->finished = lot_over(lot) && (run == end || run->lot != lot);
        if (result == 0)
            result = report_post(&ended->report, chunk, lot->finished, link);
    }
    ended->count = ended->failures = 0;
    ended->held_ns = ended->shared_bytes = 0;
    msgpack_sbuffer_clear(&ended->values);
    if (ended->values.alloc > 4 * PROTO_BLOCK_BYTES) { /* one large value is not kept room for */
        msgpack_sbuffer_destroy(&ended->values);
        msgpack_sbuffer_init(&ended->values);
    }
    msgpack_zone_clear(&ended->texts);
    return result;
}
