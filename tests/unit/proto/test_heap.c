/* SPDX-License-Identifier: MIT
 *
 * The owner's heap: reuse, limits, what readers release or die with, and memory that cannot be had.
 */
#include "base/error.h"
#include "proto/heap.h"
#include "proto/heapfile.h"
#include "proto/mappings.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static struct heap *heap;

static void set_up(void)
{
    cr_assert_eq(heap_create(HEAP_SHARED, 8 * MIB, &heap), 0);
}

static void tear_down(void)
{
    heap_destroy(heap);
}

/* Memory that is full: half of what is asked for can still be had. The linker leads madvise here. */
static bool full;
int __real_madvise(void *memory, size_t size, int advice);
int __wrap_madvise(void *memory, size_t size, int advice);

int __wrap_madvise(void *memory, size_t size, int advice)
{
    if (!full || advice != MADV_POPULATE_WRITE)
        return __real_madvise(memory, size, advice);
    cr_assert_eq(__real_madvise(memory, size / 2, advice), 0);
    errno = ENOMEM;
    return -1;
}

TestSuite(heap, .init = set_up, .fini = tear_down);

static uint32_t alloc(size_t size, void **ret_bytes)
{
    uint32_t block = heap_alloc(heap, size, ret_bytes);

    cr_assert_neq(block, 0);
    return block;
}

/* The table, as a reader has it. */
static struct heap_table *map_table(const struct reference *reference)
{
    void *table = mmap(NULL, sizeof(struct heap_table), PROT_READ | PROT_WRITE, MAP_SHARED,
                       (int)reference->fd, HEAP_TABLE_OFFSET);

    cr_assert_neq(table, MAP_FAILED);
    return table;
}

Test(heap, freed_memory_is_used_again_before_other)
{
    void *first, *second, *again;
    uint32_t block = alloc(MIB, &first);

    alloc(MIB, &second);
    heap_drop(heap, block);
    cr_assert_neq(alloc(MIB, &again), block);
    cr_assert_eq(again, first);
    cr_assert_neq(first, second);
    cr_assert_eq(heap_stats(heap).used_bytes, 2 * MIB);
}

Test(heap, has_no_room_beyond_its_limit_and_has_again_when_a_block_is_freed)
{
    void *bytes;
    uint32_t block = alloc(7 * MIB, &bytes);

    cr_assert_eq(heap_alloc(heap, MIB, &bytes), 0);
    cr_assert_eq(heap_alloc(heap, 9 * MIB, &bytes), 0);
    cr_assert_eq(heap_alloc(heap, SIZE_MAX, &bytes), 0);
    cr_assert_eq(heap_alloc(heap, 0, &bytes), 0);
    heap_drop(heap, block);
    alloc(7 * MIB, &bytes);
}

Test(heap, has_no_more_blocks_than_places)
{
    static uint32_t blocks[HEAP_BLOCKS_MAX];
    struct heap *many;
    void *bytes;

    cr_assert_eq(heap_create(HEAP_SHARED, 128 * MIB, &many), 0);
    for (int i = 0; i < HEAP_BLOCKS_MAX; i++)
        cr_assert_neq(blocks[i] = heap_alloc(many, 1, &bytes), 0);
    cr_assert_eq(heap_alloc(many, 1, &bytes), 0);
    for (int i = 0; i < HEAP_BLOCKS_MAX; i++)
        heap_drop(many, blocks[i]);
    heap_destroy(many);
}

Test(heap, finds_the_block_of_bytes_that_lie_in_it_wholly)
{
    void *first, *second;
    uint32_t one = alloc(2 * HEAP_UNIT_BYTES, &first), two = alloc(HEAP_UNIT_BYTES, &second);
    const char *bytes = first;
    int elsewhere;

    cr_assert_eq(heap_find(heap, bytes, 2 * HEAP_UNIT_BYTES), one);
    cr_assert_eq(heap_find(heap, bytes + HEAP_UNIT_BYTES, 7), one);
    cr_assert_eq(heap_find(heap, bytes + 1, 2 * HEAP_UNIT_BYTES), 0);
    cr_assert_eq(heap_find(heap, second, 1), two);
    cr_assert_eq(heap_find(heap, (const char *)second + HEAP_UNIT_BYTES, 1), 0);
    cr_assert_eq(heap_find(heap, &elsewhere, 1), 0);
    cr_assert_eq(heap_find(NULL, bytes, 1), 0);
    heap_drop(heap, two);
    cr_assert_eq(heap_find(heap, second, 1), 0);
}

