/* SPDX-License-Identifier: MIT
 *
 * Values to bytes and back. See value.h. An object that a function left behind is walked
 * with the same budget of depth, elements and bytes that the reader's scan will apply, so a
 * cycle or a shared subtree ends at a limit like anything else that is too large.
 */
#include "proto/value.h"

#include "proto/limits.h"
#include "proto/scan.h"

#include <endian.h>
#include <string.h>

enum { FIXINT_MAX = 0x7f, SCALAR_BYTES_MAX = 9 };

/* Stores the head of a scalar and its `width` bytes, most significant first. */
static size_t store(uint8_t *at, uint8_t head, uint64_t word, unsigned width)
{
    word = htobe64(word << (64 - 8 * width));
    at[0] = head;
    memcpy(at + 1, &word, sizeof word); /* all eight: there is room for SCALAR_BYTES_MAX */
    return 1 + width;
}

/* The inverse: the `width` bytes behind a head; all eight must be readable. */
static uint64_t load(const uint8_t *at, unsigned width)
{
    uint64_t word;

    memcpy(&word, at + 1, sizeof word);
    return be64toh(word) >> (64 - 8 * width);
}

static size_t store_uint(uint8_t *at, uint64_t number)
{
    if (number <= FIXINT_MAX) {
        at[0] = (uint8_t)number;
        return 1;
    }
    if (number <= UINT8_MAX)
        return store(at, 0xcc, number, 1);
    if (number <= UINT16_MAX)
        return store(at, 0xcd, number, 2);
    if (number <= UINT32_MAX)
        return store(at, 0xce, number, 4);
    return store(at, 0xcf, number, 8);
}

/* A function may have left any byte where a bool belongs. */
static bool is_true(const msgpack_object *value)
{
    unsigned char byte;

    memcpy(&byte, &value->via.boolean, sizeof byte);
    return byte != 0;
}

/* The short way for the commonest values, without msgpack-c's call for every piece. Returns
 * the bytes written, 0 for all other values. */
static size_t pack_scalar(const msgpack_object *value, uint8_t *at)
{
    uint64_t word;

    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER)
        return store_uint(at, value->via.u64);
    if (value->type == MSGPACK_OBJECT_FLOAT64) {
        memcpy(&word, &value->via.f64, sizeof word);
        return store(at, 0xcb, word, 8);
    }
    if (value->type == MSGPACK_OBJECT_BOOLEAN)
        at[0] = is_true(value) ? 0xc3 : 0xc2;
    else if (value->type == MSGPACK_OBJECT_NIL)
        at[0] = 0xc0;
    else
        return 0;
    return 1;
}

bool value_pack_short(const msgpack_object *value, msgpack_sbuffer *buffer)
{
    size_t size;

    if (buffer->alloc - buffer->size < SCALAR_BYTES_MAX)
        return false;
    size = pack_scalar(value, (uint8_t *)buffer->data + buffer->size);
    buffer->size += size;
    return size > 0;
}

/* The same the other way round. Returns the bytes read, 0 for all other values and for those
 * so near the end that eight bytes more cannot be read. */
static size_t unpack_scalar(const uint8_t *at, size_t size, msgpack_object *ret_value)
{
    unsigned width;
    uint64_t word;

    if (at[0] <= FIXINT_MAX || at[0] == 0xc0) {
        ret_value->type = at[0] == 0xc0 ? MSGPACK_OBJECT_NIL : MSGPACK_OBJECT_POSITIVE_INTEGER;
        ret_value->via.u64 = at[0];
        return 1;
    }
    if (at[0] < 0xcb || at[0] > 0xcf || size < SCALAR_BYTES_MAX)
        return 0;
    width = at[0] == 0xcb ? 8 : 1u << (at[0] - 0xcc);
    word = load(at, width);
    if (at[0] == 0xcb) {
        ret_value->type = MSGPACK_OBJECT_FLOAT64;
        memcpy(&ret_value->via.f64, &word, sizeof word);
    } else {
        ret_value->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
        ret_value->via.u64 = word;
    }
    return 1 + width;
}

struct packing {
    msgpack_packer packer;
    msgpack_sbuffer *buffer;
    size_t start;      /* of the value in the buffer */
    uint64_t elements; /* that may still be added */
    const struct shared_packing *sharing;
    uint64_t shared_bytes; /* of this value */
    struct muster_error *error;
};

