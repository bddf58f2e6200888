/* SPDX-License-Identifier: MIT
 *
 * Stackful coroutines: code that can be left in the middle of a call and be gone on with
 * later, on the thread that left it. Stacks are small, have a guard page below, and are used
 * again. The address and thread sanitizers are told of every switch.
 *
 * A coroutine belongs to the thread that created its stacks.
 */
#ifndef MUSTER_JOBS_COROUTINE_H
#define MUSTER_JOBS_COROUTINE_H

#include "base/error.h"
#include "base/sanitize.h"

#include <stdbool.h>
#include <stddef.h>

/* As much as a thread of musl libc has. Of it, the deepest that the functions that ship reach is
 * a few KiB, and printf of any number takes less than 16 KiB. What the sanitizers put around
 * variables makes frames several times as large. */
enum { COROUTINE_STACK_BYTES = (SANITIZE_ADDRESS || SANITIZE_THREAD ? 512 : 128) << 10 };

/* Where coroutines of one thread live. */
struct coroutine_stacks;
struct coroutine;

/* Usable bytes of each stack, rounded up to pages; 0: COROUTINE_STACK_BYTES. NULL when out of
 * memory. */
struct coroutine_stacks *coroutine_stacks_create(size_t stack_bytes);

/* Every coroutine must have ended or never have been resumed. Takes NULL. */
void coroutine_stacks_destroy(struct coroutine_stacks *stacks);

/* A coroutine that will call body(context) when it is first resumed. NULL when there is no
 * memory, or the kernel gives no more mappings (two a stack: vm.max_map_count). */
struct coroutine *coroutine_create(struct coroutine_stacks *stacks, void (*body)(void *context),
                                   void *context);

/* Runs it until it yields or its body returns. Returns whether it yielded; else it has ended,
 * and its stack was given back: the pointer is not valid any more. Not from inside itself. */
bool coroutine_resume(struct coroutine *coroutine);

/* Goes back to whoever resumed the running coroutine. */
void coroutine_yield(void);

/* The one that runs on this thread; NULL outside of any. */
struct coroutine *coroutine_running(void);

/* From now on, a thread of this process that overflows the stack of a coroutine calls
 * `report` in its signal handler, on a stack of its own, and then dies of SIGSEGV as it would
 * have. All other faults go to the handler that was there before. `report` gets the stack's usable
 * bytes and must be async-signal-safe. The calling thread only: each that runs coroutines calls it. 0 or
 * MUSTER_ESYSTEM with errno set. */
int coroutine_watch_overflow(void (*report)(size_t stack_bytes));

/* Usable bytes of the running coroutine's stack when `address` is in the guard below it, else 0.
 * Async-signal-safe. */
size_t coroutine_overflowed(const void *address);

#endif
