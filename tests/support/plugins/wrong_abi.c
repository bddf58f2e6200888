/* SPDX-License-Identifier: MIT
 *
 * A plug-in of another time: what it has behind its version number means nothing here.
 */
#include "jobs/muster_job.h"

const muster_plugin muster_plugin_table = {9, 8, 7, (const muster_function *)1};
