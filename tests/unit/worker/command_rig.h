/* SPDX-License-Identifier: MIT
 *
 * What a test of commands needs: the job is gathered by `with`, run as a worker would, and looked at.
 * Each test is a process of its own.
 */
#ifndef MUSTER_TESTS_UNIT_WORKER_COMMAND_RIG_H
#define MUSTER_TESTS_UNIT_WORKER_COMMAND_RIG_H

#include "jobs/call.h"
#include "worker/command.h"

#include <sys/stat.h>

enum { MEMBERS_MAX = 8, LIMIT_MS = 20000 };

struct rig {
    msgpack_zone zone;
    struct call_cancel cancel;
    struct call call;
    struct flight_page flight;
    msgpack_object_kv members[MEMBERS_MAX];
    uint32_t count;
    msgpack_object result;
    char folder[64]; /* where output goes */
};

extern struct rig rig;

void rig_init(void);
void rig_fini(void);

msgpack_object text(const char *string);
msgpack_object text_of(const char *bytes, size_t size);
msgpack_object integer(uint64_t number);
msgpack_object number(double value);
msgpack_object words_of(const char *const *words); /* up to NULL */

/* One member of the argument of the next job. */
void with(const char *name, msgpack_object value);
void shell(const char *line);
#define WITH_WORDS(name, ...) with(name, words_of((const char *const[]){__VA_ARGS__, NULL}))

/* Runs it. */
int run(void);
void run_ok(void);
void run_shell(const char *line);

const msgpack_object *place(enum command_place at);
const char *written(enum command_place at);
void expect_status(int status, int signal, unsigned flags);
void expect_out(const char *expected);
void refuse(const char *fragment); /* runs it */

/* In the folder. */
const char *path(const char *name);
void make_file(const char *name, const char *content, mode_t mode);
void expect_no_files(void);

#endif
