/* SPDX-License-Identifier: MIT
 *
 * Text to values, with jansson. Two short cuts keep a stream of arguments cheap: a plain
 * integer is converted here, and a text whose first byte begins no JSON value (most file
 * names) is a string at once.
 */
#include "cli/json_read.h"

#include "cli/json_load.h"
#include "proto/limits.h"

#include <string.h>

enum {
    PLAIN_DIGITS_MAX = 20, /* of 2^64 - 1 */
    READ_FLAGS = JSON_DECODE_ANY | JSON_ALLOW_NUL,
};

void json_read_integer(int64_t number, msgpack_object *ret_value)
{
    if (number < 0) {
        ret_value->type = MSGPACK_OBJECT_NEGATIVE_INTEGER;
        ret_value->via.i64 = number;
    } else {
        ret_value->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
        ret_value->via.u64 = (uint64_t)number;
    }
}

/* Whether the text is an integer as JSON writes it and as 64 bits hold it, with a sign or
 * without; what is larger is left to jansson to refuse. */
static bool plain_integer(const char *text, size_t size, msgpack_object *ret_value)
{
    bool negative = size > 0 && text[0] == '-';
    size_t digits = size - negative;
    uint64_t number = 0;

    text += negative;
    if (digits == 0 || digits > PLAIN_DIGITS_MAX || (text[0] == '0' && digits > 1))
        return false;
    for (size_t i = 0; i < digits; i++)
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, (uint64_t)(text[i] - '0'), &number))
            return false;
    if (negative && number > (uint64_t)INT64_MAX + 1)
        return false;
    ret_value->type =
        negative && number > 0 ? MSGPACK_OBJECT_NEGATIVE_INTEGER : MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_value->via.u64 = negative ? -number : number; /* two's complement: the bits of via.i64 */
    return true;
}

static bool may_be_json(const char *text, size_t size)
{
    while (size > 0 && memchr(" \t\r\n", *text, 4)) {
        text++;
        size--;
    }
    return size > 0 && memchr("{[\"-0123456789tfn", *text, 17) != NULL;
}

/* What a conversion carries along. */
struct reading {
    msgpack_zone *zone;
    struct muster_error *error; /* where a failure is explained */
};

static int convert(const struct reading *reading, json_t *json, unsigned depth, msgpack_object *ret_value);

/* Zones give no memory for a size of 0, and a NULL would be no value. */
static void *reading_alloc(const struct reading *reading, size_t size)
{
    void *memory = msgpack_zone_malloc(reading->zone, size > 0 ? size : 1);

    if (!memory)
        muster_error_set(reading->error, MUSTER_ENOMEM, "out of memory");
    return memory;
}

static int convert_string(const struct reading *reading, const char *bytes, size_t size,
                          msgpack_object *ret_value)
{
    char *copy;

    if (size > PROTO_VALUE_BYTES_MAX)
        return muster_error_set(reading->error, MUSTER_ELIMIT, "a string has more than %d bytes",
                                PROTO_VALUE_BYTES_MAX);
    copy = reading_alloc(reading, size);
    if (!copy)
        return MUSTER_ENOMEM;
    memcpy(copy, bytes, size);
    ret_value->type = MSGPACK_OBJECT_STR;
    ret_value->via.str.ptr = copy;
    ret_value->via.str.size = (uint32_t)size;
    return 0;
}

/* Whether a container of `count` elements may stand inside `depth` others. */
static int check_container(const struct reading *reading, unsigned depth, size_t count)
{
    if (depth >= PROTO_DEPTH_MAX)
        return muster_error_set(reading->error, MUSTER_ELIMIT, "the value nests deeper than %d levels",
                                PROTO_DEPTH_MAX);
    if (count > PROTO_ELEMENTS_MAX)
        return muster_error_set(reading->error, MUSTER_ELIMIT, "the value has more than %d elements",
                                PROTO_ELEMENTS_MAX);
    return 0;
}

static int convert_array(const struct reading *reading, json_t *json, unsigned depth,
                         msgpack_object *ret_value)
{
    size_t count = json_array_size(json);
    msgpack_object *items;
    int code;

    code = check_container(reading, depth, count);
    if (code)
        return code;
    items = reading_alloc(reading, count * sizeof *items);
    if (!items)
        return MUSTER_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        code = convert(reading, json_array_get(json, i), depth + 1, &items[i]);
        if (code)
            return code;
    }
    ret_value->type = MSGPACK_OBJECT_ARRAY;
    ret_value->via.array.ptr = items;
    ret_value->via.array.size = (uint32_t)count;
    return 0;
}

