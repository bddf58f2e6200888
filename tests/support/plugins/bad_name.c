/* SPDX-License-Identifier: MIT
 *
 * A plug-in whose function could not be told from an option or a path.
 */
#include "jobs/muster_job.h"

static int run(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    *ret_result = *argument;
    return 0;
}

static const muster_function functions[] = {{.name = "Bad Name", .summary = "a bad name", .run = run}};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
