/* SPDX-License-Identifier: MIT
 *
 * The golden vectors: each decodes to the struct that stands here, which encodes to the same
 * bytes; and what becomes of them when they are cut or a byte is wrong.
 */
#include "codec_fixture.h"
#include "golden.h"
#include "proto/value.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <string.h>

TestSuite(golden, .init = codec_set_up, .fini = codec_tear_down);

static bool is_foreign(const struct proto_message *message)
{
    return (message->type == PROTO_HELLO && message->hello.version != PROTO_VERSION) ||
           (message->type == PROTO_WELCOME && message->welcome.version != PROTO_VERSION) ||
           (message->type == PROTO_JOIN && message->join.version != PROTO_VERSION) ||
           (message->type == PROTO_JOINED && message->joined.version != PROTO_VERSION);
}

static struct golden read_vector(const struct vector *vector)
{
    struct golden golden;

    cr_assert(golden_read(vector->name, &golden), "%s.hex cannot be read", vector->name);
    return golden;
}

Test(golden, header_decodes_to_its_struct)
{
    for (const struct vector *v = vectors; v < vectors + vector_count; v++) {
        struct golden golden = read_vector(v);
        struct proto_message message;

        cr_assert_eq(decode_bytes(golden.header.bytes, golden.header.size, &message), 0, "%s: %s", v->name,
                     refusal.text);
        assert_same(v->name, &message, &v->message);
        cr_assert_null(message.payload.blob);
        cr_assert_eq(proto_has_payload(&message), golden.has_payload, "%s", v->name);
    }
}

Test(golden, struct_encodes_to_its_header)
{
    for (const struct vector *v = vectors; v < vectors + vector_count; v++) {
        struct golden golden = read_vector(v);

        if (is_foreign(&v->message))
            continue;
        encoded.size = 0;
        cr_assert_eq(proto_encode(&v->message, &encoded), 0, "%s", v->name);
        cr_assert_eq(encoded.size, golden.header.size, "%s", v->name);
        cr_assert(memcmp(encoded.data, golden.header.bytes, encoded.size) == 0, "%s", v->name);
    }
}

static int check_frame(const struct proto_message *message, const struct golden_frame *payload)
{
    return check_payload(message, payload->bytes, payload->size);
}

Test(golden, payload_holds_the_values_that_its_header_promises)
{
    for (const struct vector *v = vectors; v < vectors + vector_count; v++) {
        struct golden golden = read_vector(v);

        cr_assert_eq(check_frame(&v->message, &golden.payload), 0, "%s", v->name);
        cr_assert(golden.payload.size < sizeof golden.payload.bytes);
        golden.payload.bytes[golden.payload.size++] = 0xc0;
        cr_assert_eq(check_frame(&v->message, &golden.payload), MUSTER_EPROTOCOL, "%s", v->name);
    }
}

Test(golden, payload_values_survive_unpacking_and_packing)
{
    struct golden golden;
    msgpack_object value;
    size_t offset = 0;

    cr_assert(golden_read("arguments", &golden));
    while (offset < golden.payload.size) {
        cr_assert_eq(value_unpack(golden.payload.bytes, golden.payload.size, &offset, &decode_zone, &value),
                     0);
        cr_assert_eq(value_pack(&value, &encoded, NULL), 0);
    }
    cr_assert_eq(encoded.size, golden.payload.size);
    cr_assert(memcmp(encoded.data, golden.payload.bytes, encoded.size) == 0);
}

Test(golden, every_file_is_tested_and_every_type_has_one)
{
    DIR *folder = opendir(PROTO_FOLDER "/golden");
    struct dirent *entry;
    size_t files = 0;

    cr_assert_not_null(folder);
    while ((entry = readdir(folder)))
        files += strlen(entry->d_name) > 4 && strcmp(entry->d_name + strlen(entry->d_name) - 4, ".hex") == 0;
    closedir(folder);
    cr_assert_eq(files, vector_count);
    for (int type = PROTO_HELLO; type <= PROTO_BEAT; type++) {
        bool found = false;

        for (const struct vector *v = vectors; v < vectors + vector_count; v++)
            found |= (int)v->message.type == type;
        cr_assert(found, "%s has no golden vector", proto_type_name(type));
    }
}

