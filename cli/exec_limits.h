/* SPDX-License-Identifier: MIT
 *
 * The limits of each job of `muster exec`, and what is said of a job that one of them has ended.
 */
#ifndef MUSTER_CLI_EXEC_LIMITS_H
#define MUSTER_CLI_EXEC_LIMITS_H

#include "cli/exec_result.h"

/* 0: none. */
struct exec_limits {
    uint64_t memory_bytes, cpu_time_s, open_files, file_bytes;
    bool privileges;  /* it may gain some */
    unsigned sandbox; /* see base/sandbox.h */
};

enum { EXEC_REASON_BYTES = 256 };

/* Values of options: 0, or MUSTER_EINVALID with what was expected. */
int exec_limits_memory(const char *text, struct exec_limits *limits, struct muster_error *ret_error);
int exec_limits_cpu_time(const char *text, struct exec_limits *limits, struct muster_error *ret_error);
int exec_limits_open_files(const char *text, struct exec_limits *limits, struct muster_error *ret_error);

/* Why a job failed: "exit status 3", "killed: over its memory limit of 64 MiB (cgroup)". */
void exec_result_reason(const struct exec_result *result, const struct exec_limits *limits,
                        char ret_reason[EXEC_REASON_BYTES]);

#endif
