/* SPDX-License-Identifier: MIT
 *
 * A plug-in's file: finding it, loading it, getting at its table.
 */
#ifndef MUSTER_JOBS_PLUGIN_H
#define MUSTER_JOBS_PLUGIN_H

#include "base/error.h"
#include "jobs/muster_job.h"

/* Finds the file as registry_load says; *ret_path is to be freed. 0, MUSTER_ENOTFOUND, MUSTER_EINVALID,
 * MUSTER_ENOMEM. */
int plugin_find(const char *name, char **ret_path, struct muster_error *ret_error);

/* Finds the file, loads it and looks up its table, whose content is
 * not checked. *ret_path is the file that was found, to be freed; *ret_handle is to be
 * closed. 0, MUSTER_ENOTFOUND, MUSTER_EINVALID (not a plug-in), MUSTER_ENOMEM. */
int plugin_open(const char *name, char **ret_path, void **ret_handle, const muster_plugin **ret_table,
                struct muster_error *ret_error);

/* Unloads the code. Takes NULL. */
void plugin_close(void *handle);

/* Whether the table can be used as it stands; `origin` is for the error's text. 0,
 * MUSTER_EVERSION or MUSTER_EINVALID. */
int plugin_check(const muster_plugin *table, const char *origin, struct muster_error *ret_error);

#endif
