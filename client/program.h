/* SPDX-License-Identifier: MIT
 *
 * The muster command for a caller that names none: what was installed with the library, or what
 * a shell would start. Never this program's own file: that need not be muster.
 */
#ifndef MUSTER_CLIENT_PROGRAM_H
#define MUSTER_CLIENT_PROGRAM_H

#include "base/error.h"

#include <limits.h>

/* Where muster is installed: what the build was told. */
const char *program_installed(void);

/* The path of the command into ret_path: `installed` when that can be run, else the first `muster`
 * in a directory of `search`, which is written like PATH and may be NULL; directories that
 * are not absolute are left out. 0 or MUSTER_EINVALID. */
int program_find(const char *installed, const char *search, char ret_path[PATH_MAX],
                 struct muster_error *ret_error);

#endif
