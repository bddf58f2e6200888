/* SPDX-License-Identifier: MIT
 *
 * A plug-in that starts a thread as it is loaded, as libraries with a pool of threads do.
 */
#include "jobs/muster_job.h"

#include <pthread.h>
#include <unistd.h>

static void *wait_for_nothing(void *unused)
{
    for (;;)
        pause();
    return unused;
}

__attribute__((constructor)) static void start(void)
{
    pthread_t thread;

    pthread_create(&thread, NULL, wait_for_nothing, NULL);
}

static int run(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    *ret_result = *argument;
    return 0;
}

static const muster_function functions[] = {{.name = "threaded", .summary = "its argument", .run = run}};
const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
