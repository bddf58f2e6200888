/* SPDX-License-Identifier: MIT
 *
 * Arguments into C values, and what to say of one that will not do. See argument.h.
 */
#include "jobs/argument.h"

#include <stdio.h>
#include <string.h>

/* Of a string in an error text; the rest is cut. */
enum { SHOWN_BYTES_MAX = 60 };

bool argument_integer(const msgpack_object *value, int64_t low, int64_t high, int64_t *ret_integer)
{
    int64_t integer;

    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 <= INT64_MAX)
        integer = (int64_t)value->via.u64;
    else if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        integer = value->via.i64;
    else
        return false;
    if (integer < low || integer > high)
        return false;
    *ret_integer = integer;
    return true;
}

bool argument_number(const msgpack_object *value, double low, double high, double *ret_number)
{
    double number;

    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        number = (double)value->via.u64;
    else if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        number = (double)value->via.i64;
    else if (value->type == MSGPACK_OBJECT_FLOAT32 || value->type == MSGPACK_OBJECT_FLOAT64)
        number = value->via.f64;
    else
        return false;
    if (!(number >= low && number <= high)) /* NaN too */
        return false;
    *ret_number = number;
    return true;
}

bool argument_integers(const msgpack_object *value, size_t count, int64_t low, int64_t high,
                       int64_t *ret_integers)
{
    int64_t ignored;
    size_t i;

    if (value->type != MSGPACK_OBJECT_ARRAY || value->via.array.size != count)
        return false;
    for (i = 0; i < count; i++)
        if (!argument_integer(&value->via.array.ptr[i], low, high, &ignored))
            return false;
    for (i = 0; i < count; i++)
        argument_integer(&value->via.array.ptr[i], low, high, &ret_integers[i]);
    return true;
}

static bool is_text(const msgpack_object *value, const char *text)
{
    return value->type == MSGPACK_OBJECT_STR && value->via.str.size == strlen(text) &&
           memcmp(value->via.str.ptr, text, value->via.str.size) == 0;
}

/* The value of the only key of that name; NULL when there is none, or more than one. */
static const msgpack_object *find_member(const msgpack_object *map, const char *name)
{
    const msgpack_object *found = NULL;
    uint32_t i;

    for (i = 0; i < map->via.map.size; i++)
        if (is_text(&map->via.map.ptr[i].key, name)) {
            if (found)
                return NULL;
            found = &map->via.map.ptr[i].val;
        }
    return found;
}

bool argument_members(const msgpack_object *value, size_t count, const char *const *names,
                      const msgpack_object **ret_members)
{
    size_t i, known = 0;

    if (value->type != MSGPACK_OBJECT_MAP || value->via.map.size > count)
        return false;
    for (i = 0; i < count; i++)
        known += find_member(value, names[i]) != NULL;
    if (known != value->via.map.size) /* a key that has no name here, or a name twice */
        return false;
    for (i = 0; i < count; i++)
        ret_members[i] = find_member(value, names[i]);
    return true;
}

/* What the user gave, in the words of JSON where there is one. */
static void describe(const msgpack_object *value, char *text, size_t size)
{
    switch (value->type) {
    case MSGPACK_OBJECT_NIL:
        snprintf(text, size, "null");
        return;
    case MSGPACK_OBJECT_BOOLEAN:
        snprintf(text, size, "%s", value->via.boolean ? "true" : "false");
        return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        snprintf(text, size, "%llu", (unsigned long long)value->via.u64);
        return;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        snprintf(text, size, "%lld", (long long)value->via.i64);
        return;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        snprintf(text, size, "the floating-point number %g", value->via.f64);
        return;
    case MSGPACK_OBJECT_STR:
        snprintf(text, size, "the string \"%.*s\"%s",
                 value->via.str.size > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)value->via.str.size,
                 value->via.str.ptr, value->via.str.size > SHOWN_BYTES_MAX ? "..." : "");
        return;
    case MSGPACK_OBJECT_BIN:
        snprintf(text, size, "%u bytes", value->via.bin.size);
        return;
    case MSGPACK_OBJECT_ARRAY:
        if (value->via.array.size == 2 && value->via.array.ptr[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER &&
            value->via.array.ptr[1].type == MSGPACK_OBJECT_POSITIVE_INTEGER)
            snprintf(text, size, "[%llu, %llu]", (unsigned long long)value->via.array.ptr[0].via.u64,
                     (unsigned long long)value->via.array.ptr[1].via.u64);
        else
            snprintf(text, size, "this array of %u", value->via.array.size);
        return;
    case MSGPACK_OBJECT_MAP:
        snprintf(text, size, "this map of %u", value->via.map.size);
        return;
    case MSGPACK_OBJECT_EXT:
        snprintf(text, size, "an extension of type %d", value->via.ext.type);
        return;
    }
    snprintf(text, size, "a value of unknown type");
}

int argument_refuse(muster_call *call, const muster_function *function, const msgpack_object *value)
{
    char got[128];

    describe(value, got, sizeof got);
    return muster_call_fail(call, "%s takes %s, not %s", function->name, function->argument, got);
}
