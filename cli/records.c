/* SPDX-License-Identifier: MIT
 *
 * How input sources are combined. A source's `values` are a queue of what was read ahead, or
 * all of them when it is `kept`; `at` is the one in the present record.
 */
#include "cli/records.h"

static int read_value(struct records *records, size_t i, struct muster_error *ret_error)
{
    int code = source_read(&records->sources[i], records->rules, ret_error);

    if (code == MUSTER_EAGAIN)
        records->awaited = i;
    return code;
}

struct word records_value(const struct records *records, size_t i)
{
    return texts_get(&records->sources[i].values, records->sources[i].at);
}

/* Groups: a source and those linked to it. */

static bool is_head(const struct records *records, size_t i)
{
    return i == 0 || !records->sources[i].spec->linked;
}

/* Behind the last source of the group that begins at `head`. */
static size_t group_end(const struct records *records, size_t head)
{
    size_t end = head + 1;

    while (end < records->count && !is_head(records, end))
        end++;
    return end;
}

/* The length of a source that has ended; one without a value counts as an empty one. */
static uint64_t length(const struct source *source)
{
    return source->count > 0 ? source->count : 1;
}

static uint64_t group_length(const struct records *records, size_t head)
{
    uint64_t shortest = UINT64_MAX;

    for (size_t i = head; i < group_end(records, head); i++)
        if (length(&records->sources[i]) < shortest)
            shortest = length(&records->sources[i]);
    return shortest;
}

/* Whether it is known that the group has but one element. */
static bool is_single(const struct records *records, size_t head)
{
    for (size_t i = head; i < group_end(records, head); i++)
        if (records->sources[i].ended && length(&records->sources[i]) == 1)
            return true;
    return false;
}

/* Moves one source on. MUSTER_EEND behind its last value, where it stays. */
static int advance(struct records *records, size_t i, struct muster_error *ret_error)
{
    struct source *source = &records->sources[i];
    int code;

    if (source->at + 1 < source->values.count) {
        source->at++;
        return 0;
    }
    if (source->ended)
        return MUSTER_EEND;
    if (source->kept) {
        code = read_value(records, i, ret_error);
        source->at += code == 0;
        return code;
    }
    texts_clear(&source->values);
    source->at = 0;
    return read_value(records, i, ret_error);
}

/* The first record. */

/* Reads on where that takes no waiting, to learn whether there is a second value. */
static int peek(struct records *records, size_t i, struct muster_error *ret_error)
{
    struct source *source = &records->sources[i];
    int code;

    if (source->ended || source->lines != &source->own_lines || source->values.count > 1)
        return 0;
    code = read_value(records, i, ret_error);
    return code == MUSTER_EEND || code == MUSTER_EAGAIN ? 0 : code;
}

/* Decides which sources have to keep their values. */
static int choose_kept(struct records *records, struct muster_error *ret_error)
{
    bool single = true;
    int code;

    for (size_t head = 0, end; head < records->count; head = end) {
        end = group_end(records, head);
        for (size_t i = head; i < end; i++)
            records->sources[i].kept = records->read_all || !single || records->sources[i].ended;
        for (size_t i = head; i < end && end < records->count; i++) {
            code = peek(records, i, ret_error);
            if (code)
                return code;
        }
        single = single && is_single(records, head);
    }
    return 0;
}

static size_t count_unwrapped(const struct records *records)
{
    size_t count = 0;

    for (size_t i = 0; i < records->count; i++)
        count += !records->sources[i].wrapped;
    return count;
}

static void choose_kept_linked(struct records *records)
{
    bool alone = count_unwrapped(records) == 1;

    for (size_t i = 0; i < records->count; i++)
        records->sources[i].kept = records->read_all || records->sources[i].ended || !alone;
}

/* Reads the first value of every source, and all that are on the command line. */
static int read_first(struct records *records, struct muster_error *ret_error)
{
    struct source *source;
    bool any = false;
    int code;

    for (; records->at < records->count; records->at++) {
        source = &records->sources[records->at];
        do {
            code = read_value(records, records->at, ret_error);
        } while (code == 0 && !source->lines);
        if (code && code != MUSTER_EEND)
            return code;
    }
    for (size_t i = 0; i < records->count; i++)
        any = any || records->sources[i].count > 0;
    if (!any)
        return MUSTER_EEND;
    for (size_t i = 0; i < records->count; i++)
        if (records->sources[i].count == 0 && texts_add(&records->sources[i].values, "", 0))
            return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return 0;
}

/* The cross product. */

/* The last group moves on; one that is at its end starts again, and the one before it moves
 * on. Within a group the last source moves first: those behind one that has ended start again
 * with the group. */
static int advance_product(struct records *records, struct muster_error *ret_error)
{
    size_t i = records->at;
    int code;

    for (;;) {
        code = advance(records, i, ret_error);
        records->at = i;
        if (code && code != MUSTER_EEND)
            return code;
        while (code == MUSTER_EEND && !is_head(records, i))
            i--;
        if (is_head(records, i)) {
            if (code == 0)
                break;
            if (i == 0)
                return MUSTER_EEND;
        }
        i--;
    }
    for (size_t later = group_end(records, i); later < records->count; later++)
        records->sources[later].at = 0;
    records->at = records->count - 1;
    return 0;
}

