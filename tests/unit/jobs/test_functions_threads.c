/* SPDX-License-Identifier: MIT
 *
 * The functions that ship, each called from several threads at once: under the thread
 * sanitizer, state that calls share shows as a race; without it, as a result that differs.
 */
#include "jobs/call.h"
#include "jobs/registry.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, FUNCTIONS = 15 };

struct caller {
    const struct registry *registry;
    pthread_barrier_t *start;
    msgpack_zone zone;
    msgpack_object results[FUNCTIONS];
};

static void check(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "failed: %s\n", what);
        exit(1);
    }
}

static msgpack_object integer(uint64_t number)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_POSITIVE_INTEGER};

    object.via.u64 = number;
    return object;
}

static msgpack_object text(const char *string)
{
    msgpack_object object = {.type = MSGPACK_OBJECT_STR};

    object.via.str.ptr = string;
    object.via.str.size = (uint32_t)strlen(string);
    return object;
}

static msgpack_object tile(void)
{
    static msgpack_object_kv members[5];
    static const char *const names[] = {"x", "y", "width", "height", "size"};
    static const uint64_t values[] = {0, 0, 32, 32, 32};
    msgpack_object object = {.type = MSGPACK_OBJECT_MAP};
    size_t i;

    for (i = 0; i < 5; i++)
        members[i] = (msgpack_object_kv){text(names[i]), integer(values[i])};
    object.via.map.ptr = members;
    object.via.map.size = 5;
    return object;
}

static struct {
    const char *function;
    msgpack_object argument;
} calls[FUNCTIONS];

static void prepare(void)
{
    static const struct {
        const char *function;
        uint64_t argument;
    } of_integers[] = {
        {"echo", 7},    {"fib", 18},        {"is_prime", 1000003}, {"kernel", UINT64_C(1) << 40},
        {"matmul", 70}, {"nbody", 100},     {"noop", 0},           {"nqueens", 7},
        {"pi", 10000},  {"primes", 100000}, {"sort", 2000},        {"spin", 0},
    };
    size_t i, count = sizeof of_integers / sizeof *of_integers;

    for (i = 0; i < count; i++) {
        calls[i].function = of_integers[i].function;
        calls[i].argument = integer(of_integers[i].argument);
    }
    calls[count].function = "mandelbrot";
    calls[count].argument = tile();
    calls[count + 1].function = "sha256";
    calls[count + 1].argument = text("/proc/self/exe");
    calls[count + 2].function = "read";
    calls[count + 2].argument = text("/proc/self/exe");
    check(count + 3 == FUNCTIONS, "a call of each function");
}

static void *call_all(void *context)
{
    struct caller *caller = context;
    struct call_cancel cancel = {0};
    const muster_function *function;
    struct call call;
    size_t i;

    call_init(&call, &caller->zone, &cancel, NULL);
    pthread_barrier_wait(caller->start);
    for (i = 0; i < FUNCTIONS; i++) {
        check(registry_require(caller->registry, calls[i].function, &function, NULL) == 0, calls[i].function);
        check(call_run(&call, function, &calls[i].argument, &caller->results[i]) == 0, call.text);
    }
    return NULL;
}

int main(void)
{
    struct registry *registry = registry_create();
    struct caller callers[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    size_t i, k;

    check(registry != NULL, "a registry");
    prepare();
    pthread_barrier_init(&start, NULL, THREADS);
    for (i = 0; i < THREADS; i++) {
        callers[i].registry = registry;
        callers[i].start = &start;
        check(msgpack_zone_init(&callers[i].zone, 8192), "a zone");
        check(pthread_create(&threads[i], NULL, call_all, &callers[i]) == 0, "a thread");
    }
    for (i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (i = 1; i < THREADS; i++)
        for (k = 0; k < FUNCTIONS; k++)
            check(msgpack_object_equal(callers[0].results[k], callers[i].results[k]), calls[k].function);
    for (i = 0; i < THREADS; i++)
        msgpack_zone_destroy(&callers[i].zone);
    pthread_barrier_destroy(&start);
    registry_destroy(registry);
    return 0;
}
