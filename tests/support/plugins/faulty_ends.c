/* SPDX-License-Identifier: MIT
 *
 * Functions that end their process, stop it or do not end. Those that always do return false
 * when their argument is false, so that one job of a batch can be the culprit.
 */
#include "faulty.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int *volatile nowhere;

void faulty_segfault(void)
{
    *nowhere = 1;
    abort(); /* not reached; tells the compiler so */
}

static bool is_spared(const msgpack_object *argument, msgpack_object *ret_result)
{
    if (argument->type != MSGPACK_OBJECT_BOOLEAN || argument->via.boolean)
        return false;
    *ret_result = *argument;
    return true;
}

bool faulty_integer(const msgpack_object *argument, uint64_t high, uint64_t *ret_integer)
{
    if (argument->type != MSGPACK_OBJECT_POSITIVE_INTEGER || argument->via.u64 > high)
        return false;
    *ret_integer = argument->via.u64;
    return true;
}

int faulty_crash(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    if (is_spared(argument, ret_result))
        return 0;
    faulty_segfault();
}

int faulty_unlucky(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t number;

    if (!faulty_integer(argument, UINT64_MAX, &number))
        return muster_call_fail(call, "unlucky takes an integer >= 0");
    if (number % 1000 == 0)
        faulty_segfault();
    *ret_result = *argument;
    return 0;
}

static int recurse(volatile char *caller, uint64_t levels)
{
    volatile char frame[4096];

    frame[0] = caller[0];
    if (levels == 0)
        return 0;
    return recurse(frame, levels - 1) + frame[0]; /* the sum keeps this from becoming a loop */
}

int faulty_overflow(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    volatile char first = 0;

    (void)call;
    return is_spared(argument, ret_result) ? 0 : recurse(&first, UINT64_MAX);
}

int faulty_abort(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    if (is_spared(argument, ret_result))
        return 0;
    abort();
}

int faulty_wear_out(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    static atomic_uint_fast64_t calls;
    uint64_t most;

    if (!faulty_integer(argument, UINT64_MAX, &most))
        return muster_call_fail(call, "wear_out takes an integer >= 0");
    if (atomic_fetch_add(&calls, 1) >= most)
        abort();
    *ret_result = *argument;
    return 0;
}

int faulty_exit(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    uint64_t status;

    if (is_spared(argument, ret_result))
        return 0;
    if (!faulty_integer(argument, 255, &status))
        return muster_call_fail(call, "exit takes a status from 0 to 255");
    _exit((int)status);
}

int faulty_kill_self(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (is_spared(argument, ret_result))
        return 0;
    kill(getpid(), SIGKILL);
    return muster_call_fail(call, "SIGKILL did not kill");
}

int faulty_stop_self(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (is_spared(argument, ret_result))
        return 0;
    kill(getpid(), SIGSTOP);
    return muster_call_fail(call, "somebody sent SIGCONT");
}

int faulty_hang(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    if (is_spared(argument, ret_result))
        return 0;
    for (;;)
        pause();
}

int faulty_busy(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    if (is_spared(argument, ret_result))
        return 0;
    for (;;)
        __asm__ volatile("");
}

int faulty_deaf(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (is_spared(argument, ret_result))
        return 0;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_IGN); /* what can be: not SIGKILL, not SIGSTOP */
    return faulty_busy(call, argument, ret_result);
}

int faulty_exec(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    if (is_spared(argument, ret_result))
        return 0;
    execl("/bin/sleep", "sleep", "infinity", (char *)NULL);
    return muster_call_fail(call, "cannot run /bin/sleep");
}

/* poll(2) then fails with EINVAL, and libzmq ends its process when that happens. */
int faulty_no_files(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    const struct rlimit none = {0, 0};

    if (is_spared(argument, ret_result))
        return 0;
    *ret_result = *argument;
    return setrlimit(RLIMIT_NOFILE, &none) == 0 ? 0 : muster_call_fail(call, "cannot set a limit");
}

static bool is_word(const msgpack_object *value, const char *word)
{
    return value->type == MSGPACK_OBJECT_STR && value->via.str.size == strlen(word) &&
           memcmp(value->via.str.ptr, word, value->via.str.size) == 0;
}

int faulty_after(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    const msgpack_object *parts = argument->via.array.ptr;
    int code;

    if (argument->type != MSGPACK_OBJECT_ARRAY || argument->via.array.size != 2)
        return muster_call_fail(call, "after takes an array of two");
    code = muster_call_sleep(call, parts[0].type == MSGPACK_OBJECT_POSITIVE_INTEGER ? (double)parts[0].via.u64
                                                                                    : parts[0].via.f64);
    if (code != 0)
        return code;
    if (is_word(&parts[1], "crash"))
        faulty_segfault();
    if (is_word(&parts[1], "overflow"))
        return faulty_overflow(call, argument, ret_result);
    if (is_word(&parts[1], "busy"))
        return faulty_busy(call, argument, ret_result);
    *ret_result = parts[0];
    return 0;
}