Test(heap, a_block_that_was_sent_is_free_when_each_reference_is_released)
{
    void *bytes;
    uint32_t block = alloc(MIB, &bytes), place = reference_place(block);
    struct reference reference = heap_refer(heap, block, REFERENCE_BIN, bytes, MIB);
    struct heap_table *table = map_table(&reference);

    heap_send(heap, block, (uint32_t)getpid());
    heap_send(heap, block, (uint32_t)getpid());
    heap_drop(heap, block);
    atomic_fetch_add(&table->released[place], 1);
    cr_assert_eq(heap_stats(heap).sent, 1);
    atomic_fetch_add(&table->released[place], 1);
    cr_assert_eq(heap_stats(heap).blocks, 0);
}

Test(heap, a_block_that_was_released_stays_while_this_process_uses_it)
{
    void *bytes, *other;
    uint32_t block = alloc(MIB, &bytes);
    struct reference reference = heap_refer(heap, block, REFERENCE_BIN, bytes, MIB);
    struct heap_table *table = map_table(&reference);

    heap_send(heap, block, (uint32_t)getpid());
    atomic_fetch_add(&table->released[reference_place(block)], 1);
    cr_assert_eq(heap_stats(heap).blocks, 1);
    heap_send(heap, block, (uint32_t)getpid()); /* the earlier release does not count for it */
    heap_drop(heap, block);
    cr_assert_eq(heap_stats(heap).blocks, 1);
    alloc(MIB, &other);
    cr_assert_neq(other, bytes);
}

Test(heap, whatever_readers_write_into_the_table_frees_nothing_that_was_not_sent)
{
    void *first, *bytes;
    uint32_t kept = alloc(MIB, &first), sent = alloc(MIB, &bytes);
    struct reference reference = heap_refer(heap, sent, REFERENCE_BIN, bytes, MIB);
    struct heap_table *table = map_table(&reference);

    heap_send(heap, sent, (uint32_t)getpid());
    for (int i = 0; i < HEAP_BLOCKS_MAX; i++)
        atomic_store(&table->released[i], UINT64_MAX);
    cr_assert_eq(heap_stats(heap).blocks, 2);
    for (uint32_t i = 0; i < HEAP_BLOCKS_MAX; i++)
        atomic_store(&table->released[i], (uint64_t)(sent - reference_place(sent) + i) << 32 | UINT32_MAX);
    heap_drop(heap, sent);
    cr_assert_eq(heap_stats(heap).blocks, 1);
    cr_assert_eq(heap_find(heap, first, 1), kept);
    heap_drop(heap, kept);
    cr_assert_eq(heap_stats(heap).used_bytes, 0);
}

Test(heap, what_a_dead_reader_had_is_taken_back)
{
    pid_t reader = fork();
    void *bytes;
    uint32_t block;

    if (reader == 0)
        _exit(0);
    cr_assert_eq(waitpid(reader, NULL, 0), reader);
    block = alloc(7 * MIB, &bytes);
    heap_send(heap, block, (uint32_t)reader);
    heap_drop(heap, block);
    alloc(7 * MIB, &bytes);
}

Test(heap, a_reader_of_a_block_that_another_one_has_gets_none)
{
    void *bytes;
    uint32_t block = alloc(MIB, &bytes);

    heap_send(heap, block, (uint32_t)getpid());
    cr_assert(heap_may_send(heap, block, (uint32_t)getpid()));
    cr_assert_not(heap_may_send(heap, block, (uint32_t)getppid()));
}

Test(heap, its_file_is_taken_when_a_reader_has_each_reference_that_was_published)
{
    int fd = -1;
    struct heap *adopted;
    struct heap_table *table;
    struct reference reference;
    void *bytes;
    uint32_t block;

    cr_assert_eq(heapfile_create(8 * MIB, &fd), 0);
    cr_assert_eq(heap_adopt(dup(fd), &adopted), 0);
    block = heap_alloc(adopted, MIB, &bytes);
    cr_assert_neq(block, 0);
    reference = heap_refer(adopted, block, REFERENCE_BIN, bytes, MIB);
    cr_assert_eq(reference.pid, (uint32_t)getpid());
    cr_assert_eq(reference.fd, (uint32_t)fd);
    table = map_table(&reference);
    for (int i = 0; i < 2; i++)
        heap_send(adopted, block, (uint32_t)getpid());
    cr_assert(heapfile_is_taken(fd)); /* what was not published has not left */
    heap_publish(adopted);
    cr_assert_not(heapfile_is_taken(fd));
    table->taken = 1;
    cr_assert_not(heapfile_is_taken(fd));
    table->taken = 2;
    cr_assert(heapfile_is_taken(fd));
    heap_drop(adopted, block);
    heap_destroy(adopted);
    heapfile_close(fd);
    cr_assert_eq(table->closed, 1);
}

