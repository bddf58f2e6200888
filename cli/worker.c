/* SPDX-License-Identifier: MIT
 *
 * muster worker: workers of this host for a coordinator of another one; a worker process, as the library
 * launches it; and what would rather crash here than in the process that wants it: the trial of a plug-in,
 * and the names of where a worker has crashed.
 */
#include "worker/worker.h"
#include "base/log.h"
#include "cli/confined.h"
#include "cli/digest.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/verbs.h"
#include "client/probe.h"
#include "client/program.h"
#include "coordinator/fault.h"
#include "coordinator/outpost.h"
#include "coordinator/place.h"
#include "jobs/registry.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
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

/* --- workers for a coordinator of another host */

static int check_endpoint(const char *endpoint, struct muster_error *ret_error)
{
    if (!endpoint)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "--connect is needed: tcp://HOST:PORT#KEY, as 'muster coordinator' says it when it "
            "starts (muster map starts workers of its own by itself)");
    if (strncmp(endpoint, "tcp://", strlen("tcp://")) != 0)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "--connect takes tcp://HOST:PORT#KEY, not '%s': on the coordinator's own host "
            "'muster scale' has it run more workers",
            endpoint);
    return place_check(endpoint, ret_error);
}

static int check_plugins(const struct options *options, struct muster_error *ret_error)
{
    int code = 0;

    for (unsigned i = 0; i < options->open.plugin_count && !code; i++)
        code = probe_plugin(program_path(), options->plugins[i], ret_error);
    return code;
}

/* Until it is over; returns as outpost_run. */
static int serve(const struct options *options, struct muster_error *ret_error)
{
    struct digests digests;
    struct outpost_options outpost = {.endpoint = options->worker.endpoint,
                                      .program = program_path(),
                                      .workers = options->open.workers,
                                      .plugins = options->plugins,
                                      .digests = digests.plugins,
                                      .plugin_count = options->open.plugin_count,
                                      .memory_bytes = options->worker.memory_bytes,
                                      .sandbox = options->worker.sandbox,
                                      .concurrency = options->worker.concurrency,
                                      .pin = options->open.pin};
    int code;

    if (outpost.workers == 0)
        outpost.workers = muster_cores() < PROTO_HOST_WORKERS_MAX ? muster_cores() : PROTO_HOST_WORKERS_MAX;
    if ((code = confined_begin(outpost.sandbox, ret_error)) || (code = check_plugins(options, ret_error)) ||
        (code = digest_plugins(options, &digests, ret_error)) ||
        (code = interrupt_start(&outpost.stop_fd, ret_error)))
        return code;
    return outpost_run(&outpost, ret_error);
}

static int run_outpost(const char *verb, const struct options *options)
{
    struct muster_error error;

    if (check_endpoint(options->worker.endpoint, &error))
        return usage_error(verb, &error);
    if (serve(options, &error))
        return plain_error(&error);
    return interrupt_signal() == 0 || interrupt_signal() == SIGTERM ? 0 : STATUS_SIGNAL + interrupt_signal();
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
    if (!options.worker.name)
        return run_outpost(argv[0], &options);
    if (!options.worker.endpoint) {
        muster_error_set(&error, MUSTER_EINVALID, "--name is for workers that muster starts, with --connect");
        return usage_error(argv[0], &error);
    }
    return worker_main(&options.worker);
}
