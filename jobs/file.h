/* SPDX-License-Identifier: MIT
 *
 * A file read from its beginning to its end, block after block, so that memory does not grow
 * with it. Each block is waited for through the call: other jobs go on meanwhile.
 */
#ifndef MUSTER_JOBS_FILE_H
#define MUSTER_JOBS_FILE_H

#include "jobs/muster_job.h"

/* Hands over every block of the file, in order, as part of the job's own computing. Pipes, sockets and
 * terminals are refused: a job may run twice, and they cannot be read twice. 0; fails the call
 * when the file cannot be read, or was cut short meanwhile; MUSTER_ECANCELLED. */
int file_read(muster_call *call, const char *path,
              void (*take)(void *context, const uint8_t *bytes, size_t size), void *context);

#endif
