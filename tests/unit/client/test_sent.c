/* SPDX-License-Identifier: MIT
 *
 * Arguments that were sent, asked for again in any order.
 */
#include "client/sent.h"

#include "base/error.h"

#include <criterion/criterion.h>

enum { BLOCKS = 3, JOBS = 500 /* of a block; no multiple of SENT_MARK_JOBS */ };

/* Its argument: [index, index % 7 bytes], so that arguments differ in length. */
static void pack_argument(msgpack_packer *packer, uint64_t index)
{
    static const char bytes[] = "abcdefg";

    msgpack_pack_array(packer, 2);
    msgpack_pack_uint64(packer, index);
    msgpack_pack_str(packer, index % 7);
    msgpack_pack_str_body(packer, bytes, index % 7);
}

static void send_block(struct sent *sent, uint64_t first)
{
    struct shared_uses none = {0};
    struct blob *blob;
    msgpack_sbuffer buffer;
    msgpack_packer packer;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint64_t index = first; index < first + JOBS; index++)
        pack_argument(&packer, index);
    blob = blob_take(buffer.data, buffer.size);
    cr_assert_not_null(blob);
    cr_assert_eq(sent_add(sent, blob, &none, first, JOBS, 0), 0);
    blob_unref(blob);
}

static struct sent send_blocks(void)
{
    struct sent sent = {0};

    for (uint64_t i = 0; i < BLOCKS; i++)
        send_block(&sent, 1 + i * JOBS);
    return sent;
}

static void check(struct sent *sent, uint64_t index)
{
    msgpack_object argument;
    msgpack_zone zone;

    cr_assert(msgpack_zone_init(&zone, 256));
    cr_assert_eq(sent_argument(sent, index, &zone, &argument), 0, "job %ju", (uintmax_t)index);
    cr_assert_eq(argument.type, MSGPACK_OBJECT_ARRAY);
    cr_assert_eq(argument.via.array.ptr[0].via.u64, index);
    cr_assert_eq(argument.via.array.ptr[1].via.str.size, index % 7);
    msgpack_zone_destroy(&zone);
}

Test(sent, arguments_in_order_are_those_of_their_jobs)
{
    struct sent sent = send_blocks();

    for (uint64_t index = 1; index <= BLOCKS * JOBS; index++)
        check(&sent, index);
    sent_fini(&sent);
}

Test(sent, arguments_in_reverse_order_are_those_of_their_jobs)
{
    struct sent sent = send_blocks();

    for (uint64_t index = BLOCKS * JOBS; index >= 1; index--)
        check(&sent, index);
    sent_fini(&sent);
}

/* As reports of workers come: here a few, there a few; and again, with all starts known. */
Test(sent, arguments_here_and_there_are_those_of_their_jobs)
{
    struct sent sent = send_blocks();
    uint64_t index = 1;

    for (int i = 0; i < 4 * BLOCKS * JOBS; i++) {
        index = (index * 1103515245 + 12345) % (BLOCKS * JOBS) + 1;
        check(&sent, index);
        if (index < BLOCKS * JOBS)
            check(&sent, index + 1);
    }
    sent_fini(&sent);
}

Test(sent, block_that_was_delivered_has_no_arguments)
{
    struct sent sent = send_blocks();
    msgpack_object argument;
    msgpack_zone zone;

    cr_assert(msgpack_zone_init(&zone, 256));
    check(&sent, 2 * JOBS);
    sent_delivered(&sent, JOBS + 1, JOBS);
    cr_expect_eq(sent_argument(&sent, 2 * JOBS, &zone, &argument), MUSTER_ENOTFOUND);
    check(&sent, JOBS);
    check(&sent, 2 * JOBS + 1);
    msgpack_zone_destroy(&zone);
    sent_fini(&sent);
}
