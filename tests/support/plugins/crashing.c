/* SPDX-License-Identifier: MIT
 *
 * A test plug-in that crashes in ways that leave little to look at. With MUSTER_TEST_HANDLER in the
 * environment it has a handler of its own for SIGSEGV, which ends the process with status 33.
 */
#include "muster_job.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void handle(int number)
{
    (void)number;
    _exit(33);
}

__attribute__((constructor)) static void install(void)
{
    if (getenv("MUSTER_TEST_HANDLER"))
        signal(SIGSEGV, handle);
}

__attribute__((noinline)) static void call_nowhere(void)
{
    void (*volatile nowhere)(void) = NULL;

    nowhere();
}

/* Whoever walks the stack from there faults, too. */
__attribute__((noinline)) static void lose_stack(void)
{
#if defined(__x86_64__)
    __asm__ volatile("xor %%esp, %%esp\n\tmovl $0, 16" ::: "memory");
#endif
}

static int crashing(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    const char *how = argument->type == MSGPACK_OBJECT_STR ? argument->via.str.ptr : "";
    uint32_t size = argument->type == MSGPACK_OBJECT_STR ? argument->via.str.size : 0;

    (void)ret_result;
    if (size == 7 && memcmp(how, "nowhere", 7) == 0)
        call_nowhere();
    if (size == 5 && memcmp(how, "stack", 5) == 0)
        lose_stack();
    if (size == 4 && memcmp(how, "trap", 4) == 0)
        __builtin_trap();
    return muster_call_fail(call, "takes nowhere, stack or trap");
}

static const muster_function functions[] = {
    {.name = "crashing", .summary = "crashes", .argument = "how: nowhere, stack or trap", .run = crashing}};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
