/* SPDX-License-Identifier: MIT
 *
 * References to shared memory, and the heaps that they lead to, of one that is right and one that is as the
 * input has it: some are received, read, passed on and released in any order, while that changes. What is
 * read is what stands there; what was taken is released once, and then nothing stays mapped.
 */
#include "fuzz.h"
#include "input.h"
#include "proto/scan.h"
#include "proto/shared.h"
#include "proto/value.h"

#include <fcntl.h>

enum { FRAMES = 4, REFERENCES_MAX = 4, DATA_BYTES = 4096, BLOCK = 1 };

/* Results as they were received: one array of references. */
struct frame {
    struct reference references[REFERENCES_MAX];
    size_t count;
    uint8_t bytes[1 + REFERENCES_MAX * (3 + PROTO_SHARED_REFERENCE_BYTES)];
    size_t size;
    int taken;
    bool received;
};

/* What another process shares. */
struct place {
    int fd;
    uint64_t heap;
    uint64_t bytes; /* at most HEAP_DATA_OFFSET + DATA_BYTES */
};

static struct heap *own;
static struct reference own_reference;
static struct mappings *mappings;
static msgpack_zone held;
static struct place right, other;
static struct frame frames[FRAMES];

static uint8_t letter_at(const struct place *place, uint64_t offset)
{
    return (uint8_t)(offset * 7 + place->heap);
}

static void write_at(const struct place *place, uint64_t offset, const void *bytes, size_t size)
{
    FUZZ_CHECK(pwrite(place->fd, bytes, size, (off_t)offset) == (ssize_t)size);
}

static void write_head(const struct place *place, uint64_t bytes)
{
    struct heap_head head = {.magic = HEAP_MAGIC, .heap = place->heap, .bytes = bytes};

    write_at(place, 0, &head, sizeof head);
}

