/* SPDX-License-Identifier: MIT
 *
 * Arguments into C values, and what to say of one that will not do. See argument.h.
 */
#include "jobs/argument.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Of a value in an error text; the rest is cut. */
enum { SHOWN_BYTES_MAX = 160 };

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

bool argument_text(const msgpack_object *value)
{
    return value->type == MSGPACK_OBJECT_STR && value->via.str.size > 0 &&
           !memchr(value->via.str.ptr, '\0', value->via.str.size);
}

char *argument_copy(muster_call *call, const msgpack_object *value)
{
    char *copy = muster_call_alloc(call, (size_t)value->via.str.size + 1);

    if (!copy) {
        muster_call_fail(call, "out of memory for an argument");
        return NULL;
    }
    memcpy(copy, value->via.str.ptr, value->via.str.size);
    copy[value->via.str.size] = '\0';
    return copy;
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

static const msgpack_object *find_member(const msgpack_object *map, const char *name)
{
    uint32_t i;

    for (i = 0; i < map->via.map.size; i++)
        if (is_text(&map->via.map.ptr[i].key, name))
            return &map->via.map.ptr[i].val;
    return NULL;
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

bool argument_seeded(const msgpack_object *value, const char *name, int64_t low, int64_t high,
                     int64_t *ret_integer, int64_t *ret_seed)
{
    const char *const names[] = {name, "seed"};
    const msgpack_object *members[2];
    int64_t integer, seed = 0;

    if (!argument_integer(value, low, high, &integer)) {
        if (!argument_members(value, 2, names, members) || !members[0] ||
            !argument_integer(members[0], low, high, &integer) ||
            (members[1] && !argument_integer(members[1], 0, INT64_MAX, &seed)))
            return false;
    }
    *ret_integer = integer;
    *ret_seed = seed;
    return true;
}

/* The text of a value, as far as it fits. */
struct shown {
    char text[SHOWN_BYTES_MAX + sizeof "..."];
    size_t used; /* SHOWN_BYTES_MAX: full */
};

__attribute__((format(printf, 2, 3))) static void show(struct shown *shown, const char *format, ...)
{
    size_t room = SHOWN_BYTES_MAX - shown->used;
    va_list arguments;
    int size;

    va_start(arguments, format);
    size = vsnprintf(shown->text + shown->used, room + 1, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size > room) {
        strcpy(shown->text + SHOWN_BYTES_MAX, "...");
        shown->used = SHOWN_BYTES_MAX;
    } else {
        shown->used += (size_t)size;
    }
}

static void show_value(struct shown *shown, const msgpack_object *value);

static void show_array(struct shown *shown, const msgpack_object_array *array)
{
    uint32_t i;

    show(shown, "[");
    for (i = 0; i < array->size && shown->used < SHOWN_BYTES_MAX; i++) {
        show(shown, i ? "," : "");
        show_value(shown, &array->ptr[i]);
    }
    show(shown, "]");
}

static void show_map(struct shown *shown, const msgpack_object_map *map)
{
    uint32_t i;

    show(shown, "{");
    for (i = 0; i < map->size && shown->used < SHOWN_BYTES_MAX; i++) {
        show(shown, i ? "," : "");
        show_value(shown, &map->ptr[i].key);
        show(shown, ":");
        show_value(shown, &map->ptr[i].val);
    }
    show(shown, "}");
}

/* A floating-point number is told from an integer by its point, as in JSON. */
static void show_float(struct shown *shown, double number)
{
    bool whole = number == rint(number) && fabs(number) < 1e6;

    show(shown, whole ? "%.1f" : "%g", number);
}

/* What the user gave, as JSON where JSON has it. Ensures: at most SHOWN_BYTES_MAX levels of
 * recursion, since each level shows a character. */
static void show_value(struct shown *shown, const msgpack_object *value)
{
    switch (value->type) {
    case MSGPACK_OBJECT_NIL:
        show(shown, "null");
        return;
    case MSGPACK_OBJECT_BOOLEAN:
        show(shown, value->via.boolean ? "true" : "false");
        return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        show(shown, "%" PRIu64, value->via.u64);
        return;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        show(shown, "%" PRId64, value->via.i64);
        return;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        show_float(shown, value->via.f64);
        return;
    case MSGPACK_OBJECT_STR: /* "%.*s" stops at a NUL, which is as far as it can be shown */
        show(shown, "\"%.*s\"",
             value->via.str.size > SHOWN_BYTES_MAX ? SHOWN_BYTES_MAX : (int)value->via.str.size,
             value->via.str.ptr ? value->via.str.ptr : "");
        return;
    case MSGPACK_OBJECT_BIN:
        show(shown, "binary data of %u bytes", value->via.bin.size);
        return;
    case MSGPACK_OBJECT_ARRAY:
        show_array(shown, &value->via.array);
        return;
    case MSGPACK_OBJECT_MAP:
        show_map(shown, &value->via.map);
        return;
    case MSGPACK_OBJECT_EXT:
        show(shown, "an extension of type %d", value->via.ext.type);
        return;
    }
    show(shown, "a value of unknown type");
}

int argument_refuse(muster_call *call, const muster_function *function, const msgpack_object *value)
{
    struct shown got = {"", 0};

    show_value(&got, value);
    return muster_call_fail(call, "%s takes %s, not %s", function->name, function->argument, got.text);
}
