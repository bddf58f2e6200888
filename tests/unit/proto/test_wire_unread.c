/* SPDX-License-Identifier: MIT
 *
 * What waits in a guarded router of all peers together: messages of many megabytes, none of which has a byte.
 * That of one peer over a real connection is in test_wire_guard.c.
 */
#include "proto/wire_internal.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 1 << 20, ALL_PIECES = PROTO_UNREAD_ALL_BYTES_MAX / PIECE };

static struct wire_context *context;
static struct wire *router;
static unsigned waiting; /* messages that were not destroyed */

static void setup(void)
{
    struct muster_error error;

    cr_assert_eq(wire_context_create(&context, &error), 0);
    cr_assert_eq(wire_open_router(context, &router, &error), 0);
    cr_assert_eq(wire_guard(router, 8, &error), 0, "%s", error.text);
}

static void teardown(void)
{
    wire_close(router, 0);
    wire_context_destroy(context);
    cr_assert_eq(waiting, 0);
}

TestSuite(wire_unread, .init = setup, .fini = teardown);

static void free_message(struct blob *blob)
{
    waiting--;
    free(blob); /* the first of the message */
}

/* A message that counts as so many bytes, all in all. */
static void come(const char *peer, size_t cost)
{
    struct received *received = calloc(1, sizeof *received);

    cr_assert(received && cost >= PROTO_UNREAD_COST_BYTES);
    blob_init(&received->own, received->bytes, cost - PROTO_UNREAD_COST_BYTES, free_message);
    received->header = &received->own;
    received->fd = -1;
    waiting++;
    cr_assert_eq(unread_add(router, peer, received), 0);
}

/* Behind a first message, which does not count, as many pieces. */
static void flood(const char *peer, unsigned pieces)
{
    come(peer, PROTO_UNREAD_COST_BYTES);
    for (unsigned i = 0; i < pieces; i++)
        come(peer, PIECE);
}

static void check_cut(const char *peer)
{
    char cut[PROTO_PEER_NAME_MAX + 1];
    const char *why;

    cr_assert(wire_take_cut(router, cut, &why), "%s was not cut off", peer);
    cr_assert_str_eq(cut, peer);
    cr_assert_not_null(why);
}

static void check_nobody_is_cut(void)
{
    char cut[PROTO_PEER_NAME_MAX + 1] = "";
    const char *why;

    cr_assert_not(wire_take_cut(router, cut, &why), "%s was cut off", cut);
}

/* The next is of this peer; it is taken. */
static void check_turn(const char *peer)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    struct received *received;

    cr_assert(unread_take(router, name, &received));
    cr_assert_str_eq(name, peer);
    received_destroy(received);
}

Test(wire_unread, who_has_most_is_cut_off_when_all_have_too_much)
{
    flood("a", ALL_PIECES / 4);
    flood("b", ALL_PIECES / 4 + 2);
    flood("c", ALL_PIECES / 4 - 1);
    flood("d", ALL_PIECES / 4 - 1);
    check_nobody_is_cut(); /* it is as much as may be */
    come("d", PROTO_UNREAD_COST_BYTES);
    check_cut("b");
    check_nobody_is_cut();
    cr_assert_eq(waiting, 3 * ALL_PIECES / 4 - 2 + 1 + 3, "what he had sent is not kept");
    cr_assert_leq(router->unread_bytes, (size_t)PROTO_UNREAD_ALL_BYTES_MAX);
    check_turn("a");
    check_turn("c");
    check_turn("d");
    check_turn("a");
}

Test(wire_unread, who_was_cut_off_leaves_his_room_to_others)
{
    flood("a", ALL_PIECES / 4);
    flood("b", ALL_PIECES / 4 + 1);
    flood("c", ALL_PIECES / 2 - 1);
    come("a", PROTO_UNREAD_COST_BYTES);
    check_cut("c");
    flood("d", ALL_PIECES / 2 - 2);
    check_nobody_is_cut();
    flood("e", 2);
    check_cut("d");
    flood("f", ALL_PIECES / 4);
    flood("g", ALL_PIECES / 4 - 4);
    check_nobody_is_cut();
    come("g", 2 * PIECE);
    check_cut("b");
    check_nobody_is_cut();
}

Test(wire_unread, what_is_taken_makes_room)
{
    char name[PROTO_PEER_NAME_MAX + 1];
    struct received *received;

    flood("a", ALL_PIECES / 4);
    flood("b", ALL_PIECES / 4 + 1);
    flood("c", ALL_PIECES / 2 - 1);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 3 * 100; i++) {
            cr_assert(unread_take(router, name, &received));
            received_destroy(received);
        }
        for (unsigned i = 0; i < 100; i++) {
            come("a", PIECE);
            come("b", PIECE);
            come("c", PIECE);
        }
        check_nobody_is_cut();
    }
    come("a", PROTO_UNREAD_COST_BYTES);
    check_cut("c");
}

Test(wire_unread, first_message_of_each_does_not_count)
{
    char name[16];

    for (unsigned i = 0; i < 2 * ALL_PIECES; i++) {
        snprintf(name, sizeof name, "peer-%u", i);
        come(name, PIECE);
    }
    check_nobody_is_cut();
    cr_assert_eq(router->unread_bytes, 0);
}

Test(wire_unread, who_has_too_much_for_one_is_cut_off_while_there_is_room_for_all)
{
    flood("a", PROTO_UNREAD_BYTES_MAX / PIECE - 1);
    flood("b", PROTO_UNREAD_BYTES_MAX / PIECE);
    check_nobody_is_cut();
    come("b", PROTO_UNREAD_COST_BYTES);
    check_cut("b");
    check_nobody_is_cut();
    check_turn("a");
}
