/* SPDX-License-Identifier: MIT
 *
 * Where workers leave output of commands that is too large for a result: a folder of the coordinator's,
 * which they find in their environment. What is about batch N is in N/ there; the result has its path. It
 * is there as long as the batch is: clients only read it.
 */
#ifndef MUSTER_PROTO_SPOOL_H
#define MUSTER_PROTO_SPOOL_H

#define PROTO_SPOOL_VARIABLE "MUSTER_SPOOL"

/* Begins the name of a folder of one worker there, which that removes as it ends, if it is not killed. */
#define PROTO_SPOOL_APART ".muster-apart-"

#endif
