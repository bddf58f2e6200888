/* SPDX-License-Identifier: MIT
 *
 * Adds and loads that each wait for the one before: the register, the caches, the memory.
 *
 * A load waits for the one before it when its address is what that one loads. The addresses
 * are places in a field, linked into one cycle in random order, so that no prefetcher knows the
 * next one. Places are two lines apart, since processors fetch lines in pairs. A field half
 * the size of a cache stays in it; for the memory, the lines are thrown out of all caches
 * before each round, where the processor lets us, else the field is larger than the caches.
 *
 * Where each access is to another page of 4 KiB, looking the page up costs time of its own: the
 * fields lie in huge pages where the system gives any, and RAM is measured both ways.
 *
 * Time is CPU time of the thread: being preempted does not count.
 *
 * This file is compiled with optimisation in every build: else it would measure the stack.
 */
#include "lab/rung.h"

#include "base/clock.h"
#include "jobs/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

enum {
    PLACE_BYTES = 128,         /* two lines */
    HUGE_BYTES = 2 << 20,      /* a huge page */
    EVICTED_BYTES = 64 << 20,  /* pages enough for any TLB: 16384 of them, or 32 huge ones */
    EVICTED_PLACE_BYTES = 512, /* in these, to have fewer lines to throw out */
    L3_PER_L2 = 4, /* a field for L3 is so much larger than L2: a line is gone before the walk is back */
    LARGE_BYTES_MAX = 1 << 30,
    UNROLLED = 16,
};

struct field {
    uint8_t *map;  /* what was mapped, map_bytes of it */
    uint8_t *base; /* aligned to a huge page */
    size_t map_bytes;
    size_t place_bytes, places;
    bool evicts; /* thrown out of the caches before each round */
    void **at;   /* where the walk is */
};

static void *volatile walked_to; /* a walk whose end nobody wants would not be made */

/* Whether a program may throw lines out of this processor's caches. */
static bool can_evict(void)
{
#if defined(__x86_64__)
    return true;
#else
    return false;
#endif
}

static void evict(const struct field *field)
{
#if defined(__x86_64__)
    for (size_t i = 0; i < field->places; i++)
        _mm_clflush(field->base + i * field->place_bytes);
    _mm_mfence();
#else
    (void)field;
#endif
}

static int walk(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct field *field = context;
    void **at = field->at;
    uint64_t began_ns;

    (void)ret_error;
    if (field->evicts)
        evict(field);
    began_ns = clock_thread_cpu_ns();
    for (uint64_t i = 0; i < times; i += UNROLLED)
        for (int k = 0; k < UNROLLED; k++)
            at = *at;
    *ret_ns = clock_thread_cpu_ns() - began_ns;
    walked_to = field->at = at;
    return 0;
}

/* Links the places into one cycle, each order as likely (Sattolo's algorithm). */
static int link_places(struct field *field, struct muster_error *ret_error)
{
    uint32_t *order = malloc(field->places * sizeof *order), other;
    struct random random;

    if (!order)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory for %zu places", field->places);
    random_seed(&random, field->places);
    for (size_t i = 0; i < field->places; i++)
        order[i] = (uint32_t)i;
    for (size_t i = field->places - 1; i > 0; i--) {
        size_t k = random_next(&random) % i;

        other = order[i];
        order[i] = order[k];
        order[k] = other;
    }
    for (size_t i = 0; i < field->places; i++)
        *(void **)(void *)(field->base + i * field->place_bytes) =
            field->base + order[i] * field->place_bytes;
    field->at = (void **)(void *)field->base;
    free(order);
    return 0;
}

/* Whether the line of smaps is the head of the mapping that `base` is in: "FIRST-LAST ...". */
static bool is_head(const char *line, const void *base, bool *ret_inside)
{
    char *end;
    uintptr_t first = strtoull(line, &end, 16), last;

    if (end == line || *end != '-')
        return false;
    last = strtoull(end + 1, &end, 16);
    if (*end != ' ')
        return false;
    *ret_inside = (uintptr_t)base >= first && (uintptr_t)base < last;
    return true;
}

/* Whether the mapping that `base` is in has huge pages, by what the kernel says. */
static bool has_huge_pages(const void *base)
{
    static const char label[] = "AnonHugePages:";
    FILE *file = fopen("/proc/self/smaps", "re");
    bool inside = false, has = false;
    char line[512];

    while (file && !has && fgets(line, sizeof line, file))
        if (!is_head(line, base, &inside) && inside && strncmp(line, label, strlen(label)) == 0)
            has = strtoull(line + strlen(label), NULL, 10) > 0;
    if (file)
        fclose(file);
    return has;
}

static int field_init(struct field *field, size_t bytes, size_t place_bytes, bool huge,
                      struct muster_error *ret_error)
{
    int code;

