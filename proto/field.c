/* SPDX-License-Identifier: MIT
 *
 * Fields of a header frame, written with msgpack-c's packer in the smallest form, or read
 * from the objects it unpacked. See field.h.
 */
#include "proto/field.h"

#include "base/error.h"
#include "proto/limits.h"

#include <string.h>

static const char missing[] = "is missing";
static const char out_of_range[] = "is out of range";

static void stop(struct field_coder *c, int code, const char *name, const char *why)
{
    if (c->code)
        return;
    c->code = code;
    c->name = name;
    c->why = why;
}

/* What is wrong with a struct of ours is a wrong argument, with a frame it is the protocol. */
static void refuse(struct field_coder *c, const char *name, const char *why)
{
    stop(c, field_writing(c) ? MUSTER_EINVALID : MUSTER_EPROTOCOL, name, why);
}

static void written(struct field_coder *c, const char *name, int result)
{
    if (result != 0)
        stop(c, MUSTER_ENOMEM, name, "found no memory");
}

/* The next object, or NULL when it stopped. */
static const msgpack_object *take(struct field_coder *c, const char *name)
{
    if (c->code)
        return NULL;
    if (c->next == c->end) {
        refuse(c, name, missing);
        return NULL;
    }
    return c->next++;
}

/* The next object, when it is of this type. */
static const msgpack_object *take_type(struct field_coder *c, const char *name, msgpack_object_type type,
                                       const char *otherwise)
{
    const msgpack_object *object = take(c, name);

    if (!object || object->type == type)
        return object;
    refuse(c, name, otherwise);
    return NULL;
}

void field_u64(struct field_coder *c, const char *name, uint64_t min, uint64_t max, uint64_t *value)
{
    const msgpack_object *object;
    uint64_t number;

    if (c->code)
        return;
    if (field_writing(c)) {
        number = *value;
    } else {
        object = take_type(c, name, MSGPACK_OBJECT_POSITIVE_INTEGER, "is not an unsigned integer");
        if (!object)
            return;
        number = object->via.u64;
    }
    if (number < min || number > max)
        refuse(c, name, out_of_range);
    else if (field_writing(c))
        written(c, name, msgpack_pack_uint64(c->packer, number));
    else
        *value = number;
}

void field_u32(struct field_coder *c, const char *name, uint32_t min, uint32_t max, uint32_t *value)
{
    uint64_t number = *value;

    field_u64(c, name, min, max, &number);
    *value = (uint32_t)number;
}

void field_i64(struct field_coder *c, const char *name, int64_t *value)
{
    const msgpack_object *object;

    if (c->code)
        return;
    if (field_writing(c)) {
        written(c, name, msgpack_pack_int64(c->packer, *value));
        return;
    }
    object = take(c, name);
    if (!object)
        return;
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        *value = object->via.i64;
    else if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER && object->via.u64 <= INT64_MAX)
        *value = (int64_t)object->via.u64;
    else
        refuse(c, name, "is not an integer of 64 bits");
}

void field_i32(struct field_coder *c, const char *name, int32_t min, int32_t max, int32_t *value)
{
    int64_t number = *value;

    if (!field_writing(c))
        field_i64(c, name, &number);
    field_require(c, number >= min && number <= max, name, out_of_range);
    if (c->code)
        return;
    if (field_writing(c))
        field_i64(c, name, &number);
    else
        *value = (int32_t)number;
}

void field_bool(struct field_coder *c, const char *name, bool *value)
{
    const msgpack_object *object;

    if (c->code)
        return;
    if (field_writing(c)) {
        written(c, name, *value ? msgpack_pack_true(c->packer) : msgpack_pack_false(c->packer));
        return;
    }
    object = take_type(c, name, MSGPACK_OBJECT_BOOLEAN, "is not a boolean");
    if (object)
        *value = object->via.boolean;
}

static bool is_error_code(int64_t code)
{
    switch (code) {
#define X(name, number, text) case -(number):
        MUSTER_ERROR_MAP(X)
#undef X
        return true;
    default:
        return false;
    }
}

void field_code(struct field_coder *c, const char *name, bool zero, int32_t *value)
{
    int64_t code = *value;

    if (!field_writing(c))
        field_i64(c, name, &code);
    field_require(c, (code == 0 && zero) || is_error_code(code), name, "is no error code");
    if (c->code)
        return;
    if (field_writing(c))
        field_i64(c, name, &code);
    else
        *value = (int32_t)code;
}

