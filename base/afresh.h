/* SPDX-License-Identifier: MIT
 *
 * Programs that begin afresh: what this process does about signals is none of theirs, and a signal to its
 * group does not reach them.
 */
#ifndef MUSTER_BASE_AFRESH_H
#define MUSTER_BASE_AFRESH_H

#include <spawn.h>

/* Attributes for posix_spawn of a program that blocks and ignores no signal and leads a group of its own
 * (POSIX_SPAWN_SETPGROUP), or a session (POSIX_SPAWN_SETSID). Returns 0, or an errno value: then there is
 * nothing to destroy. */
int afresh_attributes(posix_spawnattr_t *ret_attributes, short leads);

#endif
