/* SPDX-License-Identifier: MIT
 *
 * Lanes of buckets. See timeline.h.
 */
#include "lab/timeline.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKET_NS = 1000 }; /* so that a run of a millisecond fits without doubling */

/* No run is as long: 36 years. Below it sums do not overflow. */
static const uint64_t LENGTH_MAX_NS = UINT64_C(1) << 60;

struct timeline *timeline_create(unsigned workers, uint64_t origin_ns)
{
    struct timeline *timeline = calloc(1, sizeof *timeline);

    if (!timeline)
        return NULL;
    timeline->workers = workers;
    timeline->origin_ns = origin_ns;
    timeline->bucket_ns = FIRST_BUCKET_NS;
    timeline->lane_count = workers < TIMELINE_LANES ? workers : TIMELINE_LANES;
    for (unsigned i = 0; i < timeline->lane_count; i++)
        timeline->lanes[i].worker = i + 1;
    return timeline;
}

/* Every two buckets become one. */
static void widen_lane(struct timeline_lane *lane)
{
    for (size_t i = 0; i < TIMELINE_BUCKETS / 2; i++) {
        const struct timeline_bucket *left = &lane->buckets[2 * i], *right = left + 1;

        lane->buckets[i] = (struct timeline_bucket){left->computing_ns + right->computing_ns,
                                                    left->waiting_ns + right->waiting_ns};
    }
    memset(lane->buckets + TIMELINE_BUCKETS / 2, 0, sizeof lane->buckets / 2);
}

static void widen(struct timeline *timeline, uint64_t end_ns)
{
    while (end_ns > timeline->bucket_ns * TIMELINE_BUCKETS) {
        for (size_t i = 0; i <= TIMELINE_LANES; i++)
            widen_lane(&timeline->lanes[i]);
        timeline->bucket_ns *= 2;
    }
}

/* Of the time from begin_ns to end_ns, what falls into a bucket. */
static uint64_t overlap(const struct timeline *timeline, size_t bucket, uint64_t begin_ns, uint64_t end_ns)
{
    uint64_t from = bucket * timeline->bucket_ns, to = from + timeline->bucket_ns;

    from = from > begin_ns ? from : begin_ns;
    to = to < end_ns ? to : end_ns;
    return to > from ? to - from : 0;
}

/* Whether the lane has room for a job at that time. */
static bool has_room(const struct timeline *timeline, const struct timeline_lane *lane, uint64_t begin_ns,
                     uint64_t end_ns)
{
    for (size_t i = begin_ns / timeline->bucket_ns; i < TIMELINE_BUCKETS; i++) {
        uint64_t part = overlap(timeline, i, begin_ns, end_ns);

        if (part == 0)
            break;
        if (lane->buckets[i].computing_ns + lane->buckets[i].waiting_ns + part > timeline->bucket_ns)
            return false;
    }
    return true;
}

static struct timeline_lane *choose_lane(struct timeline *timeline, unsigned worker, uint64_t begin_ns,
                                         uint64_t end_ns)
{
    struct timeline_lane *rest = &timeline->lanes[TIMELINE_LANES];

    if (timeline->workers > 0)
        return worker >= 1 && worker <= timeline->lane_count ? &timeline->lanes[worker - 1] : rest;
    for (size_t i = 0; i < timeline->lane_count; i++)
        if (has_room(timeline, &timeline->lanes[i], begin_ns, end_ns))
            return &timeline->lanes[i];
    return timeline->lane_count < TIMELINE_LANES ? &timeline->lanes[timeline->lane_count++] : rest;
}

void timeline_add(struct timeline *timeline, unsigned worker, uint64_t began_ns, uint64_t wall_ns,
                  uint64_t cpu_ns)
{
    uint64_t begin_ns = began_ns - timeline->origin_ns, end_ns = begin_ns + wall_ns;
    struct timeline_lane *lane;
    double computing;

    if (began_ns == 0 || began_ns < timeline->origin_ns || begin_ns > LENGTH_MAX_NS ||
        wall_ns > LENGTH_MAX_NS) {
        timeline->unknown++;
        return;
    }
    widen(timeline, end_ns);
    lane = choose_lane(timeline, worker, begin_ns, end_ns);
    cpu_ns = cpu_ns < wall_ns ? cpu_ns : wall_ns;
    computing = wall_ns ? (double)cpu_ns / (double)wall_ns : 0;
    timeline->jobs++;
    lane->jobs++;
    lane->computing_ns += cpu_ns;
    lane->waiting_ns += wall_ns - cpu_ns;
    for (size_t i = begin_ns / timeline->bucket_ns; i < TIMELINE_BUCKETS; i++) {
        uint64_t part = overlap(timeline, i, begin_ns, end_ns), part_computing;

        if (part == 0)
            break;
        part_computing = (uint64_t)((double)part * computing);
        lane->buckets[i].computing_ns += part_computing;
        lane->buckets[i].waiting_ns += part - part_computing;
    }
}

const struct timeline_lane *timeline_rest(const struct timeline *timeline)
{
    const struct timeline_lane *rest = &timeline->lanes[TIMELINE_LANES];

    return rest->jobs > 0 ? rest : NULL;
}

/* What of the buckets lies between two times: a bucket that is cut gives its part. */
static struct timeline_share sum(const struct timeline *timeline, const struct timeline_lane *lane,
                                 double from_ns, double to_ns)
{
    double width = (double)timeline->bucket_ns;
    struct timeline_share share = {0, 0};

    for (size_t i = (size_t)(from_ns / width); i < TIMELINE_BUCKETS && (double)i * width < to_ns; i++) {
        double begin = (double)i * width, end = begin + width, part;

        begin = begin > from_ns ? begin : from_ns;
        end = end < to_ns ? end : to_ns;
        part = end > begin ? (end - begin) / width : 0;
        share.computing += part * (double)lane->buckets[i].computing_ns;
        share.waiting += part * (double)lane->buckets[i].waiting_ns;
    }
    return share;
}

void timeline_sample(const struct timeline *timeline, const struct timeline_lane *lane, uint64_t span_ns,
                     size_t count, struct timeline_share *ret_shares)
{
    double width = (double)span_ns / (double)count, most = width;

    for (size_t i = 0; i < count; i++) {
        struct timeline_share *share = &ret_shares[i];

        *share = sum(timeline, lane, (double)i * width, (double)(i + 1) * width);
        if (share->computing + share->waiting > most)
            most = share->computing + share->waiting;
    }
    for (size_t i = 0; i < count; i++) {
        ret_shares[i].computing /= most > 0 ? most : 1;
        ret_shares[i].waiting /= most > 0 ? most : 1;
    }
}
