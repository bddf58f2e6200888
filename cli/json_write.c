/* SPDX-License-Identifier: MIT
 *
 * Values to JSON text. Written here and not with jansson: results come by the million, and
 * jansson has no unsigned integers, no binaries and no way to mend bytes that are not UTF-8.
 */
#include "cli/json_write.h"

#include "cli/json_load.h"
#include "proto/limits.h"

#include <math.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DIGITS_MAX = 20, /* of a uint64_t */
    REAL_BYTES = 40, /* %.17g takes 24 at most */
    KEY_DEPTH = PROTO_DEPTH_MAX - 1,
    BASE64_BLOCK = 3 * 1024, /* a multiple of 3, so that blocks join without padding */
};

#define RAW(text, buffer) json_write_raw((text), sizeof(text) - 1, (buffer))

json_t *json_write_text(const char *text)
{
    msgpack_sbuffer buffer;
    json_t *string = NULL;
    json_error_t why;

    msgpack_sbuffer_init(&buffer);
    if (json_write_string(text, strlen(text), &buffer) == 0)
        string = json_load_text(buffer.data, buffer.size, JSON_DECODE_ANY, &why);
    msgpack_sbuffer_destroy(&buffer);
    return string;
}

int json_write_unsigned(uint64_t number, msgpack_sbuffer *buffer)
{
    char digits[DIGITS_MAX], *at = digits + sizeof digits;

    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return json_write_raw(at, (size_t)(digits + sizeof digits - at), buffer);
}

static int write_signed(int64_t number, msgpack_sbuffer *buffer)
{
    if (number >= 0)
        return json_write_unsigned((uint64_t)number, buffer);
    return RAW("-", buffer) ? MUSTER_ENOMEM : json_write_unsigned(-(uint64_t)number, buffer);
}

/* The fewest digits that read back to the same double, and always with a mark of a real. */
static int write_real(double number, msgpack_sbuffer *buffer)
{
    char text[REAL_BYTES];

    if (!isfinite(number))
        return RAW("null", buffer);
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    if (!strpbrk(text, ".e"))
        strcat(text, ".0");
    return json_write_raw(text, strlen(text), buffer);
}

/* The length of the UTF-8 sequence that starts at `at`, 0 when it is none (Unicode 15,
 * table 3-7: no overlong forms, no surrogates, nothing above U+10FFFF). */
static size_t utf8_length(const unsigned char *at, size_t left)
{
    unsigned char lowest = 0x80, highest = 0xbf;
    size_t length;

    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    length = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (length > left)
        return 0;
    if (at[0] == 0xe0)
        lowest = 0xa0;
    else if (at[0] == 0xed)
        highest = 0x9f;
    else if (at[0] == 0xf0)
        lowest = 0x90;
    else if (at[0] == 0xf4)
        highest = 0x8f;
    if (at[1] < lowest || at[1] > highest)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (at[i] < 0x80 || at[i] > 0xbf)
            return 0;
    return length;
}

/* One byte that cannot stand in a JSON string as it is. */
static int write_escape(unsigned char byte, msgpack_sbuffer *buffer)
{
    static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* byte, letter, byte, letter, ... */
    char text[8];

    if (byte >= 0x80)
        return RAW("\xef\xbf\xbd", buffer); /* U+FFFD, the replacement character */
    for (size_t i = 0; i + 1 < sizeof named; i += 2)
        if ((unsigned char)named[i] == byte) {
            snprintf(text, sizeof text, "\\%c", named[i + 1]);
            return json_write_raw(text, 2, buffer);
        }
    snprintf(text, sizeof text, "\\u%04x", byte);
    return json_write_raw(text, 6, buffer);
}

size_t json_utf8_bytes(const char *bytes, size_t size)
{
    size_t i = 0, length = 1;

    while (i < size && length > 0) {
        length = utf8_length((const unsigned char *)bytes + i, size - i);
        i += length;
    }
    return i;
}

int json_write_characters(const char *bytes, size_t size, msgpack_sbuffer *buffer)
{
    const unsigned char *at = (const unsigned char *)bytes;
    size_t before = buffer->size, clean = 0, i = 0, length;

    if (size == 0)
        return 0;
    while (i < size) {
        length = utf8_length(at + i, size - i);
        if (length > 0 && at[i] >= 0x20 && at[i] != '"' && at[i] != '\\') {
            i += length;
            continue;
        }
        if (json_write_raw(bytes + clean, i - clean, buffer) || write_escape(at[i], buffer))
            goto fail;
        clean = ++i;
    }
    if (!json_write_raw(bytes + clean, size - clean, buffer))
        return 0;
fail:
    buffer->size = before;
    return MUSTER_ENOMEM;
}

int json_write_string(const char *bytes, size_t size, msgpack_sbuffer *buffer)
{
    size_t before = buffer->size;

    if (RAW("\"", buffer) == 0 && json_write_characters(bytes, size, buffer) == 0 && RAW("\"", buffer) == 0)
        return 0;
    buffer->size = before;
    return MUSTER_ENOMEM;
}

