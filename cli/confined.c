/* SPDX-License-Identifier: MIT
 *
 * What is told of a sandbox. See confined.h.
 */
#include "cli/confined.h"

#include "base/log.h"

int confined_begin(unsigned sandbox, struct muster_error *ret_error)
{
    struct sandbox_layers layers;
    char missing[SANDBOX_MISSING_BYTES];

    if (sandbox == 0)
        return 0;
    sandbox_probe(&layers);
    sandbox_missing(&layers, missing);
    if (!missing[0])
        return 0;
    if (sandbox & SANDBOX_STRICT)
        return muster_error_set(ret_error, MUSTER_EINVALID, "--sandbox=strict: this host has no %s", missing);
    log_error("--sandbox: jobs run without what this host does not have: %s", missing);
    return 0;
}

json_t *confined_json(unsigned layers)
{
    static const char *const memory[] = {
        [SANDBOX_NO_MEMORY] = NULL, [SANDBOX_RLIMIT] = "rlimit", [SANDBOX_CGROUP] = "cgroup"};
    struct sandbox_layers held;

    if (!sandbox_unpack(layers, &held))
        return NULL;
    return json_pack("{s:b, s:o, s:b, s:s?}", "no_new_privs", 1, "landlock",
                     held.landlock ? json_integer(held.landlock) : json_null(), "seccomp", held.seccomp,
                     "memory", memory[held.memory]);
}
