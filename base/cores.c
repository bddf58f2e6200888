/* SPDX-License-Identifier: MIT
 *
 * The cores of the calling thread. See cores.h. Safe from any thread.
 */
#include "base/cores.h"

#include "base/error.h"

#include <errno.h>

enum { CORES_MAX = 1 << 16 }; /* beyond any machine: Linux is built for 8192 at most */

/* The set of the cores, for the caller to free; *ret_cores is how many fit into it. */
static int read_cores(cpu_set_t **ret_set, int *ret_cores)
{
    /* The kernel refuses a set smaller than its own. */
    for (int cores = CPU_SETSIZE; cores <= CORES_MAX; cores *= 2) {
        cpu_set_t *set = CPU_ALLOC(cores);
        int failed;

        if (!set)
            return MUSTER_ENOMEM;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(cores), set) == 0) {
            *ret_set = set;
            *ret_cores = cores;
            return 0;
        }
        failed = errno;
        CPU_FREE(set);
        errno = failed;
        if (failed != EINVAL)
            break;
    }
    return MUSTER_ESYSTEM;
}

int cores_count(unsigned *ret_count)
{
    cpu_set_t *set;
    int cores, code = read_cores(&set, &cores);

    if (code != 0)
        return code;
    *ret_count = (unsigned)CPU_COUNT_S(CPU_ALLOC_SIZE(cores), set);
    CPU_FREE(set);
    return 0;
}

int cores_nth(unsigned k, int *ret_cpu)
{
    cpu_set_t *set;
    int cores, cpu, code = read_cores(&set, &cores);
    size_t bytes;

    if (code != 0)
        return code;
    bytes = CPU_ALLOC_SIZE(cores);
    k %= (unsigned)CPU_COUNT_S(bytes, set); /* at least 1: the thread runs */
    for (cpu = 0; !CPU_ISSET_S(cpu, bytes, set) || k-- > 0; cpu++)
        ;
    CPU_FREE(set);
    *ret_cpu = cpu;
    return 0;
}

cpu_set_t *cores_only(int cpu, size_t *ret_bytes)
{
    size_t bytes = CPU_ALLOC_SIZE(cpu + 1);
    cpu_set_t *set = CPU_ALLOC(cpu + 1);

    if (!set)
        return NULL;
    CPU_ZERO_S(bytes, set);
    CPU_SET_S(cpu, bytes, set);
    *ret_bytes = bytes;
    return set;
}
