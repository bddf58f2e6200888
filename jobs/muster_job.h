/* SPDX-License-Identifier: MIT
 *
 * The function ABI: all that a plug-in needs to give muster new functions. Include this and
 * msgpack.h, link nothing but msgpack-c, export `muster_plugin_table`, build with -shared -fPIC:
 *
 *     static int twice(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
 *     {
 *         if (argument->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
 *             return muster_call_fail(call, "twice takes an integer >= 0");
 *         ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
 *         ret_result->via.u64 = argument->via.u64 * 2;
 *         return 0;
 *     }
 *     static const muster_function functions[] = {
 *         {.name = "twice", .summary = "twice a number", .argument = "integer >= 0",
 *          .result = "integer", .example = "21", .run = twice},
 *     };
 *     const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
 *
 * A function runs on one thread at a time per call, but several calls may run at once in one
 * process (the models `threads`, `gil`, `loop`): it must not keep state outside its call
 * without synchronisation. What waits should wait through its call (muster_call_sleep,
 * _wait_fd, _block, _fetch): that blocks its thread under `inline`, `threads` and `processes`, lets
 * go of the lock under `gil`, and lets other jobs run under `loop`, where a job has a stack of
 * 128 KiB. Workers of `processes` with a concurrency are loops. It must not exec, change signal dispositions
 * or close descriptors that are not its own. It may crash: under `processes` that ends its worker and nothing
 * else.
 */
#ifndef MUSTER_JOB_H
#define MUSTER_JOB_H

#include <msgpack.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when muster_plugin, muster_function or the head of muster_call_ops change. */
#define MUSTER_JOB_ABI 1

/* What a function returns when it failed; muster_call_fail returns it. Any value but 0 counts
 * as failure. */
#define MUSTER_JOB_FAILED (-11)

typedef struct muster_call muster_call;

/* A document to get over HTTP or HTTPS. Zeroed where nothing is said. */
struct muster_fetch {
    const char *url;
    double timeout_s; /* of all of it; 0: 300 s */
    /* Takes the next bytes of the body. Not 0 ends the transfer, which then fails. NULL: the
     * body is passed over. Must not use the call, nor wait: under `loop` it runs between the
     * jobs, on the stack of the loop's thread; under `gil`, with the lock. */
    int (*on_body)(void *context, const void *bytes, size_t size);
    void *context;
    long status; /* out, with success: of the answer, after redirections (10 at most) */
};

/* One call of a function, made by whatever runs it. Owned by the runner; valid until the
 * function returns. */
struct muster_call {
    const struct muster_call_ops *ops;
    msgpack_zone *zone; /* memory for the result; freed by the runner after it took the result */
};

struct muster_call_ops {
    uint32_t size; /* of this struct in the host; later members exist when it covers them */
    int (*fail)(muster_call *call, const char *format, va_list arguments);
    bool (*cancelled)(muster_call *call);
    void (*progress)(muster_call *call, double fraction);
    int (*sleep)(muster_call *call, double seconds);
    /* Later than the members above: check `size` (the inline functions below do). */
    int (*wait_fd)(muster_call *call, int fd, short events, double seconds);
    int (*block)(muster_call *call, void (*run)(void *context), void *context);
    int (*fetch)(muster_call *call, struct muster_fetch *fetch);
    void *(*alloc)(muster_call *call, size_t bytes); /* large memory; may be NULL, and return NULL */
};

/* The function: reads *argument (borrowed, immutable, valid during the call), writes
 * *ret_result (already nil) and returns 0, or calls muster_call_fail and returns its value.
 * What *ret_result points to must be in the call's zone, in *argument, or static. */
typedef int muster_function_run(muster_call *call, const msgpack_object *argument,
                                msgpack_object *ret_result);

/* The strings must live as long as the plug-in is loaded. */
typedef struct muster_function {
    const char *name;     /* 1 to 64 of [a-z0-9_.-], starting with a letter; unique in muster */
    const char *summary;  /* one line, not empty */
    const char *argument; /* what it takes: type, unit, range; this and what follows may be NULL */
    const char *result;   /* what it returns */
    const char *example;  /* an argument as it is typed on a command line, JSON */
    muster_function_run *run;
} muster_function;

