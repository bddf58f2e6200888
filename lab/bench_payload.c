/* SPDX-License-Identifier: MIT
 *
 * bench payload: blocks of bytes into a job and out again, from 64 B to 256 MiB, through shared
 * memory where that pays, inline in messages, and beside memcpy. See bench.h.
 */
#include "lab/bench.h"

#include "base/clock.h"
#include "lab/peers.h"
#include "proto/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ROUNDS = 5,
    SIZES = 12, /* 64 B times 4 each: 256 MiB */
    SIZE_TEXT_BYTES = 32,
    TIMES_MAX = 500,
    COPIES = 8, /* of a block that there may be at once: the caller's, memcpy's, heaps', messages */
};

static const size_t SIZE_MIN = 64, TURN_BYTES = 64 << 20;

/* The largest value, as it is encoded, is 256 MiB: bytes, and what says where they are. */
static const size_t AROUND_BYTES = 256;

/* --- what is done with a block */

struct block {
    muster *m;   /* NULL: memcpy */
    char *bytes; /* borrowed */
    size_t size;
    struct muster_receipt sum; /* of all jobs */
};

static int send_block(struct block *block, struct muster_error *ret_error)
{
    msgpack_object argument = {.type = MSGPACK_OBJECT_BIN,
                               .via.bin = {.ptr = block->bytes, .size = (uint32_t)block->size}};
    struct muster_job job = {.function = "echo", .argument = &argument};
    const struct muster_receipt *receipt;
    const msgpack_object *value;
    muster_future *future;
    int code;

    if ((code = muster_submit(block->m, &job, &future, ret_error)) != 0)
        return code;
    code = muster_await(future, &value, ret_error);
    if (!code && (value->type != MSGPACK_OBJECT_BIN || value->via.bin.size != block->size ||
                  value->via.bin.ptr[block->size - 1] != block->bytes[block->size - 1]))
        code = muster_error_set(ret_error, MUSTER_ESTATE, "a block came back as another");
    if (!code && (receipt = muster_future_result(future)->receipt) != NULL) {
        block->sum.total_ns += receipt->total_ns;
        for (size_t i = 0; i < MUSTER_PHASES; i++)
            block->sum.phase_ns[i] += receipt->phase_ns[i];
    }
    muster_future_drop(future);
    return code;
}

static int run_block(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    uint64_t began_ns = clock_now_ns();
    int code = 0;

    for (uint64_t i = 0; i < times && !code; i++)
        code = send_block(context, ret_error);
    if (!code)
        *ret_ns = clock_now_ns() - began_ns;
    return code;
}

/* There and back, between two buffers whose pages are there. */
static int run_memcpy(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct block *block = context;
    char *other = malloc(block->size);
    uint64_t began_ns;

    if (!other)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    memset(other, 1, block->size);
    began_ns = clock_now_ns();
    for (uint64_t i = 0; i < times; i++) {
        memcpy(other, block->bytes, block->size);
        __asm__ volatile("" ::"r"(other) : "memory"); /* it might be looked at: no copy is left out */
        memcpy(block->bytes, other, block->size);
        __asm__ volatile("" ::"r"(block->bytes) : "memory");
    }
    *ret_ns = clock_now_ns() - began_ns;
    free(other);
    return 0;
}

/* --- the figures */

enum { SHARED, INLINE, MEMCPY, WAYS };

static const char *const names[WAYS] = {"shared memory", "inline", "memcpy"};

/* All that is found for the plots. */
struct findings {
    size_t count; /* sizes */
    double sizes[SIZES], rates[WAYS][SIZES], shares[MUSTER_PHASES][SIZES];
};

static void write_size(size_t size, char text[SIZE_TEXT_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB"};
    size_t unit = 0;

    while (size >= 1024 && unit + 1 < sizeof units / sizeof *units) {
        size /= 1024;
        unit++;
    }
    snprintf(text, SIZE_TEXT_BYTES, "%zu %s", size, units[unit]);
}

/* "encode 31%, send 12%": the phases from 1% on. */
static void write_shares(const struct findings *findings, size_t place, char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < MUSTER_PHASES && used < size; i++)
        if (findings->shares[i][place] >= 1)
            used += (size_t)snprintf(text + used, size - used, "%s%s %.0f%%", used ? ", " : "",
                                     muster_phase_name((enum muster_phase)i), findings->shares[i][place]);
}