static int packed(int result, struct muster_error *ret_error)
{
    return result == 0 ? 0 : muster_error_set(ret_error, MUSTER_ENOMEM, "no memory to encode a value");
}

/* Whether `size` more bytes of content are there and fit into the value. */
static int check_content(const struct packing *p, const char *kind, const void *bytes, uint64_t size)
{
    uint64_t used = p->buffer->size - p->start + p->shared_bytes;

    if (size > 0 && !bytes)
        return muster_error_set(p->error, MUSTER_EINVALID, "a value holds %s of %llu bytes at address 0",
                                kind, (unsigned long long)size);
    if (used + size > PROTO_VALUE_BYTES_MAX)
        return muster_error_set(p->error, MUSTER_ELIMIT, "a value is larger than %d bytes",
                                PROTO_VALUE_BYTES_MAX);
    return 0;
}

/* Whether a container of `children` elements is there and may open at `depth`. */
static int check_container(struct packing *p, const char *kind, const void *items, uint64_t children,
                           unsigned depth)
{
    if (children > 0 && !items)
        return muster_error_set(p->error, MUSTER_EINVALID, "a value holds %s of %llu elements at address 0",
                                kind, (unsigned long long)children);
    if (depth == PROTO_DEPTH_MAX)
        return muster_error_set(p->error, MUSTER_ELIMIT, "a value nests deeper than %d", PROTO_DEPTH_MAX);
    if (children > p->elements)
        return muster_error_set(p->error, MUSTER_ELIMIT, "a value has more than %d elements",
                                PROTO_ELEMENTS_MAX);
    p->elements -= children;
    return 0;
}

/* In place of large bytes, if they can be shared: a reference. False: they belong into the message. */
static bool pack_reference(struct packing *p, uint8_t kind, const void *bytes, uint32_t size, int *ret_code)
{
    uint8_t reference[PROTO_SHARED_REFERENCE_BYTES];

    if (!p->sharing || !shared_put(p->sharing, kind, bytes, size, reference))
        return false;
    p->shared_bytes += size;
    *ret_code = packed(msgpack_pack_ext_with_body(&p->packer, reference, sizeof reference, PROTO_SHARED_EXT),
                       p->error);
    return true;
}

static int pack_text(struct packing *p, const msgpack_object_str *text)
{
    int code = check_content(p, "a string", text->ptr, text->size);

    if (code != 0 || pack_reference(p, REFERENCE_STR, text->ptr, text->size, &code))
        return code;
    return packed(msgpack_pack_str_with_body(&p->packer, text->ptr, text->size), p->error);
}

static int pack_bin(struct packing *p, const msgpack_object_bin *bin)
{
    int code = check_content(p, "a binary", bin->ptr, bin->size);

    if (code != 0 || pack_reference(p, REFERENCE_BIN, bin->ptr, bin->size, &code))
        return code;
    return packed(msgpack_pack_bin_with_body(&p->packer, bin->ptr, bin->size), p->error);
}

static int pack_ext(struct packing *p, const msgpack_object_ext *ext)
{
    int code = check_content(p, "an extension", ext->ptr, ext->size);

    if (code == 0 && ext->type == PROTO_SHARED_EXT)
        code = muster_error_set(p->error, MUSTER_EINVALID,
                                "a value holds an extension of type %d, which is reserved", PROTO_SHARED_EXT);
    return code ? code
                : packed(msgpack_pack_ext_with_body(&p->packer, ext->ptr, ext->size, ext->type), p->error);
}

static int pack(struct packing *p, const msgpack_object *value, unsigned depth);

static int pack_array(struct packing *p, const msgpack_object_array *array, unsigned depth)
{
    int code = check_container(p, "an array", array->ptr, array->size, depth);

    if (!code)
        code = packed(msgpack_pack_array(&p->packer, array->size), p->error);
    for (uint32_t i = 0; !code && i < array->size; i++)
        code = pack(p, &array->ptr[i], depth + 1);
    return code;
}

static int pack_map(struct packing *p, const msgpack_object_map *map, unsigned depth)
{
    int code = check_container(p, "a map", map->ptr, 2 * (uint64_t)map->size, depth);

    if (!code)
        code = packed(msgpack_pack_map(&p->packer, map->size), p->error);
    for (uint32_t i = 0; !code && i < map->size; i++) {
        code = pack(p, &map->ptr[i].key, depth + 1);
        if (!code)
            code = pack(p, &map->ptr[i].val, depth + 1);
    }
    return code;
}