typedef struct muster_plugin {
    uint32_t abi;           /* MUSTER_JOB_ABI that it was compiled with */
    uint32_t function_size; /* sizeof(muster_function) that it was compiled with */
    uint32_t count;         /* 1 to 4096 */
    const muster_function *functions;
} muster_plugin;

/* The symbol a plug-in exports, also where -fvisibility=hidden is the rule. */
#define MUSTER_PLUGIN_SYMBOL "muster_plugin_table"
extern const muster_plugin muster_plugin_table __attribute__((visibility("default")));

#define MUSTER_PLUGIN(table)                                                            \
    {                                                                                   \
        MUSTER_JOB_ABI, sizeof(muster_function), sizeof(table) / sizeof *(table), table \
    }

/* From so many bytes on the host is asked: a string or binary of the result that is written into
 * such memory may cross a process boundary without a copy. */
enum { MUSTER_CALL_LARGE_BYTES = 16 << 10 };

/* Memory from the call's zone, aligned to 8 bytes, or NULL. Free with the result. */
static inline void *muster_call_alloc(muster_call *call, size_t bytes)
{
    void *large = NULL;

    if (bytes >= MUSTER_CALL_LARGE_BYTES &&
        call->ops->size >= offsetof(struct muster_call_ops, alloc) + sizeof call->ops->alloc &&
        call->ops->alloc)
        large = call->ops->alloc(call, bytes);
    return large ? large : msgpack_zone_malloc(call->zone, bytes);
}

/* Says why the job failed, for the user: one line, no newline, cut at 1000 bytes. Returns
 * MUSTER_JOB_FAILED. */
__attribute__((format(printf, 2, 3))) static inline int muster_call_fail(muster_call *call,
                                                                         const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    call->ops->fail(call, format, arguments);
    va_end(arguments);
    return MUSTER_JOB_FAILED; /* never 0, whatever the host made of it */
}

/* Whether the job's result is no longer wanted; a long function asks now and then (a few
 * nanoseconds) and returns early, with any value but 0. */
static inline bool muster_call_cancelled(muster_call *call)
{
    return call->ops->cancelled(call);
}

/* Says how far the job is, 0 to 1; shown when it is killed for its time limit or crashes. */
static inline void muster_call_progress(muster_call *call, double fraction)
{
    call->ops->progress(call, fraction);
}

/* Waits. 0 after `seconds`; not 0, at once, when the call is cancelled meanwhile. */
static inline int muster_call_sleep(muster_call *call, double seconds)
{
    return call->ops->sleep(call, seconds);
}

/* Waits until `fd`, a socket or pipe, has one of the poll(2) `events`, `seconds` at most
 * (negative: as long as it takes). 0; 1 when the time was over; negative when the call was cancelled
 * or failed. */
static inline int muster_call_wait_fd(muster_call *call, int fd, short events, double seconds)
{
    if (call->ops->size < offsetof(struct muster_call_ops, wait_fd) + sizeof call->ops->wait_fd)
        return muster_call_fail(call, "this muster is too old to wait for a descriptor");
    return call->ops->wait_fd(call, fd, events, seconds);
}

/* Calls run(context), which may block and must not use the call, where that holds nobody up:
 * on another thread under `loop` and in workers with a concurrency, without the lock under `gil`, else just
 * so. 0 once it has returned; not 0, without having run it, when the call is cancelled or it cannot be run.
 */
static inline int muster_call_block(muster_call *call, void (*run)(void *context), void *context)
{
    if (call->ops->size < offsetof(struct muster_call_ops, block) + sizeof call->ops->block)
        return muster_call_fail(call, "this muster is too old to block outside of the loop");
    return call->ops->block(call, run, context);
}

/* Gets a document. 0 with an answer, whatever its status; else the call has failed with the
 * reason (the host does not resolve, refuses, breaks off, is too slow) or is cancelled. */
static inline int muster_call_fetch(muster_call *call, struct muster_fetch *fetch)
{
    if (call->ops->size < offsetof(struct muster_call_ops, fetch) + sizeof call->ops->fetch)
        return muster_call_fail(call, "this muster is too old to fetch");
    return call->ops->fetch(call, fetch);
}

#ifdef __cplusplus
}
#endif

#endif