struct proto_text field_cut(struct proto_text text, uint32_t max)
{
    if (text.size <= max)
        return text;
    text.size = max;
    while (text.size > 0 && ((unsigned char)text.bytes[text.size] & 0xc0) == 0x80)
        text.size--;
    return text;
}

void field_text(struct field_coder *c, const char *name, uint32_t max, struct proto_text *value)
{
    const msgpack_object *object;
    struct proto_text text;

    if (c->code)
        return;
    if (field_writing(c)) {
        text = field_cut(*value, max);
        written(c, name, msgpack_pack_str_with_body(c->packer, text.bytes, text.size));
        return;
    }
    object = take_type(c, name, MSGPACK_OBJECT_STR, "is not a string");
    if (!object)
        return;
    if (object->via.str.size > max)
        refuse(c, name, "is too long");
    else
        *value = (struct proto_text){.bytes = object->via.str.ptr, .size = object->via.str.size};
}

static bool is_function_name(const struct proto_text *text)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";

    if (text->size == 0 || text->size > PROTO_FUNCTION_NAME_MAX)
        return false;
    for (uint32_t i = 0; i < text->size; i++)
        if (!memchr(allowed, text->bytes[i], sizeof allowed - 1))
            return false;
    return text->bytes[0] >= 'a' && text->bytes[0] <= 'z';
}

void field_function(struct field_coder *c, const char *name, struct proto_text *value)
{
    struct proto_text text = *value;

    if (!field_writing(c))
        field_text(c, name, PROTO_FUNCTION_NAME_MAX, &text);
    field_require(c, is_function_name(&text), name, "is no name of a function");
    if (c->code)
        return;
    if (field_writing(c))
        field_text(c, name, PROTO_FUNCTION_NAME_MAX, &text);
    else
        *value = text;
}

void field_bytes(struct field_coder *c, const char *name, uint32_t max, struct proto_text *value)
{
    const msgpack_object *object;
    struct proto_text bytes = *value;

    if (c->code)
        return;
    if (!field_writing(c)) {
        object = take_type(c, name, MSGPACK_OBJECT_BIN, "is not binary");
        if (!object)
            return;
        bytes = (struct proto_text){.bytes = object->via.bin.ptr, .size = object->via.bin.size};
    }
    if (bytes.size > max)
        refuse(c, name, "is too long");
    else if (field_writing(c))
        written(c, name, msgpack_pack_bin_with_body(c->packer, bytes.bytes, bytes.size));
    else
        *value = bytes;
}

bool field_given(const struct field_coder *c, bool given)
{
    return field_writing(c) ? given : c->next != c->end;
}

bool field_absent(struct field_coder *c, const char *name, bool absent)
{
    if (c->code)
        return true;
    if (field_writing(c)) {
        if (absent)
            written(c, name, msgpack_pack_nil(c->packer));
        return absent;
    }
    if (c->next == c->end || c->next->type != MSGPACK_OBJECT_NIL)
        return false;
    c->next++;
    return true;
}

void field_enter(struct field_coder *c, const char *name, uint32_t min, uint32_t max, uint32_t *count,
                 struct field_cursor *ret_outside)
{
    const msgpack_object *object;
    uint32_t size;

    *ret_outside = (struct field_cursor){0};
    if (c->code)
        return;
    if (field_writing(c)) {
        size = *count;
    } else {
        object = take_type(c, name, MSGPACK_OBJECT_ARRAY, "is not an array");
        if (!object)
            return;
        *ret_outside = (struct field_cursor){.next = c->next, .end = c->end};
        size = object->via.array.size;
        c->next = object->via.array.ptr;
        c->end = c->next + size;
    }
    if (size < min || size > max)
        refuse(c, name, "has a wrong number of elements");
    else if (field_writing(c))
        written(c, name, msgpack_pack_array(c->packer, size));
    else
        *count = size;
}

void field_leave(struct field_coder *c, const struct field_cursor *outside)
{
    if (c->code || field_writing(c))
        return;
    c->next = outside->next;
    c->end = outside->end;
}

void field_require(struct field_coder *c, bool holds, const char *name, const char *why)
{
    if (!holds)
        refuse(c, name, why);
}

void field_skip_rest(struct field_coder *c)
{
    if (field_writing(c))
        refuse(c, "version", "is not ours");
    else
        c->next = c->end;
}

void *field_memory(struct field_coder *c, size_t count, size_t size)
{
    void *memory;

    if (c->code || field_writing(c) || count == 0)
        return NULL;
    memory = msgpack_zone_malloc(c->zone, count * size);
    if (memory)
        memset(memory, 0, count * size);
    else
        stop(c, MUSTER_ENOMEM, "array", "found no memory");
    return memory;
}