static int pack(struct packing *p, const msgpack_object *value, unsigned depth)
{
    switch (value->type) {
    case MSGPACK_OBJECT_NIL:
        return packed(msgpack_pack_nil(&p->packer), p->error);
    case MSGPACK_OBJECT_BOOLEAN:
        return packed(is_true(value) ? msgpack_pack_true(&p->packer) : msgpack_pack_false(&p->packer),
                      p->error);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        return packed(msgpack_pack_uint64(&p->packer, value->via.u64), p->error);
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return packed(msgpack_pack_int64(&p->packer, value->via.i64), p->error);
    case MSGPACK_OBJECT_FLOAT32:
        return packed(msgpack_pack_float(&p->packer, (float)value->via.f64), p->error);
    case MSGPACK_OBJECT_FLOAT64:
        return packed(msgpack_pack_double(&p->packer, value->via.f64), p->error);
    case MSGPACK_OBJECT_STR:
        return pack_text(p, &value->via.str);
    case MSGPACK_OBJECT_BIN:
        return pack_bin(p, &value->via.bin);
    case MSGPACK_OBJECT_EXT:
        return pack_ext(p, &value->via.ext);
    case MSGPACK_OBJECT_ARRAY:
        return pack_array(p, &value->via.array, depth);
    case MSGPACK_OBJECT_MAP:
        return pack_map(p, &value->via.map, depth);
    }
    return muster_error_set(p->error, MUSTER_EINVALID, "a value has the unknown type %d", (int)value->type);
}

static int pack_any(const msgpack_object *value, const struct shared_packing *packing,
                    msgpack_sbuffer *buffer, struct muster_error *ret_error)
{
    struct packing p = {.buffer = buffer,
                        .start = buffer->size,
                        .elements = PROTO_ELEMENTS_MAX - 1,
                        .sharing = packing,
                        .error = ret_error};
    struct shared_uses before = packing ? *packing->uses : (struct shared_uses){0};
    int code;

    msgpack_packer_init(&p.packer, buffer, msgpack_sbuffer_write);
    code = pack(&p, value, 0);
    if (!code && buffer->size - p.start + p.shared_bytes > PROTO_VALUE_BYTES_MAX)
        code = muster_error_set(ret_error, MUSTER_ELIMIT, "a value is larger than %d bytes",
                                PROTO_VALUE_BYTES_MAX);
    if (code == 0)
        return 0;
    buffer->size = p.start;
    if (packing) {
        shared_drop(packing->heap, packing->uses, before.count);
        packing->uses->bytes = before.bytes;
        packing->uses->copied = before.copied;
    }
    return code;
}

int value_pack_shared(const msgpack_object *value, const struct shared_packing *packing,
                      msgpack_sbuffer *buffer, struct muster_error *ret_error)
{
    return value_pack_short(value, buffer) ? 0 : pack_any(value, packing, buffer, ret_error);
}

int value_pack(const msgpack_object *value, msgpack_sbuffer *buffer, struct muster_error *ret_error)
{
    return value_pack_shared(value, NULL, buffer, ret_error);
}

int value_unpack(const void *bytes, size_t size, size_t *offset, msgpack_zone *zone,
                 msgpack_object *ret_value)
{
    size_t end = *offset, length;

    if (*offset >= size)
        return MUSTER_EPROTOCOL;
    length = unpack_scalar((const uint8_t *)bytes + *offset, size - *offset, ret_value);
    if (length) {
        *offset += length;
        return 0;
    }
    switch (msgpack_unpack(bytes, size, &end, zone, ret_value)) {
    case MSGPACK_UNPACK_SUCCESS:
    case MSGPACK_UNPACK_EXTRA_BYTES:
        *offset = end;
        return 0;
    case MSGPACK_UNPACK_NOMEM_ERROR:
        return MUSTER_ENOMEM;
    case MSGPACK_UNPACK_CONTINUE:
    case MSGPACK_UNPACK_PARSE_ERROR:
        break;
    }
    return MUSTER_EPROTOCOL;
}

/* Whether a value that begins with this byte is nil, a bool or a number. */
static bool is_scalar(uint8_t first)
{
    return first < 0x80 || first >= 0xe0 || (first >= 0xc0 && first <= 0xc3) ||
           (first >= 0xca && first <= 0xd3);
}

