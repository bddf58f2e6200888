/* SPDX-License-Identifier: MIT
 *
 * Values with bytes in shared memory, from one process to another; references that are wrong; owners
 * that die.
 */
#include "base/error.h"
#include "proto/limits.h"
#include "proto/scan.h"
#include "proto/value.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static struct heap *heap;
static struct mappings *mappings; /* of the reader: the process that runs the test */
static struct shared_uses uses;
static msgpack_sbuffer buffer;
static msgpack_zone zone;

static void set_up(void)
{
    cr_assert_eq(heap_create(HEAP_SHARED, 64 * MIB, &heap), 0);
    cr_assert_eq(mappings_create(NULL, true, &mappings), 0);
    msgpack_sbuffer_init(&buffer);
    cr_assert(msgpack_zone_init(&zone, 4096));
}

static void tear_down(void)
{
    msgpack_zone_destroy(&zone);
    msgpack_sbuffer_destroy(&buffer);
    shared_uses_fini(&uses);
    mappings_destroy(mappings);
    heap_destroy(heap);
}

TestSuite(shared, .init = set_up, .fini = tear_down);

static msgpack_object bin_of(const void *bytes, uint32_t size)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_BIN, .via.bin = {.ptr = bytes, .size = size}};
}

static int pack_for(const msgpack_object *value, uint32_t reader)
{
    struct shared_packing packing = {.heap = heap, .copies = true, .reader = reader, .uses = &uses};

    return value_pack_shared(value, &packing, &buffer, NULL);
}

static void pack(const msgpack_object *value)
{
    cr_assert_eq(pack_for(value, (uint32_t)getpid()), 0);
}

/* [nil, {"a text": a large string}, a large binary] */
static void pack_nested(void)
{
    static char text[MIB], bytes[3 * MIB];
    msgpack_object_kv member = {
        .key = {.type = MSGPACK_OBJECT_STR, .via.str = {.ptr = "a text", .size = 6}},
        .val = {.type = MSGPACK_OBJECT_STR, .via.str = {.ptr = text, .size = sizeof text}},
    };
    msgpack_object items[] = {
        {.type = MSGPACK_OBJECT_NIL},
        {.type = MSGPACK_OBJECT_MAP, .via.map = {.ptr = &member, .size = 1}},
        bin_of(bytes, sizeof bytes),
    };
    msgpack_object value = {.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = items, .size = 3}};

    memset(text, 't', sizeof text);
    memset(bytes, 'b', sizeof bytes);
    pack(&value);
}

static void check_nested(const msgpack_object *value)
{
    const msgpack_object_str *text = &value->via.array.ptr[1].via.map.ptr[0].val.via.str;
    const msgpack_object_bin *bin = &value->via.array.ptr[2].via.bin;

    cr_assert_eq(value->via.array.ptr[1].via.map.ptr[0].val.type, MSGPACK_OBJECT_STR);
    cr_assert_eq(text->size, MIB);
    cr_assert(text->ptr[0] == 't' && text->ptr[MIB - 1] == 't');
    cr_assert_eq(value->via.array.ptr[2].type, MSGPACK_OBJECT_BIN);
    cr_assert_eq(bin->size, 3 * MIB);
    cr_assert(bin->ptr[0] == 'b' && bin->ptr[3 * MIB - 1] == 'b');
}

static int unpack(msgpack_object *ret_value)
{
    size_t offset = 0, length;

    cr_assert_eq(scan_value(&scan_value_limits, (const uint8_t *)buffer.data, buffer.size, &length), 0);
    cr_assert_eq(value_unpack(buffer.data, buffer.size, &offset, &zone, ret_value), 0);
    return shared_hold(mappings, ret_value, &zone);
}

/* Runs `owner` in a process of its own, which lives until *ret_keep is closed; what it left in
 * `buffer` is here then. */
static pid_t run_owner(void (*owner)(void), int *ret_keep)
{
    int result[2], keep[2];
    char block[4096];
    pid_t pid;

    cr_assert(pipe2(result, O_CLOEXEC) == 0 && pipe2(keep, O_CLOEXEC) == 0);
    pid = fork();
    if (pid == 0) {
        close(keep[1]);
        owner();
        if (write(result[1], buffer.data, buffer.size) != (ssize_t)buffer.size)
            _exit(1);
        close(result[1]);
        _exit(read(keep[0], block, 1) != 0 || heap_stats(heap).used_bytes > 0);
    }
    close(result[1]);
    close(keep[0]);
    for (ssize_t size; (size = read(result[0], block, sizeof block)) > 0;)
        msgpack_sbuffer_write(&buffer, block, (size_t)size);
    close(result[0]);
    *ret_keep = keep[1];
    return pid;
}

