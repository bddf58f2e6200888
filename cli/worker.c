/* SPDX-License-Identifier: MIT
 *
 * muster worker: a worker process, as the library launches it, and the trial of a plug-in
 * that would rather crash here than in the process that wants it.
 */
#include "worker/worker.h"
#include "base/log.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "client/probe.h"
#include "jobs/registry.h"

/* Loads the plug-in into nothing but this process; returns the exit status. */
static int check_plugin(const char *path)
{
    struct muster_error error;
    struct registry *registry = registry_create();
    int code;

    if (registry)
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
    if (options.check_plugin)
        return check_plugin(options.check_plugin);
    if (!options.worker.endpoint || !options.worker.name) {
        muster_error_set(&error, MUSTER_EINVALID,
                         "--connect and --name are needed: muster map and muster compare start their workers "
                         "themselves");
        return usage_error(argv[0], &error);
    }
    return worker_main(&options.worker);
}