/* --link. */

static int advance_linked(struct records *records, struct muster_error *ret_error)
{
    int code;

    for (; records->at < records->count; records->at++) {
        code = advance(records, records->at, ret_error);
        if (code == MUSTER_EEND) {
            records->sources[records->at].at = 0;
            records->sources[records->at].wrapped = true;
            choose_kept_linked(records);
        } else if (code) {
            return code;
        }
    }
    records->at = 0;
    return count_unwrapped(records) > 0 ? 0 : MUSTER_EEND;
}

/* All values in memory: records by their index. */

/* What is read next: of the cross product the last source to its end first, with --link a
 * value of each in turn. `count` when all is read. It matters where sources share a file. */
static size_t next_to_load(const struct records *records)
{
    size_t i;

    for (size_t turn = 1; turn <= records->count; turn++) {
        i = records->link ? (records->at + turn) % records->count : records->count - turn;
        if (!records->sources[i].ended)
            return i;
    }
    return records->count;
}

/* How many records all values make. */
static int count_records(const struct records *records, uint64_t *ret_total)
{
    uint64_t total = 1;

    for (size_t i = 0; records->link && i < records->count; i++)
        if (length(&records->sources[i]) > total)
            total = length(&records->sources[i]);
    for (size_t head = 0; !records->link && head < records->count; head = group_end(records, head))
        if (__builtin_mul_overflow(total, group_length(records, head), &total))
            return MUSTER_ELIMIT;
    *ret_total = total;
    return 0;
}

static int load(struct records *records, struct muster_error *ret_error)
{
    size_t i;
    int code;

    while ((i = next_to_load(records)) < records->count) {
        code = read_value(records, i, ret_error);
        if (code == MUSTER_EAGAIN && records->link)
            records->at = i > 0 ? i - 1 : records->count - 1;
        else
            records->at = i;
        if (code && code != MUSTER_EEND)
            return code;
    }
    if (count_records(records, &records->total))
        return muster_error_set(ret_error, MUSTER_ELIMIT, "more combinations than 64 bits can count");
    return 0;
}

/* splitmix64's finisher. */
static uint64_t mix(uint64_t number)
{
    number += UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

/* A permutation of 0..total-1 that needs no memory: a Feistel network over the next power of
 * four, walked until it comes back into the range: less than four steps on average. */
static uint64_t permute(uint64_t index, uint64_t total, uint64_t seed)
{
    unsigned half = 1;
    uint64_t mask, left, right, swapped;

    while (half < 32 && (total - 1) >> (2 * half) > 0)
        half++;
    mask = (UINT64_C(1) << half) - 1;
    do {
        left = index >> half;
        right = index & mask;
        for (unsigned round = 0; round < 6; round++) {
            swapped = left ^ (mix(mix(seed + round) ^ right) & mask);
            left = right;
            right = swapped;
        }
        index = left << half | right;
    } while (index >= total);
    return index;
}

static void locate(struct records *records, uint64_t index)
{
    uint64_t count;
    size_t head = records->count;

    for (size_t i = records->count; i-- > 0;) {
        if (records->link) {
            records->sources[i].at = (size_t)(index % length(&records->sources[i]));
            continue;
        }
        if (!is_head(records, i))
            continue;
        count = group_length(records, i);
        for (size_t member = i; member < head; member++)
            records->sources[member].at = (size_t)(index % count);
        index /= count;
        head = i;
    }
}

/* States. */

static int next_indexed(struct records *records)
{
    uint64_t index = records->index;

    if (index == records->total)
        return MUSTER_EEND;
    locate(records, records->shuffle ? permute(index, records->total, records->seed) : index);
    records->index++;
    return 0;
}

static int begin(struct records *records, struct muster_error *ret_error)
{
    int code = read_first(records, ret_error);

    if (code)
        return code;
    if (records->link)
        choose_kept_linked(records);
    else
        code = choose_kept(records, ret_error);
    if (code)
        return code;
    records->at = records->link && !records->read_all ? 0 : records->count - 1;
    records->state = records->read_all ? RECORDS_LOADING : RECORDS_NEXT;
    return 0;
}

static int move(struct records *records, struct muster_error *ret_error)
{
    int code;

    if (records->state == RECORDS_NEXT)
        return records->link ? advance_linked(records, ret_error) : advance_product(records, ret_error);
    if (records->state == RECORDS_FIRST) {
        code = begin(records, ret_error);
        if (code || records->state == RECORDS_NEXT)
            return code;
    }
    if (records->state == RECORDS_LOADING) {
        code = load(records, ret_error);
        if (code)
            return code;
        records->state = RECORDS_INDEXED;
    }
    return records->state == RECORDS_INDEXED ? next_indexed(records) : MUSTER_EEND;
}

int records_next(struct records *records, struct muster_error *ret_error)
{
    int code = move(records, ret_error);

    if (code == MUSTER_EEND)
        records->state = RECORDS_ENDED;
    return code;
}

uint64_t records_total(const struct records *records)
{
    uint64_t total, values = 0;

    for (size_t i = 0; i < records->count; i++) {
        if (!records->sources[i].ended)
            return 0;
        values += records->sources[i].count;
    }
    return values == 0 || count_records(records, &total) ? 0 : total;
}
