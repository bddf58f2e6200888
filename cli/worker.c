/* SPDX-License-Identifier: MIT
 *
 * muster worker: a worker process, as the library launches it, and what would rather crash here than in the
 * process that wants it: the trial of a plug-in, and the names of where a worker has crashed.
 */
#include "worker/worker.h"
#include "base/log.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "client/probe.h"
#include "coordinator/fault.h"
#include "jobs/registry.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The kernel ends this process with its parent, also while a plug-in hangs as it loads. */
static int tie_to_parent(int parent_pid, struct muster_error *ret_error)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return muster_error_system(ret_error, errno, "worker: cannot watch its parent");
    if (getppid() != parent_pid) /* it may have died before it was watched */
        return muster_error_set(ret_error, MUSTER_ELOST, "worker: process %d is not its parent", parent_pid);
    return 0;
}

/* Loads the plug-in into nothing but this process; returns the exit status. */
static int check_plugin(const char *path, int parent_pid)
{
    struct muster_error error;
    struct registry *registry;
    int code;

    if (parent_pid && tie_to_parent(parent_pid, &error))
        return plain_error(&error);
    if ((registry = registry_create()))
        code = registry_load(registry, path, &error);
    else
        code = muster_error_set(&error, MUSTER_ENOMEM, "out of memory");
    registry_destroy(registry);
    if (code)
        return plain_error(&error);
    log_error("%s", PROBE_LOADED); /* on standard error, as errors are: probe_plugin reads that */
    return 0;
}

int verb_worker(int argc, char **argv)
{
    struct muster_error error;
    struct options options;

    if (options_parse(&options, VERB_WORKER, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (options.help)
        return help_print(argv[0]);
    if (options.symbols)
        return fault_symbols_answer();
    if (options.check_plugin)
        return check_plugin(options.check_plugin, options.worker.parent_pid);
    if (!options.worker.endpoint || !options.worker.name) {
        muster_error_set(&error, MUSTER_EINVALID,
                         "--connect and --name are needed: muster map and muster compare start their workers "
                         "themselves");
        return usage_error(argv[0], &error);
    }
    return worker_main(&options.worker);
}
