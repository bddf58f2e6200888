/* SPDX-License-Identifier: MIT
 *
 * The owner's side of shared memory. See heap.h. What is needed to stay in order is in this process
 * alone; of what readers write only the table is looked at, and it can free no more than what was
 * sent.
 */
#include "proto/heap.h"

#include "base/error.h"
#include "proto/calibrate.h"
#include "proto/extents.h"
#include "proto/heapfile.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct block {
    uint32_t number;     /* as it is known outside; 0: not in use */
    uint32_t uses;       /* the count in `number`, which goes on */
    uint32_t first;      /* unit */
    uint32_t units;      /* of it */
    uint32_t users;      /* in this process */
    uint32_t sent;       /* references that are not known to be released */
    uint32_t reader;     /* who has them */
    uint32_t prev, next; /* places + 1 in the list of those sent; `next` too in that of free places */
};

struct heap {
    enum heap_kind kind;
    size_t bytes;   /* of memory, at most */
    bool failed;    /* it could not be made */
    bool destroyed; /* it goes with the last user of a block */
    uint32_t users; /* of all blocks */
    int fd;
    uint8_t *base;                  /* NULL: not made yet */
    uint64_t id;                    /* of a shared one, as below */
    uint32_t keeper_pid, keeper_fd; /* as the file's head has them */
    size_t threshold;               /* 0: not known yet */
    struct block *blocks;           /* HEAP_BLOCKS_MAX; owned */
    uint16_t *holders;              /* of each unit: the place + 1 of its block; owned */
    uint8_t *warm;                  /* of each unit: it has pages; owned */
    struct extents free;            /* units */
    uint32_t units;
    uint32_t free_places; /* place + 1; 0: none */
    uint32_t first_sent;  /* place + 1 */
    uint32_t sent_count;
    uint32_t quiet; /* blocks that may be allocated until the table is looked at again */
    uint32_t used_count;
    size_t used_units, warm_units; /* of `warm`, in use or not */
    uint64_t sent;                 /* references, ever */
};

static struct heap_table *table(const struct heap *heap)
{
    return (struct heap_table *)(heap->base + HEAP_TABLE_OFFSET);
}

static uint8_t *unit_bytes(const struct heap *heap, uint32_t unit)
{
    return heap->base + HEAP_DATA_OFFSET + (size_t)unit * HEAP_UNIT_BYTES;
}

/* --- making it */

int heap_create(enum heap_kind kind, size_t bytes, struct heap **ret_heap)
{
    struct heap *heap = calloc(1, sizeof *heap);

    if (!heap)
        return MUSTER_ENOMEM;
    heap->kind = kind;
    heap->bytes = heapfile_fit(bytes);
    heap->fd = -1;
    *ret_heap = heap;
    return 0;
}

int heap_adopt(int fd, struct heap **ret_heap)
{
    int code = heap_create(HEAP_SHARED, 0, ret_heap);

    if (code == 0)
        (*ret_heap)->fd = fd;
    return code;
}

static int open_file(struct heap *heap)
{
    struct heap_head head;
    int code = heap->fd >= 0 ? 0 : heapfile_create(heap->bytes, &heap->fd);

    if (code == 0)
        code = heapfile_load(heap->fd, &head);
    if (code != 0)
        return code;
    heap->bytes = head.bytes;
    heap->id = head.heap;
    heap->keeper_pid = head.keeper_pid;
    heap->keeper_fd = head.keeper_fd;
    return 0;
}

static int map_memory(struct heap *heap)
{
    bool shared = heap->kind == HEAP_SHARED;
    int flags = shared ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *base = mmap(NULL, heap->bytes, PROT_READ | PROT_WRITE, flags, heap->fd, 0);

    if (base == MAP_FAILED)
        return MUSTER_ENOMEM;
    heap->base = base;
    madvise(base, heap->bytes, MADV_HUGEPAGE); /* where the system has any for it */
    return 0;
}

