/* SPDX-License-Identifier: MIT
 *
 * Reading the arguments of the functions that ship. A reader says whether the value is what
 * was asked for and writes its outputs only then; the function then refuses the argument
 * with one text, its documentation's.
 */
#ifndef MUSTER_JOBS_ARGUMENT_H
#define MUSTER_JOBS_ARGUMENT_H

#include "jobs/muster_job.h"

#include <stddef.h>

/* An integer in [low, high]; no floating-point number, whatever its value. */
bool argument_integer(const msgpack_object *value, int64_t low, int64_t high, int64_t *ret_integer);

/* A number in [low, high], integer or floating-point; not NaN. */
bool argument_number(const msgpack_object *value, double low, double high, double *ret_number);

/* An array of `count` elements, each an integer in [low, high]. */
bool argument_integers(const msgpack_object *value, size_t count, int64_t low, int64_t high,
                       int64_t *ret_integers);

/* A map whose keys are among `names`, each at most once: ret_members[i] is the value of
 * names[i], NULL where the map does not have it. Borrowed from *value. */
bool argument_members(const msgpack_object *value, size_t count, const char *const *names,
                      const msgpack_object **ret_members);

/* An integer in [low, high], or a map of it under `name` and, if present, a "seed" >= 0: the
 * argument of functions on random data. The seed is 0 where none is given. */
bool argument_seeded(const msgpack_object *value, const char *name, int64_t low, int64_t high,
                     int64_t *ret_integer, int64_t *ret_seed);

/* A text of at least one byte and without NUL bytes. */
bool argument_text(const msgpack_object *value);

/* A copy of a text, NUL-terminated, from the call's zone. NULL when out of memory, of which the
 * call has been told. */
char *argument_copy(muster_call *call, const msgpack_object *value);

/* Fails the call with "<name> takes <function->argument>, not <value>". Returns
 * MUSTER_JOB_FAILED. */
int argument_refuse(muster_call *call, const muster_function *function, const msgpack_object *value);

#endif
