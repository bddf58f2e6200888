/* SPDX-License-Identifier: MIT
 *
 * The functions that ship, each defined with its documentation in fn_NAME.c.
 */
#ifndef MUSTER_JOBS_BUILTIN_H
#define MUSTER_JOBS_BUILTIN_H

#include "jobs/muster_job.h"

#define BUILTIN_MAP(X) \
    X(echo)            \
    X(fetch)           \
    X(fib)             \
    X(is_prime)        \
    X(kernel)          \
    X(mandelbrot)      \
    X(matmul)          \
    X(nbody)           \
    X(noop)            \
    X(nqueens)         \
    X(pi)              \
    X(primes)          \
    X(read)            \
    X(request)         \
    X(sha256)          \
    X(sort)            \
    X(spin)            \
    X(work)

#define X(name) extern const muster_function function_##name;
BUILTIN_MAP(X)
#undef X

/* How many there are. */
enum {
#define X(name) BUILTIN_##name,
    BUILTIN_MAP(X)
#undef X
        BUILTIN_COUNT
};

extern const muster_function *const builtin_functions[BUILTIN_COUNT];

/* Not on the list: what `muster exec` submits. */
extern const muster_function function_command;

/* What `kernel` does, for whoever runs it by other means than muster, to compare: about a
 * nanosecond and a half an iteration. Its argument has the iterations above so many bits. */
enum { KERNEL_SHIFT = 32 };
void kernel_iterate(uint64_t iterations);

#endif
