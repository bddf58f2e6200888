/* SPDX-License-Identifier: MIT
 *
 * Threads that stay on one core. See pinned.h.
 */
#include "lab/pinned.h"

#include "base/cores.h"

int pinned_start(void *(*run)(void *), void *context, unsigned core, pthread_t *ret_thread,
                 struct muster_error *ret_error)
{
    pthread_attr_t attributes;
    cpu_set_t *set = NULL;
    size_t bytes;
    int error, cpu;

    if ((error = pthread_attr_init(&attributes)) != 0)
        return muster_error_system(ret_error, error, "cannot start a thread");
    if (cores_nth(core, &cpu) == 0 && (set = cores_only(cpu, &bytes)))
        error = pthread_attr_setaffinity_np(&attributes, bytes, set);
    if (!error)
        error = pthread_create(ret_thread, &attributes, run, context);
    if (set)
        CPU_FREE(set);
    pthread_attr_destroy(&attributes);
    return error ? muster_error_system(ret_error, error, "cannot start a thread") : 0;
}