static void own_nested(void)
{
    pid_t reader = getppid();

    pack_nested();
    shared_send(heap, &uses, (uint32_t)reader);
}

static int finish(pid_t pid, int keep)
{
    int status;

    close(keep);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

Test(shared, large_bytes_are_read_in_place_and_their_blocks_free_once_released)
{
    msgpack_object value;
    int keep;
    pid_t pid;

    pid = run_owner(own_nested, &keep);
    cr_assert_lt(buffer.size, 200);
    cr_assert_eq(unpack(&value), 0);
    check_nested(&value);
    cr_assert_eq(mappings_count(mappings), 1);
    msgpack_zone_clear(&zone);
    cr_assert_eq(finish(pid, keep), 0);
}

Test(shared, what_is_taken_outlives_its_owner_and_is_unmapped_when_it_is_released)
{
    msgpack_object value;
    size_t offset = 0;
    int keep;
    pid_t pid = run_owner(own_nested, &keep);

    cr_assert_eq(shared_take(mappings, buffer.data, buffer.size), 0);
    kill(pid, SIGKILL);
    finish(pid, keep);
    mappings_trim(mappings);
    cr_assert_eq(mappings_count(mappings), 1);
    cr_assert_eq(value_unpack(buffer.data, buffer.size, &offset, &zone, &value), 0);
    cr_assert_eq(shared_resolve(mappings, 0, &value), 0);
    check_nested(&value);
    shared_release(mappings, buffer.data, buffer.size);
    mappings_trim(mappings);
    cr_assert_eq(mappings_count(mappings), 0);
}

Test(shared, what_a_zone_holds_outlives_owner_and_mappings)
{
    struct mappings *other;
    msgpack_object value;
    size_t offset = 0;
    int keep;
    pid_t pid = run_owner(own_nested, &keep);

    cr_assert_eq(mappings_create(NULL, true, &other), 0);
    cr_assert_eq(value_unpack(buffer.data, buffer.size, &offset, &zone, &value), 0);
    cr_assert_eq(shared_hold(other, &value, &zone), 0);
    kill(pid, SIGKILL);
    finish(pid, keep);
    mappings_destroy(other);
    check_nested(&value);
}

Test(shared, an_owner_that_died_before_it_was_mapped_is_lost)
{
    msgpack_object value;
    int keep;
    pid_t pid = run_owner(own_nested, &keep);

    kill(pid, SIGKILL);
    finish(pid, keep);
    cr_assert_eq(unpack(&value), MUSTER_ELOST);
    cr_assert_eq(shared_take(mappings, buffer.data, buffer.size), MUSTER_ELOST);
    cr_assert_eq(mappings_count(mappings), 0);
}

Test(shared, bytes_that_lie_in_the_heap_are_referred_to_where_they_are)
{
    struct mappings *own;
    msgpack_object value, result;
    size_t offset = 0;
    void *bytes;
    uint32_t block = heap_alloc(heap, MIB, &bytes);

    cr_assert_neq(block, 0);
    cr_assert_eq(mappings_create(heap, false, &own), 0);
    value = bin_of((char *)bytes + 5, MIB - 5);
    pack(&value);
    cr_assert_eq(uses.copied, 0);
    cr_assert_eq(uses.bytes, MIB - 5);
    heap_drop(heap, block);
    cr_assert_eq(heap_stats(heap).blocks, 1);
    cr_assert_eq(value_unpack(buffer.data, buffer.size, &offset, &zone, &result), 0);
    cr_assert_eq(shared_resolve(own, 0, &result), 0);
    cr_assert_eq(result.via.bin.ptr, (char *)bytes + 5);
    cr_assert_eq(mappings_count(own), 0);
    shared_drop(heap, &uses, 0);
    cr_assert_eq(heap_stats(heap).blocks, 0);
    mappings_destroy(own);
}

Test(shared, equal_values_have_equal_digests_whichever_way_they_came)
{
    static char bytes[MIB];
    msgpack_object value = bin_of(bytes, sizeof bytes), result;
    struct mappings *own;
    size_t offset = 0;

    memset(bytes, 'x', sizeof bytes);
    cr_assert_eq(mappings_create(heap, false, &own), 0);
    pack(&value);
    cr_assert_eq(value_unpack(buffer.data, buffer.size, &offset, &zone, &result), 0);
    cr_assert_eq(shared_resolve(own, 0, &result), 0);
    cr_assert_eq(value_hash(&result), value_hash(&value));
    shared_drop(heap, &uses, 0);
    mappings_destroy(own);
}

Test(shared, without_room_the_bytes_stay_in_the_message)
{
    static char bytes[MIB];
    msgpack_object value = bin_of(bytes, sizeof bytes);
    void *memory;

    cr_assert_neq(heap_alloc(heap, 63 * MIB, &memory), 0);
    pack(&value);
    cr_assert_eq(uses.count, 0);
    cr_assert_gt(buffer.size, sizeof bytes);
}

Test(shared, small_bytes_stay_in_the_message)
{
    char bytes[100] = {0};
    msgpack_object value = bin_of(bytes, sizeof bytes);

    pack(&value);
    cr_assert_eq(uses.count, 0);
    cr_assert_eq(buffer.size, 102);
}

Test(shared, shared_bytes_count_in_the_size_of_a_value_and_a_failure_leaves_no_block)
{
    static msgpack_object items[9];
    char *bytes = mmap(NULL, 32 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    msgpack_object value = {.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = items, .size = 9}};
    void *memory;

    cr_assert_neq(bytes, MAP_FAILED);
    cr_assert_neq(heap_alloc(heap, 32 * MIB, &memory), 0);
    for (int i = 0; i < 9; i++)
        items[i] = bin_of(memory, 32 * MIB);
    cr_assert_eq(pack_for(&value, 0), MUSTER_ELIMIT);
    cr_assert_eq(buffer.size, 0);
    cr_assert_eq(uses.count, 0);
    cr_assert_eq(uses.bytes, 0);
    cr_assert_eq(heap_stats(heap).blocks, 1);
    munmap(bytes, 32 * MIB);
}

Test(shared, an_extension_of_the_reserved_type_is_refused_where_it_is_packed)
{
    char body[PROTO_SHARED_REFERENCE_BYTES] = {0};
    msgpack_object value = {.type = MSGPACK_OBJECT_EXT,
                            .via.ext = {.type = PROTO_SHARED_EXT, .size = sizeof body, .ptr = body}};
    struct muster_error error;

    cr_assert_eq(value_pack(&value, &buffer, &error), MUSTER_EINVALID);
    cr_assert(strstr(error.text, "reserved"));
    cr_assert_eq(pack_for(&value, 0), MUSTER_EINVALID);
    cr_assert_eq(buffer.size, 0);
}

/* --- references from hostile peers */

/* A reference that is right, to be made wrong. */
static struct reference right(void)
{
    void *bytes;
    uint32_t block = heap_alloc(heap, MIB, &bytes);

    cr_assert_neq(block, 0);
    return heap_refer(heap, block, REFERENCE_BIN, bytes, MIB);
}

static int follow(const struct reference *reference)
{
    uint8_t body[PROTO_SHARED_REFERENCE_BYTES];
    msgpack_object value = {.type = MSGPACK_OBJECT_EXT,
                            .via.ext = {.type = PROTO_SHARED_EXT, .size = sizeof body, .ptr = (char *)body}};

    reference_store(reference, body);
    return shared_hold(mappings, &value, &zone);
}

Test(shared, a_reference_that_leads_elsewhere_is_refused)
{
    struct reference reference = right(), wrong;

    cr_assert_eq(follow(&reference), 0);
    wrong = reference;
    wrong.kind = 3;
    cr_assert_eq(follow(&wrong), MUSTER_EPROTOCOL);
    wrong = reference;
    wrong.size = 0;
    cr_assert_eq(follow(&wrong), MUSTER_EPROTOCOL);
    wrong.size = (uint64_t)PROTO_VALUE_BYTES_MAX + 1;
    cr_assert_eq(follow(&wrong), MUSTER_EPROTOCOL);
    wrong = reference;
    wrong.offset = 64 * MIB - 1;
    cr_assert_eq(follow(&wrong), MUSTER_EPROTOCOL);
    wrong.offset = UINT64_MAX - 1;
    cr_assert_eq(follow(&wrong), MUSTER_EPROTOCOL);
    wrong.offset = HEAP_TABLE_OFFSET;
    cr_assert_eq(follow(&wrong), MUSTER_EPROTOCOL);
    wrong = reference;
    wrong.heap++;
    cr_assert_eq(follow(&wrong), MUSTER_EPROTOCOL);
    wrong = reference;
    wrong.pid = 0;
    cr_assert_eq(follow(&wrong), MUSTER_EPROTOCOL);
    wrong.pid = INT32_MAX;
    cr_assert_eq(follow(&wrong), MUSTER_ELOST);
    wrong = reference;
    wrong.fd = 0x7ffffff;
    cr_assert_eq(follow(&wrong), MUSTER_ELOST);
    cr_assert_eq(follow(&reference), 0);
    cr_assert_eq(mappings_count(mappings), 1);
}

Test(shared, a_body_of_another_length_is_refused)
{
    char body[PROTO_SHARED_REFERENCE_BYTES + 1] = {1};

    for (uint32_t size = 0; size <= sizeof body; size++) {
        msgpack_object value = {.type = MSGPACK_OBJECT_EXT,
                                .via.ext = {.type = PROTO_SHARED_EXT, .size = size, .ptr = body}};

        cr_assert_eq(shared_hold(mappings, &value, &zone), MUSTER_EPROTOCOL);
    }
}

Test(shared, references_to_more_bytes_than_a_value_may_have_are_refused)
{
    struct reference reference = right();
    uint8_t body[PROTO_SHARED_REFERENCE_BYTES];
    static msgpack_object items[(PROTO_VALUE_BYTES_MAX >> 20) + 1];
    msgpack_object value = {.type = MSGPACK_OBJECT_ARRAY,
                            .via.array = {.ptr = items, .size = sizeof items / sizeof *items}};

    reference_store(&reference, body);
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        items[i] =
            (msgpack_object){.type = MSGPACK_OBJECT_EXT,
                             .via.ext = {.type = PROTO_SHARED_EXT, .size = sizeof body, .ptr = (char *)body}};
    cr_assert_eq(shared_hold(mappings, &value, &zone), MUSTER_ELIMIT);
}

/* A file of this process that is none of its heaps. */
static struct reference reference_to(int fd)
{
    return (struct reference){.kind = REFERENCE_BIN,
                              .pid = (uint32_t)getpid(),
                              .fd = (uint32_t)fd,
                              .heap = 1,
                              .offset = HEAP_DATA_OFFSET,
                              .size = 1};
}

static int follow_to(int fd)
{
    struct reference reference = reference_to(fd);

    return follow(&reference);
}

static int make_memfd(const char *name, off_t size, int seals)
{
    struct heap_head head = {.magic = HEAP_MAGIC, .heap = 1, .bytes = (uint64_t)size};
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    cr_assert_geq(fd, 0);
    if (size >= (off_t)sizeof head)
        cr_assert_eq(write(fd, &head, sizeof head), (ssize_t)sizeof head);
    cr_assert_eq(ftruncate(fd, size), 0);
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

Test(shared, only_a_sealed_heap_is_mapped)
{
    const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    int pipe_fds[2];

    cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    cr_assert_eq(follow_to(pipe_fds[0]), MUSTER_EPROTOCOL);
    cr_assert_eq(follow_to(open("/dev/null", O_RDONLY | O_CLOEXEC)), MUSTER_EPROTOCOL);
    cr_assert_eq(follow_to(make_memfd("other", MIB, seals)), MUSTER_EPROTOCOL);
    cr_assert_eq(follow_to(make_memfd(HEAP_NAME, MIB, F_SEAL_GROW | F_SEAL_SEAL)), MUSTER_EPROTOCOL);
    cr_assert_eq(follow_to(make_memfd(HEAP_NAME, 0, seals)), MUSTER_EPROTOCOL);
    cr_assert_eq(follow_to(make_memfd(HEAP_NAME, HEAP_DATA_OFFSET, seals)), MUSTER_EPROTOCOL);
    cr_assert_eq(follow_to(make_memfd(HEAP_NAME, (off_t)HEAP_BYTES_MAX + 1, seals)), MUSTER_EPROTOCOL);
    cr_assert_eq(follow_to(make_memfd(HEAP_NAME, MIB, seals)), 0);
}

/* --- references that are wrong when they are taken, and right later */

/* Of results: a reference as a worker sent it, and what is to become of it. */
struct sent {
    uint8_t bytes[3 + PROTO_SHARED_REFERENCE_BYTES];
    int taken;
};

/* As a reader takes it when it is received. */
static struct sent sent_to(int fd)
{
    struct reference reference = reference_to(fd);
    struct sent sent = {.bytes = {0xc7, PROTO_SHARED_REFERENCE_BYTES, PROTO_SHARED_EXT}};

    reference_store(&reference, sent.bytes + 3);
    sent.taken = shared_take(mappings, sent.bytes, sizeof sent.bytes);
    return sent;
}

static int pass(const struct sent *sent)
{
    msgpack_object value;
    size_t offset = 0;

    cr_assert_eq(value_unpack(sent->bytes, sizeof sent->bytes, &offset, &zone, &value), 0);
    return shared_pass(mappings, sent->taken, &value, &zone);
}

static int make_unsealed(void)
{
    return make_memfd(HEAP_NAME, MIB, 0);
}

static void seal(int fd)
{
    cr_assert_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
}

static void close_heap(int fd)
{
    struct heap_table *table = mmap(NULL, sizeof *table, PROT_WRITE, MAP_SHARED, fd, HEAP_TABLE_OFFSET);

    cr_assert_neq(table, MAP_FAILED);
    table->closed = 1;
    munmap(table, sizeof *table);
}

Test(shared, what_could_not_be_taken_is_not_read_when_it_could_be_later)
{
    int fd = make_unsealed();
    struct sent early = sent_to(fd);

    cr_assert_eq(early.taken, MUSTER_EPROTOCOL);
    seal(fd);
    cr_assert_eq(pass(&early), MUSTER_EPROTOCOL);
    cr_assert_eq(mappings_count(mappings), 0);
    msgpack_zone_clear(&zone); /* freed the mapping of which the list knew */
    cr_assert_eq(pass(&early), MUSTER_EPROTOCOL);
}

Test(shared, of_some_that_cannot_be_taken_none_is)
{
    int fd = make_memfd(HEAP_NAME, MIB, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    struct sent right = sent_to(fd), wrong = sent_to(make_unsealed());
    uint8_t both[2 * sizeof right.bytes];

    memcpy(both, right.bytes, sizeof right.bytes);
    memcpy(both + sizeof right.bytes, wrong.bytes, sizeof wrong.bytes);
    cr_assert_eq(shared_take(mappings, both, sizeof both), MUSTER_EPROTOCOL);
    close_heap(fd);
    mappings_trim(mappings);
    cr_assert_eq(mappings_count(mappings), 1);
    shared_release(mappings, right.bytes, sizeof right.bytes);
    mappings_trim(mappings);
    cr_assert_eq(mappings_count(mappings), 0);
}

Test(shared, of_a_value_that_cannot_be_had_all_is_released)
{
    enum { COUNT = (PROTO_VALUE_BYTES_MAX >> 19) + 2 };
    int fd = make_memfd(HEAP_NAME, MIB, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    struct sent one = sent_to(fd);
    struct reference half = reference_to(fd);
    static msgpack_object items[COUNT];
    uint8_t body[PROTO_SHARED_REFERENCE_BYTES];
    msgpack_object value = {.type = MSGPACK_OBJECT_ARRAY, .via.array = {.ptr = items, .size = COUNT}};

    half.size = MIB / 2;
    reference_store(&half, body);
    for (size_t i = 0; i < COUNT; i++) {
        items[i] =
            (msgpack_object){.type = MSGPACK_OBJECT_EXT,
                             .via.ext = {.type = PROTO_SHARED_EXT, .size = sizeof body, .ptr = (char *)body}};
        cr_assert_eq(mappings_take(mappings, &half), 0);
    }
    cr_assert_eq(shared_pass(mappings, 0, &value, &zone), MUSTER_ELIMIT);
    msgpack_zone_clear(&zone);
    shared_release(mappings, one.bytes, sizeof one.bytes);
    close_heap(fd);
    mappings_trim(mappings);
    cr_assert_eq(mappings_count(mappings), 0);
}

Test(shared, a_host_is_known_where_memory_can_be_shared)
{
    int status;
    pid_t pid = fork();
    uint64_t host = heap_host();

    if (pid == 0)
        _exit(heap_host() != host);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    cr_assert_neq(host, 0);
}
