/* SPDX-License-Identifier: MIT
 *
 * Tries a plug-in in a child process before it is loaded into this one, which it may crash.
 */
#ifndef MUSTER_CLIENT_PROBE_H
#define MUSTER_CLIENT_PROBE_H

#include "base/error.h"

/* What the child says last when the plug-in has loaded; exiting with 0 alone is no proof of
 * that, for a plug-in may do so as it loads. */
#define PROBE_LOADED "the plug-in loads"

/* Runs `PROGRAM worker --parent PID --check-plugin PATH` and waits for it, at most 10 seconds;
 * what it started ends with it. 0 when it says PROBE_LOADED and exits with 0; MUSTER_ECRASHED, with the
 * signal, when the plug-in crashed as it loaded; MUSTER_ETIMEOUT; else MUSTER_EINVALID with what the child
 * wrote. */
int probe_plugin(const char *program, const char *path, struct muster_error *ret_error);

#endif
