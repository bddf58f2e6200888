/* SPDX-License-Identifier: MIT
 *
 * Plug-ins by what is in their files, so that two hosts know whether they have the same ones.
 */
#ifndef MUSTER_CLI_DIGEST_H
#define MUSTER_CLI_DIGEST_H

#include "cli/options.h"
#include "proto/messages.h"

struct digests {
    struct proto_plugin plugins[OPTIONS_PLUGINS_MAX];
    char digits[OPTIONS_PLUGINS_MAX][PROTO_DIGEST_DIGITS + 1];
};

/* Of each plug-in that the options name, whose names are borrowed. *ret_digests is not to be moved. */
int digest_plugins(const struct options *options, struct digests *ret_digests,
                   struct muster_error *ret_error);

#endif