/* Gives pages to a range, so that no write to it can fail. */
static bool populate(const struct heap *heap, size_t offset, size_t size)
{
    if (madvise(heap->base + offset, size, MADV_POPULATE_WRITE) == 0)
        return true;
    return errno == EINVAL && /* before Linux 5.14 */
           (heap->kind == HEAP_PRIVATE || fallocate(heap->fd, 0, (off_t)offset, (off_t)size) == 0);
}

static int make_places(struct heap *heap)
{
    if (!populate(heap, 0, HEAP_DATA_OFFSET))
        return MUSTER_ENOMEM;
    heap->units = (uint32_t)((heap->bytes - HEAP_DATA_OFFSET) / HEAP_UNIT_BYTES);
    heap->blocks = calloc(HEAP_BLOCKS_MAX, sizeof *heap->blocks);
    heap->holders = calloc(heap->units, sizeof *heap->holders);
    heap->warm = calloc(heap->units, sizeof *heap->warm);
    if (!heap->blocks || !heap->holders || !heap->warm ||
        extents_init(&heap->free, HEAP_BLOCKS_MAX + 1, heap->units) != 0)
        return MUSTER_ENOMEM;
    for (uint32_t i = HEAP_BLOCKS_MAX; i > 0; i--) {
        heap->blocks[i - 1].next = heap->free_places;
        heap->free_places = i;
    }
    return 0;
}

static void unmake(struct heap *heap)
{
    if (heap->base)
        munmap(heap->base, heap->bytes);
    if (heap->fd >= 0)
        close(heap->fd);
    heap->base = NULL;
    heap->fd = -1;
    free(heap->blocks);
    free(heap->holders);
    free(heap->warm);
    extents_fini(&heap->free);
}

/* Whether there is memory. It is tried once. */
static bool ready(struct heap *heap)
{
    int code = 0;

    if (heap->base || heap->failed)
        return !heap->failed;
    if (heap->kind == HEAP_SHARED)
        code = open_file(heap);
    if (code == 0)
        code = map_memory(heap);
    if (code == 0)
        code = make_places(heap);
    heap->failed = code != 0;
    if (heap->failed)
        unmake(heap);
    return !heap->failed;
}

static void end(struct heap *heap)
{
    if (!heap->failed)
        unmake(heap);
    free(heap);
}

void heap_destroy(struct heap *heap)
{
    if (!heap)
        return;
    heap->destroyed = true;
    if (heap->users == 0)
        end(heap);
}

size_t heap_threshold(struct heap *heap)
{
    size_t threshold = heap->threshold;
    uint32_t block;
    void *memory;

    if (heap->kind == HEAP_PRIVATE)
        return SIZE_MAX;
    if (threshold == 0) {
        block = heap_alloc(heap, CALIBRATE_BYTES, &memory);
        heap->threshold = threshold = block ? calibrate(memory, HEAP_UNIT_BYTES) : CALIBRATE_BYTES;
        if (block)
            heap_drop(heap, block);
    }
    return threshold;
}

/* --- memory that idles */

/* Gives pages of a run of units back. Returns whether it could. */
static bool give_back(const struct heap *heap, uint32_t first, uint32_t end)
{
    return madvise(unit_bytes(heap, first), (size_t)(end - first) * HEAP_UNIT_BYTES,
                   heap->kind == HEAP_SHARED ? MADV_REMOVE : MADV_DONTNEED) == 0;
}

static void cool(struct heap *heap, uint32_t first, uint32_t end)
{
    if (!give_back(heap, first, end))
        return;
    memset(heap->warm + first, 0, end - first);
    heap->warm_units -= end - first;
}

/* From the end on, what is used least. */
static void trim(struct heap *heap)
{
    size_t keep = HEAP_IDLE_BYTES / HEAP_UNIT_BYTES;

    for (uint32_t i = heap->free.count; i > 0 && heap->warm_units > heap->used_units + keep; i--) {
        const struct extent *extent = &heap->free.list[i - 1];
        size_t surplus = heap->warm_units - heap->used_units - keep;
        uint32_t end = extent->first + extent->count, first;

        while (end > extent->first && !heap->warm[end - 1])
            end--;
        for (first = end; first > extent->first && heap->warm[first - 1] && end - first < surplus;)
            first--;
        if (first < end)
            cool(heap, first, end);
    }
}

