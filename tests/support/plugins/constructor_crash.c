/* SPDX-License-Identifier: MIT
 *
 * A plug-in that crashes whoever loads it.
 */
#include "jobs/muster_job.h"

static int *volatile nowhere;

__attribute__((constructor)) static void crash(void)
{
    *nowhere = 1;
}

const muster_plugin muster_plugin_table = {MUSTER_JOB_ABI, sizeof(muster_function), 0, NULL};
