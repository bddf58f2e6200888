/* SPDX-License-Identifier: MIT
 *
 * See afresh.h.
 */
#include "base/afresh.h"

#include <signal.h>

int afresh_attributes(posix_spawnattr_t *ret_attributes, short leads)
{
    sigset_t none, all;
    int error = posix_spawnattr_init(ret_attributes);

    if (error)
        return error;
    sigemptyset(&none);
    sigfillset(&all);
    if ((error = posix_spawnattr_setsigmask(ret_attributes, &none)) != 0 ||
        (error = posix_spawnattr_setsigdefault(ret_attributes, &all)) != 0 ||
        (error = posix_spawnattr_setpgroup(ret_attributes, 0)) != 0 ||
        (error = posix_spawnattr_setflags(
             ret_attributes, (short)(leads | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))) != 0)
        posix_spawnattr_destroy(ret_attributes);
    return error;
}