static void seal(const struct place *place)
{
    fcntl(place->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

static void open_place(struct place *place, uint64_t heap, uint64_t bytes, const char *name)
{
    uint64_t released = (uint64_t)BLOCK << 32;
    uint8_t letters[DATA_BYTES];

    *place = (struct place){
        .fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING), .heap = heap, .bytes = bytes};
    FUZZ_CHECK(place->fd >= 0 && ftruncate(place->fd, (off_t)bytes) == 0);
    for (size_t i = 0; i < sizeof letters; i++)
        letters[i] = letter_at(place, HEAP_DATA_OFFSET + i);
    if (bytes > HEAP_DATA_OFFSET)
        write_at(place, HEAP_DATA_OFFSET, letters, (size_t)(bytes - HEAP_DATA_OFFSET));
    if (bytes >= HEAP_DATA_OFFSET)
        write_at(place, HEAP_TABLE_OFFSET + offsetof(struct heap_table, released[BLOCK]), &released,
                 sizeof released);
}

static void close_heap(const struct place *place)
{
    uint32_t closed = 1;

    if (place->bytes >= HEAP_DATA_OFFSET)
        write_at(place, HEAP_TABLE_OFFSET + offsetof(struct heap_table, closed), &closed, sizeof closed);
}

/* One that may be none, yet. */
static void open_other(struct input *input)
{
    static const uint64_t sizes[] = {HEAP_DATA_OFFSET + DATA_BYTES, HEAP_DATA_OFFSET, 0,
                                     HEAP_DATA_OFFSET + 1};
    unsigned how = input_byte(input);

    open_place(&other, 2, sizes[how & 3], how & 4 ? "other" : HEAP_NAME);
    if (how & 8 && other.bytes > 0)
        write_head(&other, how & 16 ? other.bytes : input_number(input, 8));
    if (how & 32)
        seal(&other);
}

static struct reference read_reference(struct input *input)
{
    unsigned how = input_byte(input);
    const struct place *place = how & 1 ? &right : &other;
    struct reference reference = {.kind = how & 2 ? REFERENCE_STR : REFERENCE_BIN,
                                  .pid = (uint32_t)getpid(),
                                  .fd = (uint32_t)place->fd,
                                  .heap = place->heap,
                                  .block = BLOCK};

    if ((how & 12) == 12)
        reference = own_reference;
    reference.offset = HEAP_DATA_OFFSET + input_number(input, 2);
    reference.size = how & 16 ? 1 + input_number(input, 1) : input_number(input, 5);
    if (how & 32)
        reference.offset = input_number(input, 8);
    if (how & 64)
        reference.block = (uint32_t)input_number(input, 4);
    if (how & 128)
        reference.fd = (uint32_t)input_number(input, 2), reference.heap = input_number(input, 1);
    if (reference.heap == right.heap) /* of which it is counted */
        reference.block = BLOCK;
    return reference;
}

static void receive(struct input *input, struct frame *frame)
{
    *frame = (struct frame){.received = true, .count = input_byte(input) % (REFERENCES_MAX + 1)};
    frame->bytes[frame->size++] = (uint8_t)(0x90 + frame->count);
    for (size_t i = 0; i < frame->count; i++) {
        uint8_t *at = frame->bytes + frame->size;

        frame->references[i] = read_reference(input);
        memcpy(at, (uint8_t[]){0xc7, PROTO_SHARED_REFERENCE_BYTES, PROTO_SHARED_EXT}, 3);
        reference_store(&frame->references[i], at + 3);
        frame->size += 3 + PROTO_SHARED_REFERENCE_BYTES;
    }
    frame->taken = shared_take(mappings, frame->bytes, frame->size);
}

static void unpack(const struct frame *frame, msgpack_zone *zone, msgpack_object *ret_value)
{
    size_t offset = 0, length;

    FUZZ_CHECK(scan_value(&scan_value_limits, frame->bytes, frame->size, &length) == 0);
    FUZZ_CHECK(value_unpack(frame->bytes, frame->size, &offset, zone, ret_value) == 0);
}

/* For nobody who is there any more. */
static void receive_late(struct input *input)
{
    struct frame late;

    receive(input, &late);
    if (late.taken == 0)
        shared_release(mappings, late.bytes, late.size);
    shared_discard(mappings, late.bytes, late.size);
}

/* Reads all that they lead to. */
static void check_read(const struct frame *frame, const msgpack_object *value)
{
    for (size_t i = 0; i < frame->count; i++) {
        const struct reference *reference = &frame->references[i];
        const msgpack_object *item = &value->via.array.ptr[i];
        bool is_text = item->type == MSGPACK_OBJECT_STR;
        const uint8_t *bytes = (const uint8_t *)(is_text ? item->via.str.ptr : item->via.bin.ptr);
        const struct place *place = reference->heap == right.heap ? &right : &other;
        uint64_t at = reference->offset - HEAP_DATA_OFFSET;

        FUZZ_CHECK(is_text == (reference->kind == REFERENCE_STR));
        FUZZ_CHECK((is_text ? item->via.str.size : item->via.bin.size) == reference->size);
        for (uint64_t k = 0; k < reference->size; k += 1 + reference->size / 16)
            FUZZ_CHECK(reference->heap == own_reference.heap || at + k >= DATA_BYTES ||
                       bytes[k] == letter_at(place, reference->offset + k));
    }
}

static void use(struct input *input, struct frame *frame, unsigned how)
{
    msgpack_object value;
    int code = 0;

    if (how == 0) {
        if (frame->taken == 0)
            shared_release(mappings, frame->bytes, frame->size);
        receive(input, frame);
        return;
    }
    unpack(frame, &held, &value);
    if (how == 1)
        code = shared_resolve(mappings, frame->taken, &value);
    else if (how == 2)
        code = shared_pass(mappings, frame->taken, &value, &held);
    else
        code = shared_hold(mappings, &value, &held);
    FUZZ_CHECK(code == 0 || code == MUSTER_EPROTOCOL || code == MUSTER_ELOST || code == MUSTER_ESYSTEM ||
               (code == MUSTER_ELIMIT && how == 3));
    if (how != 3 && frame->count > 0 && code != MUSTER_EPROTOCOL) /* which it may have been all the time */
        FUZZ_CHECK((code == 0) == (frame->taken == 0));
    if (code == 0)
        check_read(frame, &value);
    if (how == 2)
        *frame = (struct frame){.taken = 1};
}

static void change(struct input *input)
{
    unsigned how = input_byte(input);

    if (how == 0 && other.bytes > 0)
        write_head(&other, other.bytes);
    else if (how == 1)
        seal(&other);
    else if (how == 2)
        close_heap(&other);
    else if (how == 3)
        close_heap(&right);
    else if (how == 4)
        msgpack_zone_clear(&held);
    else if (how == 5)
        mappings_trim(mappings);
    else if (how == 6)
        receive_late(input);
}

/* All is let go of; what was taken of the right heap was released. */
static void end(void)
{
    struct heap_table table;

    for (size_t i = 0; i < FRAMES; i++)
        if (frames[i].received && frames[i].taken == 0)
            shared_release(mappings, frames[i].bytes, frames[i].size);
    msgpack_zone_destroy(&held);
    close_heap(&right);
    close_heap(&other);
    mappings_trim(mappings);
    FUZZ_CHECK(mappings_count(mappings) == 0);
    mappings_destroy(mappings);
    FUZZ_CHECK(pread(right.fd, &table, sizeof table, HEAP_TABLE_OFFSET) == (ssize_t)sizeof table);
    FUZZ_CHECK(table.released[BLOCK] == ((uint64_t)BLOCK << 32) + table.taken);
    close(right.fd);
    close(other.fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    uint32_t block;
    void *memory;

    if (!own) {
        FUZZ_CHECK(heap_create(HEAP_SHARED, 1 << 20, &own) == 0);
        block = heap_alloc(own, DATA_BYTES, &memory);
        FUZZ_CHECK(block > 0);
        own_reference = heap_refer(own, block, REFERENCE_BIN, memory, DATA_BYTES);
    }
    FUZZ_CHECK(mappings_create(own, true, &mappings) == 0 && msgpack_zone_init(&held, 1024));
    open_place(&right, 1, HEAP_DATA_OFFSET + DATA_BYTES, HEAP_NAME);
    write_head(&right, right.bytes);
    seal(&right);
    open_other(&input);
    for (size_t i = 0; i < FRAMES; i++)
        frames[i] = (struct frame){.taken = 1};
    while (input.size > 0) {
        unsigned how = input_byte(&input);
        struct frame *frame = &frames[how & 3];

        if ((how >> 2 & 7) == 7)
            change(&input);
        else if (frame->received || (how >> 2 & 3) == 0)
            use(&input, frame, how >> 2 & 3);
    }
    end();
    return 0;
}
