/* SPDX-License-Identifier: MIT
 *
 * The functions that can be mapped, by name: those that ship, then those of loaded plug-ins.
 * Built once, then read-only: lookups are safe from any thread.
 */
#ifndef MUSTER_JOBS_REGISTRY_H
#define MUSTER_JOBS_REGISTRY_H

#include "base/error.h"
#include "jobs/muster_job.h"

#include <stddef.h>

enum {
    REGISTRY_NAME_MAX = 64,               /* bytes of a function's name */
    REGISTRY_PLUGIN_FUNCTIONS_MAX = 4096, /* in one table: more is taken for garbage */
};

struct registry;

/* With the functions that ship. NULL when out of memory. */
struct registry *registry_create(void);

/* Closes the plug-ins it holds. Takes NULL. */
void registry_destroy(struct registry *registry);

/* Loads a plug-in and adds its functions; `path` with a '/' is taken as it is, a bare name
 * is looked up, with and without ".so", in the folders of MUSTER_PLUGIN_PATH
 * (colon-separated). A file that is missing, of another ABI version, without a table, with a
 * bad entry or with a name that is taken leaves the registry as it was. Runs the plug-in's
 * constructors in this process. */
int registry_load(struct registry *registry, const char *path, struct muster_error *ret_error);

/* As registry_load, but the plug-in is closed again: what is known are the names and texts of its functions,
 * whose `run` is NULL. For a process whose workers run them: nothing that a job does to the file is done to
 * code that this process has. */
int registry_load_names(struct registry *registry, const char *path, struct muster_error *ret_error);

/* Adds a table of this process (for programs that bring their own functions). The table is
 * copied, its strings are borrowed; `origin` is copied. */
int registry_add(struct registry *registry, const muster_plugin *plugin, const char *origin,
                 struct muster_error *ret_error);

/* NULL when there is none of that name (function_command is found, but not counted or listed below); the name
 * need not be NUL-terminated. What is returned lives as long as the registry; none of its strings is NULL. */
const muster_function *registry_find(const struct registry *registry, const char *name, size_t size);

/* As registry_find; when there is none, fills *ret_error with the nearest names. */
int registry_require(const struct registry *registry, const char *name, const muster_function **ret_function,
                     struct muster_error *ret_error);

size_t registry_count(const struct registry *registry);

/* In order of names; NULL from registry_count on. *ret_origin (may be NULL) gets "muster" or
 * the plug-in's path. */
const muster_function *registry_at(const struct registry *registry, size_t place, const char **ret_origin);

#endif