static int add_size(struct bench_report *report, size_t nominal, const struct bench_turn *turns,
                    struct findings *findings)
{
    const struct block *shared = turns[SHARED].context;
    struct bench_scale rate = {"GB/s", true, 2 * (double)shared->size * 1e-9};
    size_t place = findings->count++;
    char size[SIZE_TEXT_BYTES], name[BENCH_NAME_BYTES];
    int code;

    findings->sizes[place] = (double)nominal;
    write_size(nominal, size);
    for (size_t i = 0; i < MUSTER_PHASES && shared->sum.total_ns > 0; i++)
        findings->shares[i][place] = 100 * (double)shared->sum.phase_ns[i] / (double)shared->sum.total_ns;
    for (size_t i = 0; i < MEMCPY; i++) {
        snprintf(name, sizeof name, "%s, %s", size, names[i]);
        code = bench_add_turn(report, name, &turns[i], "memcpy", &turns[MEMCPY], &rate);
        if (code)
            return code;
        findings->rates[i][place] = report->figures[report->figure_count - 1].value;
        findings->rates[MEMCPY][place] = report->figures[report->figure_count - 1].baseline_value;
    }
    write_shares(findings, place, report->figures[report->figure_count - MEMCPY].note, BENCH_NOTE_BYTES);
    return 0;
}

static int add_curve(struct bench_report *report, const char *plot, const char *name, const char *y_axis,
                     bool y_log, const struct findings *findings, const double *values)
{
    struct bench_curve curve = {.x_axis = "bytes", .x_log = true, .y_log = y_log};

    snprintf(curve.plot, sizeof curve.plot, "%s", plot);
    snprintf(curve.name, sizeof curve.name, "%s", name);
    snprintf(curve.y_axis, sizeof curve.y_axis, "%s", y_axis);
    if (!(curve.points = calloc(SIZES, sizeof *curve.points)))
        return MUSTER_ENOMEM;
    for (size_t i = 0; i < findings->count; i++)
        if (values[i] > 0 || !y_log)
            curve.points[curve.count++] = (struct bench_point){findings->sizes[i], values[i]};
    return bench_add_curve(report, &curve);
}

static int add_curves(struct bench_report *report, const struct findings *findings)
{
    int code = 0;

    for (size_t i = 0; i < WAYS && !code; i++)
        code = add_curve(report, "payload", names[i], "GB/s, in and out", true, findings, findings->rates[i]);
    for (size_t i = 0; i < MUSTER_PHASE_IDLE && !code; i++)
        code = add_curve(report, "phases", muster_phase_name((enum muster_phase)i), "% of the round trip",
                         false, findings, findings->shares[i]);
    return code;
}

/* More than noise is: the sizes that take the same way under both transports differ by up to a tenth. */
static const double BY_FAR = 1.25;

/* The place from which on shared memory is faster by far; the count when it is not, or when nothing is
 * known of the other. */
static size_t crossover(const struct findings *findings)
{
    size_t place = findings->count;

    while (place > 0 && findings->rates[INLINE][place - 1] > 0 &&
           findings->rates[SHARED][place - 1] > BY_FAR * findings->rates[INLINE][place - 1])
        place--;
    return place;
}

static void judge(struct bench_report *report, const struct findings *findings)
{
    size_t across = crossover(findings), best = 0;
    char size[SIZE_TEXT_BYTES], *text = report->sentence;
    size_t used;

    for (size_t i = 1; i < findings->count; i++)
        if (findings->rates[SHARED][i] > findings->rates[SHARED][best])
            best = i;
    if (findings->count == 0 || findings->rates[SHARED][best] <= 0) {
        snprintf(text, sizeof report->sentence, "It could not be measured: %s.",
                 report->figure_count ? report->figures[0].note : "there is too little memory");
        return;
    }
    write_size((size_t)findings->sizes[best], size);
    used = (size_t)snprintf(text, sizeof report->sentence,
                            "Into a job and out again pass %.2f GB/s at best, in blocks of %s: %.2f times "
                            "memcpy. ",
                            findings->rates[SHARED][best], size,
                            findings->rates[SHARED][best] / findings->rates[MEMCPY][best]);
    if (across == findings->count) {
        snprintf(text + used, sizeof report->sentence - used, "No shared memory was seen to pay.");
        return;
    }
    write_size((size_t)findings->sizes[across], size);
    snprintf(text + used, sizeof report->sentence - used,
             "Shared memory pays from %s on; there it is %.3g times as fast as inline.", size,
             findings->rates[SHARED][across] / findings->rates[INLINE][across]);
}

