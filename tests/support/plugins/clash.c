/* SPDX-License-Identifier: MIT
 *
 * A plug-in with a good function beside one whose name is taken.
 */
#include "jobs/muster_job.h"

static int run(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    (void)call;
    *ret_result = *argument;
    return 0;
}

static const muster_function functions[] = {
    {.name = "clash_free", .summary = "a name of its own", .run = run},
    {.name = "noop", .summary = "a name that is taken", .run = run},
};

const muster_plugin muster_plugin_table = MUSTER_PLUGIN(functions);