/* Makes sure that all units have pages. */
static bool heat(struct heap *heap, uint32_t first, uint32_t end)
{
    while (first < end) {
        uint32_t run = first;

        while (run < end && heap->warm[run] == heap->warm[first])
            run++;
        if (!heap->warm[first]) {
            if (!populate(heap, (size_t)(unit_bytes(heap, first) - heap->base),
                          (size_t)(run - first) * HEAP_UNIT_BYTES)) {
                give_back(heap, first, run); /* the pages that there were */
                return false;
            }
            memset(heap->warm + first, 1, run - first);
            heap->warm_units += run - first;
        }
        first = run;
    }
    return true;
}

/* --- blocks */

static struct block *block_of(const struct heap *heap, uint32_t number)
{
    struct block *block = &heap->blocks[reference_place(number)];

    assert(number != 0 && block->number == number);
    return block;
}

static void free_block(struct heap *heap, struct block *block)
{
    uint32_t place = (uint32_t)(block - heap->blocks) + 1;

    memset(heap->holders + block->first, 0, block->units * sizeof *heap->holders);
    extents_give(&heap->free, block->first, block->units);
    heap->used_units -= block->units;
    heap->used_count--;
    block->number = 0;
    block->next = heap->free_places;
    heap->free_places = place;
    trim(heap);
}

static void unlink_sent(struct heap *heap, struct block *block)
{
    if (block->prev)
        heap->blocks[block->prev - 1].next = block->next;
    else
        heap->first_sent = block->next;
    if (block->next)
        heap->blocks[block->next - 1].prev = block->prev;
    block->sent = 0;
    heap->sent_count--;
}

