/* SPDX-License-Identifier: MIT
 *
 * What a test of a function needs: a call to run it with, arguments as C expressions, and
 * the two outcomes, a result and a refusal.
 */
#ifndef MUSTER_TESTS_UNIT_JOBS_RIG_H
#define MUSTER_TESTS_UNIT_JOBS_RIG_H

#include "jobs/call.h"
#include "jobs/registry.h"

struct rig {
    struct registry *registry;
    msgpack_zone zone;
    struct call_cancel cancel;
    _Atomic uint32_t progress;
    struct call call;
    msgpack_object result;
};

/* The rig of the test that runs; each test is a process of its own. */
extern struct rig rig;

void rig_init(void);
void rig_fini(void);

msgpack_object integer(int64_t number);
msgpack_object number(double number);
msgpack_object boolean(bool value);
msgpack_object text(const char *string);
msgpack_object bytes(const void *content, size_t size);
msgpack_object array(size_t count, msgpack_object *elements);
msgpack_object map(size_t count, msgpack_object_kv *members);

#define NIL ((msgpack_object){.type = MSGPACK_OBJECT_NIL})
#define ARRAY(...) \
    array(sizeof((msgpack_object[]){__VA_ARGS__}) / sizeof(msgpack_object), (msgpack_object[]){__VA_ARGS__})
#define MAP(...)                                                                \
    map(sizeof((msgpack_object_kv[]){__VA_ARGS__}) / sizeof(msgpack_object_kv), \
        (msgpack_object_kv[]){__VA_ARGS__})
#define MEMBER(key, value) \
    {                      \
        text(key), value   \
    }

/* Runs the function; the result is in rig.result. What call_run returns. */
int run(const char *function, msgpack_object argument);

/* Runs the function, which must succeed with such a result. */
uint64_t run_integer(const char *function, msgpack_object argument);
double run_number(const char *function, msgpack_object argument);
bool run_boolean(const char *function, msgpack_object argument);
const char *run_text(const char *function, msgpack_object argument); /* NUL-terminated, static */

/* Runs the function, which must fail with a text that contains `fragment`. */
void refuse(const char *function, msgpack_object argument, const char *fragment);

#endif
