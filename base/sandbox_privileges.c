/* SPDX-License-Identifier: MIT
 *
 * Capabilities: none are left, and none come back with a program that is run. See sandbox.h.
 *
 * no_new_privs alone leaves what there is: root's jobs would pass over the modes of files, and mount, trace
 * and load into the kernel where no other layer refuses that.
 */
#include "base/sandbox_internal.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Each with its lock. */
enum {
    SECURE_BITS = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                  SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
                  SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
    CAPABILITIES_MAX = 64 /* that the kernel's sets have room for */
};

/* What may be gained later. That takes CAP_SETPCAP; who does not have it gains nothing all the same, by
 * no_new_privs. */
static void drop_later(void)
{
    for (unsigned capability = 0; capability < CAPABILITIES_MAX; capability++)
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            break; /* the last one was the last, or none may be dropped */
    prctl(PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0);
}

int sandbox_privileges_drop(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return -1;
    drop_later();
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return -1; /* EINVAL: the kernel has no such set */
    return (int)syscall(SYS_capset, &header, none);
}
