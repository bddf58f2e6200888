/* SPDX-License-Identifier: MIT
 *
 * A test plug-in that crashes in ways that leave little to look at. With MUSTER_TEST_HANDLER in the
 * environment it has a handler of its own for SIGSEGV, which ends the process with status 33.
 */
#include "muster_job.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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

/* What comes is a signal, and then the next instruction. */
__attribute__((noinline)) static void breakpoint(void)
{
#if defined(__x86_64__)
    __asm__ volatile("int3");
#else
    raise(SIGTRAP);
#endif
}

/* A system call that a filter traps, which is over then. */
__attribute__((noinline)) static void trapped_call(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsid, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof filter / sizeof *filter, .filter = filter};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        getsid(0);
}

/* At an address that no process can have. */
__attribute__((noinline)) static void protection(void)
{
    *(volatile int *)((uintptr_t)1 << 63) = 1;
}

/* Reads a buffer on the stack, and on, as far as the stack goes. */
__attribute__((noinline, no_sanitize("address"))) static void overrun(void)
{
    char buffer[16] = "";

    for (const volatile char *at = buffer;; at++)
        (void)*at;
}

#define WAYS "nowhere, stack, breakpoint, call, protection, overrun"

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"nowhere", call_nowhere}, {"stack", lose_stack},      {"breakpoint", breakpoint},
    {"call", trapped_call},    {"protection", protection}, {"overrun", overrun},
};

static int crashing(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    const char *how = argument->type == MSGPACK_OBJECT_STR ? argument->via.str.ptr : "";
    uint32_t size = argument->type == MSGPACK_OBJECT_STR ? argument->via.str.size : 0;

    *ret_result = (msgpack_object){.type = MSGPACK_OBJECT_NIL};
    if (size == 4 && memcmp(how, "trap", 4) == 0)
        __builtin_trap();
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (size == strlen(ways[i].name) && memcmp(how, ways[i].name, size) == 0) {
            ways[i].run();
            return 0; /* it lived on */
        }
    return muster_call_fail(call, "takes " WAYS " or trap");
}

static const muster_function functions[] = {
    {.name = "crashing", .summary = "crashes", .argument = "how: " WAYS " or trap", .run = crashing}};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
