/* SPDX-License-Identifier: MIT
 *
 * A plug-in that never finishes loading.
 */
#include "jobs/muster_job.h"

#include <unistd.h>

__attribute__((constructor)) static void hang(void)
{
    for (;;)
        pause();
}

const muster_plugin muster_plugin_table = {MUSTER_JOB_ABI, sizeof(muster_function), 0, NULL};
