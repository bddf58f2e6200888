/* SPDX-License-Identifier: MIT
 *
 * Functions whose result is no value or more than muster takes, and functions that fail.
 */
#include "faulty.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int faulty_garbage_type(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int no_type = 0x5a;

    (void)call;
    (void)argument;
    memcpy(&ret_result->type, &no_type, sizeof ret_result->type);
    return 0;
}

int faulty_garbage_pointer(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    ret_result->type = MSGPACK_OBJECT_STR;
    ret_result->via.str.ptr = NULL;
    ret_result->via.str.size = 16;
    return 0;
}

int faulty_garbage_wild(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    if (argument->type == MSGPACK_OBJECT_BOOLEAN && !argument->via.boolean) {
        *ret_result = *argument;
        return 0;
    }
    ret_result->type = MSGPACK_OBJECT_STR;
    ret_result->via.str.ptr = (const char *)(uintptr_t)16;
    ret_result->via.str.size = 16;
    return 0;
}

int faulty_pid(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    (void)argument;
    ret_result->type = MSGPACK_OBJECT_POSITIVE_INTEGER;
    ret_result->via.u64 = (uint64_t)getpid();
    return 0;
}

int faulty_deep(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    msgpack_object *inner;
    uint64_t levels;

    if (!faulty_integer(argument, 1000000, &levels))
        return muster_call_fail(call, "deep takes an integer from 0 to 1000000");
    while (levels-- > 0) {
        inner = muster_call_alloc(call, sizeof *inner);
        if (!inner)
            return muster_call_fail(call, "out of memory");
        *inner = *ret_result; /* nil at first */
        ret_result->type = MSGPACK_OBJECT_ARRAY;
        ret_result->via.array.ptr = inner;
        ret_result->via.array.size = 1;
    }
    return 0;
}

int faulty_wide(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t count;

    if (!faulty_integer(argument, 100000000, &count))
        return muster_call_fail(call, "wide takes an integer from 0 to 100000000");
    ret_result->via.array.ptr = muster_call_alloc(call, count * sizeof *ret_result->via.array.ptr);
    if (!ret_result->via.array.ptr)
        return muster_call_fail(call, "out of memory");
    memset(ret_result->via.array.ptr, 0, count * sizeof *ret_result->via.array.ptr); /* nil is 0 */
    ret_result->type = MSGPACK_OBJECT_ARRAY;
    ret_result->via.array.size = (uint32_t)count;
    return 0;
}

int faulty_big(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t bytes;
    char *memory;

    if (!faulty_integer(argument, UINT32_MAX, &bytes))
        return muster_call_fail(call, "big takes an integer from 0 to 4294967295");
    memory = muster_call_alloc(call, bytes);
    if (!memory)
        return muster_call_fail(call, "out of memory");
    memset(memory, 0, bytes);
    ret_result->type = MSGPACK_OBJECT_BIN;
    ret_result->via.bin.ptr = memory;
    ret_result->via.bin.size = (uint32_t)bytes;
    return 0;
}

int faulty_spill(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t bytes;

    if (!faulty_integer(argument, UINT32_MAX, &bytes))
        return muster_call_fail(call, "spill takes an integer from 0 to 4294967295");
    if (bytes % 2)
        raise(SIGKILL);
    if (faulty_big(call, argument, ret_result) != 0)
        return MUSTER_JOB_FAILED;
    memset((void *)(uintptr_t)ret_result->via.bin.ptr, 's', bytes);
    return 0;
}

/* What was leaked, so that leak checkers do not report what is meant. Each block starts with
 * the one before it. */
static void *kept;

int faulty_leak(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t bytes;
    void **block;

    if (!faulty_integer(argument, UINT64_C(1) << 34, &bytes))
        return muster_call_fail(call, "leak takes an integer from 0 to 17179869184");
    block = malloc(sizeof *block + bytes);
    if (!block)
        return muster_call_fail(call, "out of memory");
    memset(block + 1, 1, bytes); /* resident, not only reserved */
    *block = __atomic_exchange_n(&kept, block, __ATOMIC_ACQ_REL);
    *ret_result = *argument;
    return 0;
}

int faulty_fail(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)ret_result;
    if (argument->type != MSGPACK_OBJECT_STR)
        return muster_call_fail(call, "fail takes a string");
    return muster_call_fail(call, "%.*s", (int)argument->via.str.size, argument->via.str.ptr);
}

int faulty_fail_silently(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    if (argument->type == MSGPACK_OBJECT_BOOLEAN && !argument->via.boolean) {
        *ret_result = *argument;
        return 0;
    }
    return 1;
}