Test(heap, a_file_that_is_no_heap_has_no_blocks)
{
    int fd = memfd_create(HEAP_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct heap *adopted;
    void *bytes;

    cr_assert_eq(ftruncate(fd, 8 * MIB), 0);
    cr_assert_eq(heap_adopt(fd, &adopted), 0);
    cr_assert_eq(heap_alloc(adopted, MIB, &bytes), 0);
    cr_assert_eq(fcntl(fd, F_GETFD), -1);
    heap_destroy(adopted);
}

Test(heap, idle_memory_beyond_one_value_is_given_back)
{
    struct heap *large;
    void *bytes;
    uint32_t blocks[5];

    cr_assert_eq(heap_create(HEAP_SHARED, HEAP_BYTES_MAX, &large), 0);
    for (int i = 0; i < 5; i++)
        cr_assert_neq(blocks[i] = heap_alloc(large, 64 * MIB, &bytes), 0);
    for (int i = 0; i < 5; i++)
        heap_drop(large, blocks[i]);
    cr_assert_eq(heap_stats(large).idle_bytes, HEAP_IDLE_BYTES);
    heap_destroy(large);
}

Test(heap, without_room_for_its_file_there_are_no_blocks)
{
    struct rlimit limit = {.rlim_cur = MIB / 2, .rlim_max = MIB / 2};
    void *bytes;

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0); /* a file that grows past it is a signal */
    cr_assert_eq(heap_alloc(heap, MIB, &bytes), 0);
    cr_assert_eq(heap_stats(heap).used_bytes, 0);
    cr_assert_eq(heap_threshold(heap), 256 << 10);
}

Test(heap, with_room_for_a_part_of_its_file_there_are_blocks_in_that_part)
{
    struct rlimit limit = {.rlim_cur = 2 * MIB, .rlim_max = 2 * MIB};
    void *bytes;

    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    alloc(MIB, &bytes);
    memset(bytes, 1, MIB);
    cr_assert_eq(heap_alloc(heap, MIB, &bytes), 0);
}

Test(heap, while_memory_is_full_there_are_blocks_where_pages_are_and_none_is_taken)
{
    void *first, *bytes;
    uint32_t block = alloc(MIB, &first);
    int fd = (int)heap_refer(heap, block, REFERENCE_BIN, first, MIB).fd;
    size_t had = heapfile_memory(fd);

    full = true;
    cr_assert_eq(heap_alloc(heap, 2 * MIB, &bytes), 0);
    cr_assert_eq(heapfile_memory(fd), had);
    cr_assert_eq(heap_stats(heap).used_bytes, MIB);
    heap_drop(heap, block);
    alloc(MIB, &bytes);
    cr_assert_eq(bytes, first);
    full = false;
    alloc(2 * MIB, &bytes);
    cr_assert_eq(heap_stats(heap).used_bytes, 3 * MIB);
}

Test(heap, while_memory_is_full_no_heap_is_made)
{
    void *bytes;

    full = true;
    cr_assert_eq(heap_alloc(heap, MIB, &bytes), 0);
    cr_assert_eq(heap_threshold(heap), 256 << 10);
    full = false;
    cr_assert_eq(heap_alloc(heap, MIB, &bytes), 0); /* it is tried once */
}

Test(heap, without_a_descriptor_there_are_no_blocks)
{
    struct rlimit before, none;
    void *bytes;

    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    cr_assert_eq(heap_alloc(heap, MIB, &bytes), 0);
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

Test(heap, its_file_can_be_neither_cut_nor_grown_by_anybody)
{
    void *bytes;
    uint32_t block = alloc(MIB, &bytes);
    struct reference reference = heap_refer(heap, block, REFERENCE_BIN, bytes, MIB);

    cr_assert_eq(ftruncate((int)reference.fd, 0), -1);
    cr_assert_eq(ftruncate((int)reference.fd, 16 * MIB), -1);
    cr_assert_eq(fcntl((int)reference.fd, F_GETFD), FD_CLOEXEC);
}

Test(heap, private_memory_has_blocks_in_the_same_way)
{
    struct heap *private;
    void *bytes;
    uint32_t block;

    cr_assert_eq(heap_create(HEAP_PRIVATE, 8 * MIB, &private), 0);
    cr_assert_neq(block = heap_alloc(private, MIB, &bytes), 0);
    memset(bytes, 1, MIB);
    cr_assert_eq(heap_find(private, bytes, MIB), block);
    cr_assert_not(heap_may_send(private, block, (uint32_t)getpid()));
    heap_drop(private, block);
    cr_assert_eq(heap_stats(private).used_bytes, 0);
    heap_destroy(private);
}

Test(heap, the_threshold_is_a_size_that_a_block_can_have)
{
    size_t threshold = heap_threshold(heap);

    cr_assert_geq(threshold, HEAP_UNIT_BYTES);
    cr_assert_leq(threshold, 256 << 10);
    cr_assert_eq(heap_threshold(heap), threshold);
    cr_assert_eq(heap_stats(heap).used_bytes, 0);
}
