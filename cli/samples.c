/* SPDX-License-Identifier: MIT
 *
 * Every n-th argument, n doubling whenever there is no more room. See samples.h.
 */
#include "cli/samples.h"

#include "cli/json_read.h"

enum { RANGE_SAMPLES = 32 };

static void drop(struct samples *samples, size_t place)
{
    if (samples->zones[place])
        msgpack_zone_free(samples->zones[place]);
    samples->zones[place] = NULL;
}

void samples_fini(struct samples *samples)
{
    while (samples->count > 0)
        drop(samples, --samples->count);
}

/* Keeps every other one. */
static void thin_out(struct samples *samples)
{
    for (size_t i = 0; i < samples->count; i++) {
        if (i % 2 == 1) {
            drop(samples, i);
        } else {
            samples->values[i / 2] = samples->values[i];
            samples->zones[i / 2] = samples->zones[i];
            if (i > 0)
                samples->zones[i] = NULL;
        }
    }
    samples->count = (samples->count + 1) / 2;
}

/* The ends of the range and what lies between them at even distances. */
static void take_range(struct samples *samples, const struct muster_source *source)
{
    uint64_t span = (uint64_t)source->last - (uint64_t)source->first; /* of 2^64 numbers: all but one */
    size_t most = span < RANGE_SAMPLES - 1 ? (size_t)span : RANGE_SAMPLES - 1;

    samples->total = span == UINT64_MAX ? span : span + 1;
    for (size_t i = 0; i <= most; i++) {
        uint64_t part = most == 0 ? 0 : span / most * i + span % most * i / most;

        json_read_integer((int64_t)((uint64_t)source->first + part), &samples->values[samples->count++]);
    }
}

static int out_of_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory for samples");
}

/* Takes every stride-th argument; *zone is used up by one that is kept, and made anew. */
static int take_stream(struct samples *samples, const struct muster_source *source, msgpack_zone **zone,
                       struct muster_error *ret_error)
{
    uint64_t stride = 1;
    msgpack_object value;
    int code;

    while ((code = source->next(source->context, *zone, &value, ret_error)) == 0) {
        if (samples->total % stride == 0 && samples->count == SAMPLES_MAX) {
            thin_out(samples);
            stride *= 2;
        }
        if (samples->total++ % stride != 0) {
            msgpack_zone_clear(*zone);
            continue;
        }
        samples->zones[samples->count] = *zone;
        samples->values[samples->count++] = value;
        if (!(*zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE)))
            return out_of_memory(ret_error);
    }
    return code == MUSTER_EEND ? 0 : code;
}

int samples_take(struct samples *samples, const struct muster_source *source, struct muster_error *ret_error)
{
    msgpack_zone *zone;
    int code;

    *samples = (struct samples){.count = 0};
    if (source->kind == MUSTER_SOURCE_RANGE) {
        take_range(samples, source);
        return 0;
    }
    if (!(zone = msgpack_zone_new(MSGPACK_ZONE_CHUNK_SIZE)))
        return out_of_memory(ret_error);
    code = take_stream(samples, source, &zone, ret_error);
    if (zone)
        msgpack_zone_free(zone);
    if (code)
        samples_fini(samples);
    return code;
}
