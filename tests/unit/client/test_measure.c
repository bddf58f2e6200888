/* SPDX-License-Identifier: MIT
 *
 * Values and what only looks like one.
 */
#include "client/measure.h"

#include "proto/limits.h"

#include <criterion/criterion.h>
#include <string.h>

static msgpack_object text(const char *bytes, uint32_t size)
{
    msgpack_object value = {.type = MSGPACK_OBJECT_STR};

    value.via.str.ptr = bytes;
    value.via.str.size = size;
    return value;
}

static msgpack_object array(msgpack_object *items, uint32_t count)
{
    msgpack_object value = {.type = MSGPACK_OBJECT_ARRAY};

    value.via.array.ptr = items;
    value.via.array.size = count;
    return value;
}

static int measure(msgpack_object value)
{
    size_t bytes;

    return measure_value(&value, &bytes);
}

Test(measure, parts_of_all_levels_are_added_up)
{
    msgpack_object inner[2] = {text("abc", 3), text("", 0)}, outer[2], value;
    msgpack_object_kv pair = {.key = text("key", 3), .val = text("value", 5)};
    size_t bytes = 0;

    outer[0] = array(inner, 2);
    outer[1] = (msgpack_object){.type = MSGPACK_OBJECT_MAP};
    outer[1].via.map.ptr = &pair;
    outer[1].via.map.size = 1;
    value = array(outer, 2);
    cr_assert_eq(measure_value(&value, &bytes), 0);
    cr_expect_eq(bytes, 3 + 3 + 5 + 7 * sizeof(msgpack_object));
}

Test(measure, type_that_does_not_exist_is_refused_at_any_level)
{
    msgpack_object garbage = {.type = (msgpack_object_type)0x77}, holder = array(&garbage, 1);

    cr_expect_eq(measure(garbage), MUSTER_EINVALID);
    cr_expect_eq(measure(holder), MUSTER_EINVALID);
}

Test(measure, content_at_no_address_is_refused)
{
    cr_expect_eq(measure(text(NULL, 1)), MUSTER_EINVALID);
    cr_expect_eq(measure(array(NULL, 1)), MUSTER_EINVALID);
    cr_expect_eq(measure(text(NULL, 0)), 0);
    cr_expect_eq(measure(array(NULL, 0)), 0);
}

Test(measure, nesting_ends_at_the_limit)
{
    msgpack_object levels[PROTO_DEPTH_MAX + 1] = {{.type = MSGPACK_OBJECT_NIL}};

    for (int i = 1; i <= PROTO_DEPTH_MAX; i++)
        levels[i] = array(&levels[i - 1], 1);
    cr_expect_eq(measure(levels[PROTO_DEPTH_MAX]), 0);
    cr_expect_eq(measure(array(&levels[PROTO_DEPTH_MAX], 1)), MUSTER_ELIMIT);
}

Test(measure, value_that_contains_itself_is_refused)
{
    msgpack_object loop;

    loop = array(&loop, 1);
    cr_expect_eq(measure(loop), MUSTER_ELIMIT);
}

Test(measure, one_shared_part_counted_too_often_is_refused)
{
    enum { SHARED_BYTES = 1 << 20 };
    static char bytes[SHARED_BYTES];
    static msgpack_object items[PROTO_VALUE_BYTES_MAX / SHARED_BYTES + 1];

    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        items[i] = text(bytes, SHARED_BYTES);
    cr_expect_eq(measure(array(items, PROTO_VALUE_BYTES_MAX / SHARED_BYTES)), 0);
    cr_expect_eq(measure(array(items, PROTO_VALUE_BYTES_MAX / SHARED_BYTES + 1)), MUSTER_ELIMIT);
}

Test(measure, counts_beyond_the_limit_are_refused_before_they_are_walked)
{
    msgpack_object one = {.type = MSGPACK_OBJECT_NIL}, map = {.type = MSGPACK_OBJECT_MAP};

    map.via.map.ptr = (msgpack_object_kv *)&one;
    map.via.map.size = UINT32_MAX;
    cr_expect_eq(measure(array(&one, UINT32_MAX)), MUSTER_ELIMIT);
    cr_expect_eq(measure(map), MUSTER_ELIMIT);
}