static bool is_gone(uint32_t pid)
{
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

/* Takes back what readers have released, or died with. */
static void sweep(struct heap *heap)
{
    uint32_t place = heap->first_sent, reader = 0;
    bool gone = false;

    while (place) {
        struct block *block = &heap->blocks[place - 1];
        uint64_t word = atomic_load_explicit(&table(heap)->released[place - 1], memory_order_acquire);

        if (block->reader != reader) {
            reader = block->reader;
            gone = is_gone(reader);
        }
        place = block->next;
        if (!gone && (word >> 32 != block->number || (uint32_t)word < block->sent))
            continue;
        unlink_sent(heap, block);
        if (block->users == 0)
            free_block(heap, block);
    }
    heap->quiet = heap->sent_count / 8; /* so that a look at each costs some of an allocation */
}

static uint32_t take_units(struct heap *heap, uint32_t units)
{
    uint32_t first = extents_take(&heap->free, units);

    if (first == UINT32_MAX && heap->sent_count > 0) {
        sweep(heap);
        first = extents_take(&heap->free, units);
    }
    if (first != UINT32_MAX && !heat(heap, first, first + units)) {
        extents_give(&heap->free, first, units);
        return UINT32_MAX;
    }
    return first;
}

static uint32_t make_block(struct heap *heap, uint32_t first, uint32_t units)
{
    uint32_t place = heap->free_places;
    struct block *block = &heap->blocks[place - 1];

    heap->free_places = block->next;
    block->uses = block->uses + 1 < 1u << (32 - HEAP_PLACE_BITS) ? block->uses + 1 : 1;
    block->number = block->uses << HEAP_PLACE_BITS | (place - 1);
    block->first = first;
    block->units = units;
    block->users = 1;
    heap->users++;
    block->sent = 0;
    for (uint32_t i = 0; i < units; i++)
        heap->holders[first + i] = (uint16_t)place;
    heap->used_units += units;
    heap->used_count++;
    return block->number;
}

uint32_t heap_alloc(struct heap *heap, size_t size, void **ret_bytes)
{
    uint32_t units, first, number;

    if (size == 0 || size > HEAP_BYTES_MAX || !ready(heap))
        return 0;
    if (heap->sent_count > 0 && heap->quiet-- == 0)
        sweep(heap);
    if (!heap->free_places)
        return 0;
    units = (uint32_t)((size + HEAP_UNIT_BYTES - 1) / HEAP_UNIT_BYTES);
    first = take_units(heap, units);
    if (first == UINT32_MAX)
        return 0;
    number = make_block(heap, first, units);
    *ret_bytes = unit_bytes(heap, first);
    return number;
}

uint32_t heap_find(const struct heap *heap, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    const struct block *block;
    uint32_t unit, place;

    if (!heap || !heap->base || at < heap->base + HEAP_DATA_OFFSET || at >= heap->base + heap->bytes)
        return 0;
    unit = (uint32_t)((size_t)(at - heap->base - HEAP_DATA_OFFSET) / HEAP_UNIT_BYTES);
    place = unit < heap->units ? heap->holders[unit] : 0;
    if (place == 0)
        return 0;
    block = &heap->blocks[place - 1];
    return size <= (size_t)(unit_bytes(heap, block->first + block->units) - at) ? block->number : 0;
}

void heap_keep(struct heap *heap, uint32_t block)
{
    block_of(heap, block)->users++;
    heap->users++;
}

void heap_drop(struct heap *heap, uint32_t number)
{
    struct block *block = block_of(heap, number);

    assert(block->users > 0);
    heap->users--;
    if (--block->users == 0 && block->sent == 0)
        free_block(heap, block);
    if (heap->destroyed && heap->users == 0)
        end(heap);
}

/* --- references */

struct reference heap_refer(const struct heap *heap, uint32_t block, uint8_t kind, const void *bytes,
                            size_t size)
{
    return (struct reference){.kind = kind,
                              .pid = heap->keeper_pid,
                              .fd = heap->keeper_fd,
                              .heap = heap->id,
                              .block = block,
                              .offset = (uint64_t)((const uint8_t *)bytes - heap->base),
                              .size = size};
}

bool heap_may_send(const struct heap *heap, uint32_t number, uint32_t reader)
{
    const struct block *block = block_of(heap, number);

    return heap->kind == HEAP_SHARED && (block->sent == 0 || block->reader == reader);
}

void heap_send(struct heap *heap, uint32_t number, uint32_t reader)
{
    struct block *block = block_of(heap, number);
    uint32_t place = reference_place(number) + 1;

    assert(heap_may_send(heap, number, reader));
    heap->sent++;
    if (block->sent++ > 0)
        return;
    atomic_store_explicit(&table(heap)->released[place - 1], (uint64_t)number << 32, memory_order_release);
    block->reader = reader;
    block->prev = 0;
    block->next = heap->first_sent;
    if (heap->first_sent)
        heap->blocks[heap->first_sent - 1].prev = place;
    heap->first_sent = place;
    heap->sent_count++;
}

void heap_publish(struct heap *heap)
{
    if (heap->sent > 0)
        atomic_store_explicit(&table(heap)->sent, heap->sent, memory_order_relaxed);
}

struct heap_stats heap_stats(struct heap *heap)
{
    if (!heap->base)
        return (struct heap_stats){0};
    sweep(heap);
    return (struct heap_stats){.used_bytes = heap->used_units * HEAP_UNIT_BYTES,
                               .idle_bytes = (heap->warm_units - heap->used_units) * HEAP_UNIT_BYTES,
                               .blocks = heap->used_count,
                               .sent = heap->sent_count};
}

int heap_resolve(const struct heap *heap, const struct reference *reference, const void **ret_bytes)
{
    if (!heap->base || reference->heap != heap->id)
        return MUSTER_ENOTFOUND;
    if (reference->size > heap->bytes || reference->offset > heap->bytes - reference->size)
        return MUSTER_EPROTOCOL;
    *ret_bytes = heap->base + reference->offset;
    return 0;
}
