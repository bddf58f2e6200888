/* SPDX-License-Identifier: MIT
 *
 * The test plug-in `faulty`: functions that do what job functions must not. README.md lists
 * them with their arguments.
 */
#ifndef MUSTER_TESTS_FAULTY_H
#define MUSTER_TESTS_FAULTY_H

#include "jobs/muster_job.h"

/* faulty_ends.c: calls that end their process, stop it or do not end. */
muster_function_run faulty_crash, faulty_unlucky, faulty_overflow, faulty_abort, faulty_wear_out, faulty_exit,
    faulty_kill_self, faulty_stop_self, faulty_hang, faulty_busy, faulty_deaf, faulty_after, faulty_exec,
    faulty_no_files;

/* faulty_values.c: results that are no values, or too large ones; failures. */
muster_function_run faulty_garbage_type, faulty_garbage_pointer, faulty_garbage_wild, faulty_pid, faulty_deep,
    faulty_wide, faulty_big, faulty_spill, faulty_leak, faulty_fail, faulty_fail_silently;

/* faulty_files.c: calls that leave traces in files, or wait for them. */
muster_function_run faulty_fail_times, faulty_crash_times, faulty_crash_once, faulty_fork_child, faulty_print,
    faulty_wait_file, faulty_note_pid, faulty_wait_count;

/* Does not return. */
void faulty_segfault(void) __attribute__((noreturn));

/* The integer in [0, high] that the argument is; false when it is none. */
bool faulty_integer(const msgpack_object *argument, uint64_t high, uint64_t *ret_integer);

#endif