Test(golden, truncated_header_is_refused)
{
    for (const struct vector *v = vectors; v < vectors + vector_count; v++) {
        struct golden golden = read_vector(v);

        for (size_t size = 0; size < golden.header.size; size++) {
            /* A copy of that size, so that a read beyond it is seen. */
            uint8_t *cut = malloc(size ? size : 1);
            struct proto_message message;

            memcpy(cut, golden.header.bytes, size);
            cr_assert_eq(proto_decode(cut, size, &decode_zone, &message, NULL), MUSTER_EPROTOCOL,
                         "%s cut to %zu bytes", v->name, size);
            free(cut);
        }
    }
}

/* The same value in msgpack's smallest form. */
static void pack_smallest(const struct golden_frame *frame, msgpack_sbuffer *ret_smallest)
{
    msgpack_packer packer;
    msgpack_object object;
    size_t offset = 0;

    cr_assert_eq(msgpack_unpack((const char *)frame->bytes, frame->size, &offset, &decode_zone, &object),
                 MSGPACK_UNPACK_SUCCESS);
    msgpack_packer_init(&packer, ret_smallest, msgpack_sbuffer_write);
    cr_assert_eq(msgpack_pack_object(&packer, object), 0);
}

/* What a wrong byte left decodable must say the same again when it is encoded. */
static bool decodes_and_encodes_alike(const struct golden_frame *frame)
{
    msgpack_sbuffer smallest;
    struct proto_message message;

    msgpack_zone_clear(&decode_zone);
    if (proto_decode(frame->bytes, frame->size, &decode_zone, &message, NULL) != 0)
        return false;
    if (is_foreign(&message))
        return true;
    msgpack_sbuffer_init(&smallest);
    pack_smallest(frame, &smallest);
    encoded.size = 0;
    cr_assert_eq(proto_encode(&message, &encoded), 0);
    cr_assert_eq(encoded.size, smallest.size);
    cr_assert(memcmp(encoded.data, smallest.data, encoded.size) == 0);
    msgpack_sbuffer_destroy(&smallest);
    return true;
}

Test(golden, wrong_byte_is_refused_or_decodes_to_what_it_says)
{
    unsigned refused = 0, decoded = 0;

    for (const struct vector *v = vectors; v < vectors + vector_count; v++) {
        struct golden golden = read_vector(v);

        for (size_t at = 0; at < golden.header.size; at++) {
            uint8_t right = golden.header.bytes[at];

            for (unsigned wrong = 0; wrong < 256; wrong++) {
                golden.header.bytes[at] = (uint8_t)wrong;
                if (decodes_and_encodes_alike(&golden.header))
                    decoded++;
                else
                    refused++;
            }
            golden.header.bytes[at] = right;
        }
    }
    cr_assert(decoded > 1000 && refused > 1000, "%u decoded, %u refused", decoded, refused);
}

Test(golden, wrong_byte_in_a_payload_that_passes_its_check_leaves_values)
{
    for (const struct vector *v = vectors; v < vectors + vector_count; v++) {
        struct golden golden = read_vector(v);

        for (size_t at = 0; at < golden.payload.size; at++) {
            uint8_t right = golden.payload.bytes[at];

            for (unsigned wrong = 0; wrong < 256; wrong++) {
                msgpack_object value;
                size_t offset = 0;

                golden.payload.bytes[at] = (uint8_t)wrong;
                if (check_frame(&v->message, &golden.payload) != 0)
                    continue;
                msgpack_zone_clear(&decode_zone);
                while (offset < golden.payload.size)
                    cr_assert_eq(value_unpack(golden.payload.bytes, golden.payload.size, &offset,
                                              &decode_zone, &value),
                                 0);
            }
            golden.payload.bytes[at] = right;
        }
    }
}