static int convert_object(const struct reading *reading, json_t *json, unsigned depth,
                          msgpack_object *ret_value)
{
    size_t count = json_object_size(json);
    msgpack_object_kv *members, *member;
    int code;

    code = check_container(reading, depth, count);
    if (code)
        return code;
    members = member = reading_alloc(reading, count * sizeof *members);
    if (!members)
        return MUSTER_ENOMEM;
    for (void *at = json_object_iter(json); at; at = json_object_iter_next(json, at), member++) {
        code = convert_string(reading, json_object_iter_key(at), json_object_iter_key_len(at), &member->key);
        if (code)
            return code;
        code = convert(reading, json_object_iter_value(at), depth + 1, &member->val);
        if (code)
            return code;
    }
    ret_value->type = MSGPACK_OBJECT_MAP;
    ret_value->via.map.ptr = members;
    ret_value->via.map.size = (uint32_t)count;
    return 0;
}

/* `depth` counts the containers around this value. */
static int convert(const struct reading *reading, json_t *json, unsigned depth, msgpack_object *ret_value)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        return convert_object(reading, json, depth, ret_value);
    case JSON_ARRAY:
        return convert_array(reading, json, depth, ret_value);
    case JSON_STRING:
        return convert_string(reading, json_string_value(json), json_string_length(json), ret_value);
    case JSON_INTEGER:
        json_read_integer(json_integer_value(json), ret_value);
        return 0;
    case JSON_REAL:
        ret_value->type = MSGPACK_OBJECT_FLOAT64;
        ret_value->via.f64 = json_real_value(json);
        return 0;
    case JSON_TRUE:
    case JSON_FALSE:
        ret_value->type = MSGPACK_OBJECT_BOOLEAN;
        ret_value->via.boolean = json_is_true(json);
        return 0;
    case JSON_NULL:
        ret_value->type = MSGPACK_OBJECT_NIL;
        return 0;
    }
    return muster_error_set(reading->error, MUSTER_EINVALID, "unknown kind of JSON value");
}

/* Whether a text in which a number is too large is JSON otherwise. "12345678901234567890.txt"
 * and a long hexadecimal digest are not: those are strings. */
static bool json_but_for_size(const char *text, size_t size)
{
    json_error_t why;
    json_t *json = json_load_text(text, size, READ_FLAGS | JSON_DECODE_INT_AS_REAL, &why);

    if (!json)
        return json_error_code(&why) == json_error_numeric_overflow;
    json_decref(json);
    return true;
}

/* Why jansson read no value: an error of ours, or 0 when the text is simply not JSON. */
static int explain(const json_error_t *why, const char *text, size_t size, struct muster_error *ret_error)
{
    switch ((int)json_error_code(why)) {
    case json_error_numeric_overflow:
        if (!json_but_for_size(text, size))
            return 0;
        return muster_error_set(
            ret_error, MUSTER_ELIMIT,
            "a number is out of range: integers go from -2^63 to 2^63-1 (alone, not in an "
            "array or object, to 2^64-1) and reals are doubles; quote it to pass a string");
    case json_error_stack_overflow:
        return muster_error_set(ret_error, MUSTER_ELIMIT, "the value nests deeper than %d levels",
                                PROTO_DEPTH_MAX);
    case json_error_null_byte_in_key:
        return muster_error_set(ret_error, MUSTER_EINVALID, "a name in an object holds the character NUL");
    case json_error_out_of_memory:
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    default:
        return 0;
    }
}

int json_read(const char *text, size_t size, msgpack_zone *zone, msgpack_object *ret_value,
              struct muster_error *ret_error)
{
    const struct reading reading = {.zone = zone, .error = ret_error};
    json_error_t why;
    json_t *json = NULL;
    int code = 0;

    if (plain_integer(text, size, ret_value))
        return 0;
    if (size > PROTO_VALUE_BYTES_MAX)
        return muster_error_set(ret_error, MUSTER_ELIMIT, "longer than %d bytes", PROTO_VALUE_BYTES_MAX);
    if (may_be_json(text, size)) {
        json = json_load_text(text, size, READ_FLAGS, &why);
        code = json ? convert(&reading, json, 0, ret_value) : explain(&why, text, size, ret_error);
        json_decref(json);
    }
    if (!json && !code) {
        ret_value->type = MSGPACK_OBJECT_STR;
        ret_value->via.str.ptr = text;
        ret_value->via.str.size = (uint32_t)size;
    }
    return code;
}
