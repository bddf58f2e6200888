/* SPDX-License-Identifier: MIT
 *
 * What is said of batches that are left. See leave.h.
 */
#include "cli/leave.h"

#include "base/log.h"
#include "cli/open.h"
#include "client/muster.h"
#include "coordinator/place.h"

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

/* How the verbs that return to a batch name its coordinator: "" where they find it by themselves. */
static void name_coordinator(const char *coordinator, char *text, size_t size)
{
    const char *usual = getenv(COORDINATOR_VARIABLE);

    text[0] = '\0';
    if (strcmp(coordinator, usual && *usual ? usual : MUSTER_COORDINATOR_DEFAULT) != 0)
        snprintf(text, size, " --coordinator %s", coordinator);
}

void leave_tell_return(const char *coordinator, uint64_t batch)
{
    char where[PLACE_ENDPOINT_BYTES + 16];

    name_coordinator(coordinator, where, sizeof where);
    log_error("batch %" PRIu64 " goes on: 'muster results --follow %" PRIu64 "%s' returns to it, 'muster "
              "cancel %" PRIu64 "%s' ends it",
              batch, batch, where, batch, where);
}

void leave_tell_kept(const struct muster_summary *summary)
{
    if (summary->in_memory)
        log_error("batch %" PRIu64 " is kept in memory only: lost when that coordinator ends",
                  summary->batch);
}