int json_write_base64(const char *bytes, size_t size, msgpack_sbuffer *buffer)
{
    char text[sodium_base64_ENCODED_LEN(BASE64_BLOCK, sodium_base64_VARIANT_ORIGINAL)];
    size_t length;
    int code = 0;

    for (size_t done = 0; done < size && !code; done += length) {
        length = size - done < BASE64_BLOCK ? size - done : BASE64_BLOCK;
        sodium_bin2base64(text, sizeof text, (const unsigned char *)bytes + done, length,
                          sodium_base64_VARIANT_ORIGINAL);
        code = json_write_raw(text, strlen(text), buffer);
    }
    return code;
}

static int write_base64(const char *bytes, size_t size, msgpack_sbuffer *buffer)
{
    if (RAW("\"", buffer) || json_write_base64(bytes, size, buffer))
        return MUSTER_ENOMEM;
    return RAW("\"", buffer);
}

static int write_value(const msgpack_object *value, unsigned depth, msgpack_sbuffer *buffer);

static int write_extension(const msgpack_object_ext *extension, msgpack_sbuffer *buffer)
{
    if (RAW("{\"ext\":", buffer) || write_signed(extension->type, buffer) || RAW(",\"data\":", buffer) ||
        write_base64(extension->ptr, extension->size, buffer))
        return MUSTER_ENOMEM;
    return RAW("}", buffer);
}

static int write_array(const msgpack_object_array *array, unsigned depth, msgpack_sbuffer *buffer)
{
    int code = RAW("[", buffer);

    for (uint32_t i = 0; i < array->size && !code; i++) {
        if (i > 0)
            code = RAW(",", buffer);
        if (!code)
            code = write_value(&array->ptr[i], depth, buffer);
    }
    return code ? code : RAW("]", buffer);
}

/* A string as it is; anything else as the string of its JSON text. Strings within strings double
 * their quotes from level to level, so a key is written as if only one more level were allowed. */
static int write_key(const msgpack_object *key, unsigned depth, msgpack_sbuffer *buffer)
{
    msgpack_sbuffer text;
    int code;

    if (key->type == MSGPACK_OBJECT_STR)
        return write_value(key, depth, buffer);
    msgpack_sbuffer_init(&text);
    code = write_value(key, depth < KEY_DEPTH ? KEY_DEPTH : depth, &text);
    if (!code)
        code = json_write_string(text.data, text.size, buffer);
    msgpack_sbuffer_destroy(&text);
    return code;
}

static int write_map(const msgpack_object_map *map, unsigned depth, msgpack_sbuffer *buffer)
{
    int code = RAW("{", buffer);

    for (uint32_t i = 0; i < map->size && !code; i++) {
        if (i > 0)
            code = RAW(",", buffer);
        if (!code)
            code = write_key(&map->ptr[i].key, depth, buffer);
        if (!code)
            code = RAW(":", buffer);
        if (!code)
            code = write_value(&map->ptr[i].val, depth, buffer);
    }
    return code ? code : RAW("}", buffer);
}

/* Whether `size` elements or bytes are really there. */
static bool readable(const void *pointer, uint32_t size)
{
    return pointer || size == 0;
}

/* `depth` counts the containers around this value. The type is whatever the function left,
 * so it is looked at as a number. */
static int write_value(const msgpack_object *value, unsigned depth, msgpack_sbuffer *buffer)
{
    switch ((int)value->type) {
    case MSGPACK_OBJECT_NIL:
        return RAW("null", buffer);
    case MSGPACK_OBJECT_BOOLEAN:
        return value->via.boolean ? RAW("true", buffer) : RAW("false", buffer);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return json_write_unsigned(value->via.u64, buffer);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return write_signed(value->via.i64, buffer);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return write_real(value->via.f64, buffer);
    case MSGPACK_OBJECT_STR:
        if (!readable(value->via.str.ptr, value->via.str.size))
            return MUSTER_EINVALID;
        return json_write_string(value->via.str.ptr, value->via.str.size, buffer);
    case MSGPACK_OBJECT_BIN:
        if (!readable(value->via.bin.ptr, value->via.bin.size))
            return MUSTER_EINVALID;
        return write_base64(value->via.bin.ptr, value->via.bin.size, buffer);
    case MSGPACK_OBJECT_EXT:
        if (!readable(value->via.ext.ptr, value->via.ext.size))
            return MUSTER_EINVALID;
        return write_extension(&value->via.ext, buffer);
    case MSGPACK_OBJECT_ARRAY:
        if (!readable(value->via.array.ptr, value->via.array.size))
            return MUSTER_EINVALID;
        return depth < PROTO_DEPTH_MAX ? write_array(&value->via.array, depth + 1, buffer) : MUSTER_ELIMIT;
    case MSGPACK_OBJECT_MAP:
        if (!readable(value->via.map.ptr, value->via.map.size))
            return MUSTER_EINVALID;
        return depth < PROTO_DEPTH_MAX ? write_map(&value->via.map, depth + 1, buffer) : MUSTER_ELIMIT;
    default:
        return MUSTER_EINVALID;
    }
}

int json_write(const msgpack_object *value, msgpack_sbuffer *buffer)
{
    size_t before = buffer->size;
    int code = write_value(value, 0, buffer);

    if (code)
        buffer->size = before;
    return code;
}