int value_unpack_copy(const void *bytes, size_t size, size_t *offset, msgpack_zone *zone,
                      msgpack_object *ret_value)
{
    const uint8_t *at = (const uint8_t *)bytes + *offset;
    size_t length, start = 0;
    uint8_t *copy;
    int code;

    if (*offset >= size)
        return MUSTER_EPROTOCOL;
    if (is_scalar(at[0]))
        return value_unpack(bytes, size, offset, zone, ret_value);
    code = scan_value(&scan_value_limits, at, size - *offset, &length);
    if (code != 0)
        return code;
    *offset += length;
    copy = msgpack_zone_malloc_no_align(zone, length);
    if (!copy)
        return MUSTER_ENOMEM;
    memcpy(copy, at, length);
    return value_unpack(copy, length, &start, zone, ret_value);
}

/* The walk of value_hash: FNV-1a, 64 bit. */
struct hashing {
    uint64_t hash;
    uint64_t elements; /* that may still be visited */
};

static void hash_bytes(struct hashing *h, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;

    for (size_t i = 0; i < size; i++)
        h->hash = (h->hash ^ at[i]) * UINT64_C(0x100000001b3);
}

/* Each node begins with a letter of its own, so that values of different shape differ. */
static void hash_word(struct hashing *h, char letter, uint64_t word)
{
    uint8_t bytes[9] = {(uint8_t)letter};

    for (unsigned i = 0; i < 8; i++)
        bytes[1 + i] = (uint8_t)(word >> (8 * i));
    hash_bytes(h, bytes, sizeof bytes);
}

static void hash_content(struct hashing *h, char letter, const void *bytes, uint32_t size)
{
    hash_word(h, letter, size);
    if (bytes)
        hash_bytes(h, bytes, size);
}

static void hash_double(struct hashing *h, double number)
{
    uint64_t word = UINT64_C(0x7ff8000000000000); /* any NaN */

    if (number == number)
        memcpy(&word, &number, sizeof word);
    hash_word(h, 'd', word);
}

static void hash(struct hashing *h, const msgpack_object *value, unsigned depth)
{
    if (depth > PROTO_DEPTH_MAX || h->elements == 0) {
        hash_word(h, '?', 0); /* beyond what a value may be; value_pack refuses it */
        return;
    }
    h->elements--;
    switch (value->type) {
    case MSGPACK_OBJECT_NIL:
        hash_word(h, 'n', 0);
        return;
    case MSGPACK_OBJECT_BOOLEAN:
        hash_word(h, 'b', is_true(value));
        return;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        hash_word(h, 'i', value->via.u64);
        return;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        hash_word(h, value->via.i64 < 0 ? '-' : 'i', (uint64_t)value->via.i64);
        return;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        hash_double(h, value->via.f64);
        return;
    case MSGPACK_OBJECT_STR:
        hash_content(h, 's', value->via.str.ptr, value->via.str.size);
        return;
    case MSGPACK_OBJECT_BIN:
        hash_content(h, 'x', value->via.bin.ptr, value->via.bin.size);
        return;
    case MSGPACK_OBJECT_EXT:
        hash_word(h, 'e', (uint8_t)value->via.ext.type);
        hash_content(h, 'x', value->via.ext.ptr, value->via.ext.size);
        return;
    case MSGPACK_OBJECT_ARRAY:
        hash_word(h, 'a', value->via.array.size);
        for (uint32_t i = 0; value->via.array.ptr && i < value->via.array.size && h->elements; i++)
            hash(h, &value->via.array.ptr[i], depth + 1);
        return;
    case MSGPACK_OBJECT_MAP:
        hash_word(h, 'm', value->via.map.size);
        for (uint32_t i = 0; value->via.map.ptr && i < value->via.map.size && h->elements; i++) {
            hash(h, &value->via.map.ptr[i].key, depth + 1);
            hash(h, &value->via.map.ptr[i].val, depth + 1);
        }
        return;
    }
    hash_word(h, '?', 1);
}

uint64_t value_hash(const msgpack_object *value)
{
    struct hashing hashing = {.hash = UINT64_C(0xcbf29ce484222325), .elements = PROTO_ELEMENTS_MAX};

    hash(&hashing, value, 0);
    return hashing.hash;
}
