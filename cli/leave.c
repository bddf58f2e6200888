/* SPDX-License-Identifier: MIT
 *
 * What is said of batches that are left. See leave.h.
 */
#include "cli/leave.h"

#include "base/log.h"
#include "cli/open.h"
#include "cli/shell.h"
#include "client/muster.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void leave_tell_away(struct progress *progress, bool away, bool *told)
{
    if (away == *told)
        return;
    *told = away;
    if (progress)
        progress_hide(progress);
    if (away)
        log_error("the coordinator is gone: waiting for its return (--wait-coordinator)");
    else
        log_error("the coordinator is back");
}

/* Says what there is to do, and the command line for it, to be taken as it is by a shell. */
static void tell_command(const char *what, const char *words, uint64_t batch, const char *coordinator)
{
    struct shell_line line = {.escaped = shell_escaped()};

    if (coordinator) {
        shell_line_add(&line, " --coordinator ", strlen(" --coordinator "));
        shell_line_quote(&line, coordinator, strlen(coordinator));
    }
    log_error("%s: muster %s %" PRIu64 "%.*s", what, words, batch, line.failed ? 0 : (int)line.size,
              line.bytes ? line.bytes : "");
    shell_line_fini(&line);
}

void leave_tell_return(const char *coordinator, uint64_t batch)
{
    const char *usual = getenv(COORDINATOR_VARIABLE);
    char what[64];

    if (strcmp(coordinator, usual && *usual ? usual : MUSTER_COORDINATOR_DEFAULT) == 0)
        coordinator = NULL; /* the verbs that return to it find it by themselves */
    snprintf(what, sizeof what, "batch %" PRIu64 " goes on; to return to it", batch);
    tell_command(what, "results --follow", batch, coordinator);
    tell_command("to end it", "cancel", batch, coordinator);
}

void leave_tell_kept(const struct muster_summary *summary)
{
    if (summary->in_memory)
        log_error("batch %" PRIu64 " is kept in memory only: lost when that coordinator ends",
                  summary->batch);
}
