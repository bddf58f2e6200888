/* SPDX-License-Identifier: MIT
 *
 * Zones that take no memory before they are used, and deep copies.
 */
#include "client/keep.h"

#include <criterion/criterion.h>
#include <malloc.h>
#include <string.h>

Test(keep, number_takes_no_memory)
{
    const msgpack_object number = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 7};
    size_t before = mallinfo2().uordblks;
    msgpack_object copy;
    msgpack_zone zone;

    keep_init(&zone);
    cr_expect_eq(keep_value(&zone, NULL, &number, &copy), 0);
    cr_expect_eq(copy.via.u64, 7);
    cr_expect_eq(keep_value(&zone, NULL, NULL, &copy), 0);
    cr_expect_eq(copy.type, MSGPACK_OBJECT_NIL);
    cr_expect_eq(mallinfo2().uordblks, before);
    keep_fini(&zone);
}

static void count(void *calls)
{
    ++*(int *)calls;
}

Test(keep, finalizers_run_whether_memory_was_taken_or_not)
{
    msgpack_zone zone;
    int calls = 0;

    keep_init(&zone);
    cr_assert(msgpack_zone_push_finalizer(&zone, count, &calls));
    cr_assert(msgpack_zone_push_finalizer(&zone, count, &calls));
    keep_fini(&zone);
    cr_expect_eq(calls, 2);
    keep_init(&zone);
    cr_assert(msgpack_zone_push_finalizer(&zone, count, &calls));
    cr_assert_not_null(msgpack_zone_malloc(&zone, 1));
    keep_fini(&zone);
    cr_expect_eq(calls, 3);
}

Test(keep, memory_is_aligned_and_grows)
{
    msgpack_zone zone;

    keep_init(&zone);
    for (size_t size = 1; size < 100000; size *= 3) {
        char *bytes = msgpack_zone_malloc(&zone, size);

        cr_assert_not_null(bytes);
        cr_expect_eq((uintptr_t)bytes % sizeof(void *), 0);
        memset(bytes, 1, size);
    }
    cr_expect_str_eq(keep_text(&zone, "text"), "text");
    cr_expect_str_eq(keep_text(&zone, ""), "");
    keep_fini(&zone);
}

Test(keep, copy_shares_nothing_with_what_it_was_made_of)
{
    char bytes[] = "abc";
    msgpack_object strings[] = {{.type = MSGPACK_OBJECT_STR, .via.str = {3, bytes}}};
    msgpack_object_kv pairs[] = {{strings[0], {.type = MSGPACK_OBJECT_ARRAY, .via.array = {1, strings}}}};
    const msgpack_object map = {.type = MSGPACK_OBJECT_MAP, .via.map = {1, pairs}};
    msgpack_object copy;
    msgpack_zone zone;

    keep_init(&zone);
    cr_assert_eq(keep_value(&zone, NULL, &map, &copy), 0);
    memset(bytes, 'x', 3);
    memset(strings, 0, sizeof strings);
    memset(pairs, 0, sizeof pairs);
    cr_expect_eq(memcmp(copy.via.map.ptr->key.via.str.ptr, "abc", 3), 0);
    cr_expect_eq(memcmp(copy.via.map.ptr->val.via.array.ptr->via.str.ptr, "abc", 3), 0);
    keep_fini(&zone);
}

Test(keep, what_is_no_value_or_too_deep_is_refused)
{
    msgpack_object levels[100], copy = {.type = MSGPACK_OBJECT_BOOLEAN};
    const msgpack_object garbage = {.type = MSGPACK_OBJECT_STR, .via.str = {5, NULL}};
    msgpack_zone zone;

    levels[99] = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    for (int i = 98; i >= 0; i--)
        levels[i] = (msgpack_object){.type = MSGPACK_OBJECT_ARRAY, .via.array = {1, &levels[i + 1]}};
    keep_init(&zone);
    cr_expect_eq(keep_value(&zone, NULL, &garbage, &copy), MUSTER_EINVALID);
    cr_expect_eq(keep_value(&zone, NULL, levels, &copy), MUSTER_ELIMIT);
    cr_expect_eq(copy.type, MSGPACK_OBJECT_BOOLEAN, "it is written on success only");
    keep_fini(&zone);
}
