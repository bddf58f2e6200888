/* SPDX-License-Identifier: MIT
 *
 * The arguments and results of jobs in the tests of the core, by their numbers. See core_harness_internal.h.
 */
#include "proto/value.h"
#include "tests/support/core_harness_internal.h"

#include <criterion/criterion.h>

int64_t value_of(uint64_t index)
{
    static const int64_t scale[] = {1, -50, 1000, 100000};

    return (int64_t)index * scale[index % 4];
}

int64_t argument_of(uint64_t index)
{
    static const int64_t scale[] = {100000, 3, -300};

    return (int64_t)index * scale[index % 3];
}

bool listed(const uint64_t *indexes, uint64_t index)
{
    for (; indexes && *indexes; indexes++)
        if (*indexes == index)
            return true;
    return false;
}

uint32_t listed_count(const uint64_t *indexes)
{
    uint32_t count = 0;

    for (; indexes && *indexes; indexes++)
        count++;
    return count;
}

struct blob *pack_values(int64_t (*number)(uint64_t index), uint64_t first, uint32_t count,
                         const uint64_t *without)
{
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    struct blob *blob;

    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    for (uint32_t i = 0; i < count; i++)
        if (!listed(without, first + i))
            msgpack_pack_int64(&packer, number(first + i));
    blob = blob_copy(buffer.data, buffer.size);
    cr_assert(blob);
    msgpack_sbuffer_destroy(&buffer);
    return blob;
}

void check_values(const struct slice *payload, int64_t (*number)(uint64_t index), uint64_t first,
                  uint32_t count, const uint64_t *without)
{
    size_t offset = 0;
    msgpack_zone zone;

    cr_assert(msgpack_zone_init(&zone, 256));
    for (uint64_t index = first; index < first + count; index++) {
        msgpack_object value;

        if (listed(without, index))
            continue;
        cr_assert_eq(value_unpack(slice_bytes(payload), payload->size, &offset, &zone, &value), 0);
        cr_assert_eq(value.via.i64, number(index), "job %lu has the value of another", (unsigned long)index);
    }
    cr_assert_eq(offset, payload->size, "a payload holds more values than were promised");
    msgpack_zone_destroy(&zone);
}

const uint64_t *valueless(const struct proto_failure *failures, uint32_t count)
{
    static uint64_t list[65];
    uint32_t found = 0;

    cr_assert(count <= 64);
    for (uint32_t i = 0; i < count; i++)
        if (!failures[i].valued)
            list[found++] = failures[i].index;
    list[found] = 0;
    return list;
}
