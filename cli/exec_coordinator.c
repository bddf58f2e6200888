/* SPDX-License-Identifier: MIT
 *
 * The workers of a coordinator instead of our own. See exec_coordinator.h.
 */
#include "cli/exec_coordinator.h"

#include "cli/open.h"

#include <stddef.h>

/* What needs a worker that has inherited something. */
static const char *objection(const struct exec_options *options)
{
    switch (options->group) {
    case EXEC_GROUP_JOBS:
        return options->trace ? "-t: they have another standard error" : NULL;
    case EXEC_GROUP_LINES:
        return "--line-buffer: what commands write comes when they have ended";
    case EXEC_GROUP_NOTHING:
        return "--ungroup: they have another standard output";
    }
    return NULL;
}

/* What needs this process when it has left; NULL: nothing. */
static const char *need(const struct exec_options *options)
{
    const struct exec_pace_rules *pace = &options->pace;
    const struct {
        bool given;
        const char *option;
    } needs[] = {
        {options->joblog, "--joblog"},
        {options->results, "--results"},
        {options->files, "--files"},
        {options->stats, "--stats"},
        {pace->halts, "--halt"},
        {pace->delay_s > 0, "--delay"},
        {pace->load > 0, "--load"},
        {pace->memfree_bytes > 0, "--memfree"},
        {pace->memsuspend_bytes > 0, "--memsuspend"},
        {pace->noswap, "--noswap"},
        {pace->timeout_percent > 0, "--timeout in percent"},
        {options->ask, "--interactive"},
        {options->dry_run, "--dry-run"},
    };

    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (needs[i].given)
            return needs[i].option;
    return NULL;
}

static int check_detach(const struct exec_options *options, struct muster_error *ret_error)
{
    const char *option = need(options);

    if (!options->open.coordinator)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "--detach leaves the jobs to a coordinator: with --coordinator none there is nobody to "
            "leave them to");
    if (option)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%s needs somebody who looks at the jobs: not with --detach", option);
    return 0;
}

int exec_coordinator_check(struct exec_options *options, struct muster_error *ret_error)
{
    const char *why_not;

    options->open.coordinator = open_coordinator(options->open.coordinator, options->detach);
    if (options->detach && check_detach(options, ret_error))
        return MUSTER_EINVALID;
    options->most_running = options->open.workers;
    if (options->open.workers == 0)
        options->open.workers = muster_cores();
    if (!options->open.coordinator || options->dry_run)
        return 0;
    why_not = objection(options);
    if (!why_not)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID, "%s, in the workers of the coordinator %s%s", why_not,
                            options->open.coordinator,
                            options->detach ? ", which --detach leaves the commands to"
                                            : "; --coordinator none does without");
}
