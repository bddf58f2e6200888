/* SPDX-License-Identifier: MIT
 *
 * See rig.h.
 */
#include "rig.h"

#include <criterion/criterion.h>
#include <string.h>

struct rig rig;

void rig_init(void)
{
    rig.registry = registry_create();
    cr_assert_not_null(rig.registry);
    cr_assert(msgpack_zone_init(&rig.zone, 8192));
    call_init(&rig.call, &rig.zone, &rig.cancel, &rig.progress);
}

void rig_fini(void)
{
    msgpack_zone_destroy(&rig.zone);
    registry_destroy(rig.registry);
}

msgpack_object integer(int64_t number)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER};

    object.via.i64 = number;
    if (number < 0)
        object.type = MSGPACK_OBJECT_NEGATIVE_INTEGER;
    return object;
}

msgpack_object number(double number)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_FLOAT64};

    object.via.f64 = number;
    return object;
}

msgpack_object boolean(bool value)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_BOOLEAN};

    object.via.boolean = value;
    return object;
}

msgpack_object text(const char *string)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_STR};

    object.via.str.ptr = string;
    object.via.str.size = (uint32_t)strlen(string);
    return object;
}

msgpack_object bytes(const void *content, size_t size)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_BIN};

    object.via.bin.ptr = content;
    object.via.bin.size = (uint32_t)size;
    return object;
}

msgpack_object array(size_t count, msgpack_object *elements)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_ARRAY};

    object.via.array.ptr = elements;
    object.via.array.size = (uint32_t)count;
    return object;
}

msgpack_object map(size_t count, msgpack_object_kv *members)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_MAP};

    object.via.map.ptr = members;
    object.via.map.size = (uint32_t)count;
    return object;
}

int run(const char *function, msgpack_object argument)
{
    const muster_function *found;
    struct muster_error error;

    cr_assert_eq(registry_require(rig.registry, function, &found, &error), 0, "%s", error.text);
    return call_run(&rig.call, found, &argument, &rig.result);
}

static void succeed(const char *function, msgpack_object argument, msgpack_object_type type)
{
    cr_assert_eq(run(function, argument), 0, "%s: %s", function, rig.call.text);
    cr_assert_eq((int)rig.result.type, (int)type, "%s returned type %d", function, (int)rig.result.type);
}

uint64_t run_integer(const char *function, msgpack_object argument)
{
    succeed(function, argument, MSGPACK_OBJECT_POSITIVE_INTEGER);
    return rig.result.via.u64;
}

double run_number(const char *function, msgpack_object argument)
{
    succeed(function, argument, MSGPACK_OBJECT_FLOAT64);
    return rig.result.via.f64;
}

bool run_boolean(const char *function, msgpack_object argument)
{
    succeed(function, argument, MSGPACK_OBJECT_BOOLEAN);
    return rig.result.via.boolean;
}

const char *run_text(const char *function, msgpack_object argument)
{
    static char copy[4096];

    succeed(function, argument, MSGPACK_OBJECT_STR);
    cr_assert_lt(rig.result.via.str.size, sizeof copy);
    memcpy(copy, rig.result.via.str.ptr, rig.result.via.str.size);
    copy[rig.result.via.str.size] = '\0';
    return copy;
}

void refuse(const char *function, msgpack_object argument, const char *fragment)
{
    cr_assert_eq(run(function, argument), MUSTER_EFAILED, "%s was expected to fail: %s", function, fragment);
    cr_assert_not_null(strstr(rig.call.text, fragment), "\"%s\" does not say: %s", rig.call.text, fragment);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_NIL);
}
