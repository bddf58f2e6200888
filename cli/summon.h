/* SPDX-License-Identifier: MIT
 *
 * A coordinator on demand: started where none listens at the default place, by whoever first wants to leave
 * a batch to one. It is a daemon, in a session of its own, that goes on until it is told to stop. Its
 * state and its log are in the user's state folder, ${XDG_STATE_HOME:-~/.local/state}/muster.
 */
#ifndef MUSTER_CLI_SUMMON_H
#define MUSTER_CLI_SUMMON_H

#include "base/error.h"
#include "client/muster.h"

/* Returns when a coordinator listens at the default place: 0 at once where one does, else when the one that
 * was started, with the plug-ins, says that it is ready. Of several callers at once one starts it. Says on
 * standard error that it did. A signal ends the process at once meanwhile, also where it is held. A start
 * that fails is an error with the last line of its log. */
int summon_coordinator(const char *const *plugins, unsigned plugin_count, struct muster_error *ret_error);

#endif