    *field = (struct field){.map_bytes = (bytes / HUGE_BYTES + 2) * HUGE_BYTES,
                            .place_bytes = place_bytes,
                            .places = bytes / place_bytes};
    field->map = mmap(NULL, field->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (field->map == MAP_FAILED)
        return muster_error_system(ret_error, errno, "cannot map %zu bytes", bytes);
    field->base = field->map + (HUGE_BYTES - (uintptr_t)field->map % HUGE_BYTES) % HUGE_BYTES;
    madvise(field->map, field->map_bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); /* a wish */
    if ((code = link_places(field, ret_error)) != 0)
        munmap(field->map, field->map_bytes);
    return code;
}

static void field_fini(struct field *field)
{
    munmap(field->map, field->map_bytes);
}

/* "24 KiB", "32 MiB" */
static void write_size(size_t bytes, char text[24])
{
    if (bytes < 1 << 20 || bytes % (1 << 20) != 0)
        snprintf(text, 24, "%zu KiB", bytes >> 10);
    else
        snprintf(text, 24, "%zu MiB", bytes >> 20);
}

/* A cache, by a field of `bytes` that fits into it. */
static int measure_cache(const struct ladder_spec *spec, unsigned level, size_t bytes,
                         struct ladder_figure *figure, struct sample *sample, struct muster_error *ret_error)
{
    size_t cache_bytes = spec->caches.bytes[level - 1];
    char part[24], whole[24];
    struct field field;
    int code;

    if (cache_bytes == 0 || bytes < PLACE_BYTES * UNROLLED)
        return muster_error_set(ret_error, MUSTER_ENOTFOUND, "the kernel knows of no L%u cache", level);
    if ((code = field_init(&field, bytes, PLACE_BYTES, true, ret_error)) != 0)
        return code;
    write_size(bytes, part);
    write_size(cache_bytes, whole);
    snprintf(figure->note, sizeof figure->note, "loads in %s of %s%s", part, whole,
             has_huge_pages(field.base) ? "" : ", pages of 4 KiB: no huge ones were given");
    code = rung_measure(spec, walk, &field, RUNG_BY_TIME, sample, ret_error);
    field_fini(&field);
    return code;
}

int rung_l1(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
            struct muster_error *ret_error)
{
    return measure_cache(spec, 1, spec->caches.bytes[0] / 2, figure, sample, ret_error);
}

int rung_l2(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
            struct muster_error *ret_error)
{
    return measure_cache(spec, 2, spec->caches.bytes[1] / 2, figure, sample, ret_error);
}

int rung_l3(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
            struct muster_error *ret_error)
{
    size_t half = spec->caches.bytes[2] / 2, enough = L3_PER_L2 * spec->caches.bytes[1];

    return measure_cache(spec, 3, enough > 0 && enough < half ? enough : half, figure, sample, ret_error);
}

static int measure_memory(const struct ladder_spec *spec, bool huge, struct ladder_figure *figure,
                          struct sample *sample, struct muster_error *ret_error)
{
    bool evicts = can_evict(), given;
    size_t bytes = 4 * spec->caches.bytes[2];
    struct field field;
    char size[24];
    int code;

    if (evicts || bytes < EVICTED_BYTES)
        bytes = EVICTED_BYTES;
    else if (bytes > LARGE_BYTES_MAX)
        bytes = LARGE_BYTES_MAX;
    code = field_init(&field, bytes, evicts ? EVICTED_PLACE_BYTES : PLACE_BYTES, huge, ret_error);
    if (code)
        return code;
    field.evicts = evicts;
    given = huge && has_huge_pages(field.base);
    write_size(bytes, size);
    snprintf(figure->note, sizeof figure->note, "loads in %s%s, pages of %s%s", size,
             evicts ? " out of the caches" : "", given ? "2 MiB" : "4 KiB",
             huge && !given ? ": no huge ones were given" : "");
    code = rung_measure(spec, walk, &field, evicts ? field.places : RUNG_BY_TIME, sample, ret_error);
    field_fini(&field);
    return code;
}

int rung_ram(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
             struct muster_error *ret_error)
{
    return measure_memory(spec, true, figure, sample, ret_error);
}

int rung_ram_pages(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
                   struct muster_error *ret_error)
{
    return measure_memory(spec, false, figure, sample, ret_error);
}

/* Keeps the sum in a register and the compiler from seeing through it. */
#define ADD     \
    sum += one; \
    __asm__ volatile("" : "+r"(sum));
#define ADD_4 ADD ADD ADD ADD

static volatile uint64_t summed;

static int add(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    const volatile uint64_t *addend = context;
    uint64_t one = *addend, sum = one, began_ns = clock_thread_cpu_ns();

    (void)ret_error;
    for (uint64_t i = 0; i < times; i += UNROLLED) {
        ADD_4 ADD_4 ADD_4 ADD_4
    }
    *ret_ns = clock_thread_cpu_ns() - began_ns;
    summed = sum;
    return 0;
}

int rung_register(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
                  struct muster_error *ret_error)
{
    uint64_t one = 1;

    snprintf(figure->note, sizeof figure->note, "adds that wait for each other: a cycle each");
    return rung_measure(spec, add, &one, RUNG_BY_TIME, sample, ret_error);
}
