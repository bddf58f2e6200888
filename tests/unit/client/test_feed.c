/* SPDX-License-Identifier: MIT
 *
 * Runs of jobs are split and joined without losing one, or a reference.
 */
#include "client/feed.h"

#include "proto/limits.h"

#include <criterion/criterion.h>
#include <string.h>

static int next_text(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                     struct muster_error *ret_error)
{
    size_t *size = context;
    char *bytes = msgpack_zone_malloc(zone, *size);

    (void)ret_error;
    if (!bytes)
        return MUSTER_ENOMEM;
    memset(bytes, 'x', *size);
    ret_argument->type = MSGPACK_OBJECT_STR;
    ret_argument->via.str.ptr = bytes;
    ret_argument->via.str.size = (uint32_t)*size;
    return 0;
}

/* Blocks of texts of this size. */
static struct muster_source texts(size_t *size)
{
    return (struct muster_source){.kind = MUSTER_SOURCE_STREAM, .next = next_text, .context = size, .fd = -1};
}

static struct feed_jobs pull(struct feed *feed)
{
    struct feed_block *block = NULL;

    while (feed_pull(feed, &block) && !feed_is_full(block))
        ;
    return feed_jobs_of_block(feed, block);
}

Test(feed, split_range_keeps_every_argument)
{
    struct muster_source source = muster_source_range(-2, 2);
    struct feed_jobs rest = feed_jobs_of_range(&source), head = feed_jobs_take(&rest, 3);
    msgpack_object number;

    cr_assert_eq(head.count, 3);
    cr_assert_eq(rest.count, 2);
    cr_expect_eq(head.first, 1);
    cr_expect_eq(rest.first, 4);
    cr_expect_eq(feed_argument(&head, 0, &number)->via.i64, -2);
    cr_expect_eq(number.type, MSGPACK_OBJECT_NEGATIVE_INTEGER);
    cr_expect_eq(feed_argument(&rest, 0, &number)->via.i64, 1);
    cr_expect_eq(feed_argument(&rest, 1, &number)->via.u64, 2);
    cr_expect_eq(number.type, MSGPACK_OBJECT_POSITIVE_INTEGER);
}

Test(feed, jobs_put_back_are_whole_again)
{
    struct muster_source source = muster_source_range(1, 100);
    struct feed_jobs queue = feed_jobs_of_range(&source), taken = feed_jobs_take(&queue, 10), rest = taken;

    feed_jobs_take(&rest, 4);
    feed_jobs_return(&queue, &rest);
    cr_expect_eq(queue.first, 5);
    cr_expect_eq(queue.count, 96);
    cr_expect_eq(queue.argument, 5);
    cr_expect_eq(rest.count, 0);
}

Test(feed, take_of_all_or_nothing_leaves_one_reference)
{
    size_t size = 10;
    struct muster_source source = texts(&size);
    struct feed_jobs jobs, taken;
    struct feed feed;

    feed_init(&feed, &source);
    jobs = pull(&feed);
    cr_assert_not_null(jobs.block);
    taken = feed_jobs_take(&jobs, 0);
    cr_expect_null(taken.block);
    taken = feed_jobs_take(&jobs, jobs.count);
    cr_expect_null(jobs.block);
    cr_expect_eq(atomic_load(&taken.block->references), 1);
    feed_jobs_drop(&taken);
    cr_expect_eq(atomic_load(&feed.live_bytes), 0);
}

Test(feed, block_lives_until_its_last_part_is_dropped)
{
    size_t size = 100;
    struct muster_source source = texts(&size);
    struct feed_jobs first, second;
    struct feed feed;

    feed_init(&feed, &source);
    second = pull(&feed);
    first = feed_jobs_take(&second, 5);
    cr_expect_geq(atomic_load(&feed.live_bytes), FEED_BLOCK_JOBS * 100);
    feed_jobs_drop(&first);
    cr_expect_eq(feed_argument(&second, 0, NULL)->via.str.ptr[99], 'x');
    cr_expect_eq(second.first, 6);
    feed_jobs_drop(&second);
    cr_expect_eq(atomic_load(&feed.live_bytes), 0);
}

Test(feed, block_of_large_arguments_is_full_early)
{
    size_t size = PROTO_BLOCK_BYTES / 4;
    struct muster_source source = texts(&size);
    struct feed_jobs jobs;
    struct feed feed;

    feed_init(&feed, &source);
    jobs = pull(&feed);
    cr_expect_leq(jobs.count, 4);
    cr_expect_eq(feed.pulled, jobs.count);
    feed_jobs_drop(&jobs);
}