/* --- the run */

static bool has_memory(size_t size)
{
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    return pages < 0 || size < (size_t)64 << 20 || (size_t)pages * (size_t)page / COPIES > size;
}

/* A size for which there is no memory, whatever the system had free: there are limits of a process. */
static int leave_out(struct bench_report *report, size_t nominal, struct muster_error *ret_error)
{
    struct bench_figure figure = {.unit = "GB/s", .note = "no memory for a block of that size"};

    write_size(nominal, figure.figure);
    return bench_add(report, &figure) ? muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory") : 0;
}

static int run_size(const struct bench_spec *spec, struct bench_report *report, size_t nominal,
                    muster **pools, const struct muster_error *errors, struct findings *findings,
                    struct muster_error *ret_error)
{
    size_t size = nominal < PROTO_VALUE_BYTES_MAX ? nominal : PROTO_VALUE_BYTES_MAX - AROUND_BYTES;
    uint64_t times = bench_turn_share(spec, TURN_BYTES) / nominal;
    struct bench_turn turns[WAYS] = {{.block = NULL}};
    struct block blocks[WAYS];
    char *bytes = malloc(size);
    int code;

    if (!bytes)
        return leave_out(report, nominal, ret_error);
    memset(bytes, 7, size);
    times = times < 1 ? 1 : times > TIMES_MAX ? TIMES_MAX : times;
    for (size_t i = 0; i < WAYS; i++) {
        blocks[i] = (struct block){.m = i < MEMCPY ? pools[i] : NULL, .bytes = bytes, .size = size};
        turns[i] = (struct bench_turn){.block = i < MEMCPY ? run_block : run_memcpy,
                                       .context = &blocks[i],
                                       .times = times,
                                       .error = errors[i]};
    }
    code = bench_take_turns(spec, ROUNDS, turns, WAYS, ret_error);
    if (!code && (code = add_size(report, nominal, turns, findings)) != 0)
        muster_error_set(ret_error, code, "out of memory");
    free(bytes);
    return code;
}

/* Python's pools, by turns with a job that has a block of theirs. */
static int run_peers(const struct bench_spec *spec, struct bench_report *report, muster *pool,
                     const struct muster_error *error, struct muster_error *ret_error)
{
    struct bench_scale rate = {"GB/s", true, 2 * (double)PEER_BLOCK_BYTES * 1e-9};
    struct block block = {.m = pool, .size = PEER_BLOCK_BYTES};
    struct bench_turn own = {.block = run_block, .context = &block, .times = 1, .error = *error};
    int code;

    if (!spec->peers || !has_memory(block.size) || !(block.bytes = malloc(block.size)))
        return 0;
    memset(block.bytes, 7, block.size);
    code = peers_compare(spec, PEER_BLOCK, "64 MiB, shared memory", &own, &rate, report, ret_error);
    free(block.bytes);
    return code;
}

int bench_payload(const struct bench_spec *spec, struct bench_report *report, struct muster_error *ret_error)
{
    static const enum muster_transport transports[] = {MUSTER_IPC, MUSTER_IPC_INLINE};
    struct muster_error errors[WAYS] = {{.code = 0}};
    struct findings findings = {.count = 0};
    muster *pools[MEMCPY];
    size_t size = SIZE_MIN;
    int code = 0;

    for (size_t i = 0; i < MEMCPY; i++)
        pools[i] = bench_open(spec, MUSTER_PROCESSES, transports[i], 1, &errors[i]);
    for (size_t i = 0; i < SIZES && !code && has_memory(size); i++, size *= 4)
        code = run_size(spec, report, size, pools, errors, &findings, ret_error);
    if (!code)
        code = run_peers(spec, report, pools[SHARED], &errors[SHARED], ret_error);
    for (size_t i = 0; i < MEMCPY; i++)
        muster_close(pools[i]);
    if (!code && (code = add_curves(report, &findings)) != 0)
        muster_error_set(ret_error, code, "out of memory");
    if (!code)
        judge(report, &findings);
    return code;
}
