/* SPDX-License-Identifier: MIT
 *
 * Threads counted by starting them, where limits that can be read do not say that there are plenty: limits of
 * processes, of control groups and of memory all stand in their way. See threads.h.
 */
#include "proto/threads.h"

#include "proto/threads_limits.h"

#include <pthread.h>

/* Ends once the mutex is free: all of them are there at once. */
static void *wait_for(void *mutex)
{
    pthread_mutex_lock(mutex);
    pthread_mutex_unlock(mutex);
    return NULL;
}

unsigned threads_count(unsigned wanted)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_t threads[THREADS_COUNT_MAX];
    unsigned count = 0;

    if (wanted > THREADS_COUNT_MAX)
        wanted = THREADS_COUNT_MAX;
    if (threads_are_plenty(wanted))
        return wanted;
    pthread_mutex_lock(&mutex);
    while (count < wanted && pthread_create(&threads[count], NULL, wait_for, &mutex) == 0)
        count++;
    pthread_mutex_unlock(&mutex);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    return count;
}

int threads_check(struct muster_error *ret_error)
{
    unsigned count = threads_count(THREADS_OF_ZMQ);

    if (count == THREADS_OF_ZMQ)
        return 0;
    return muster_error_set(
        ret_error, MUSTER_ELIMIT,
        "ZeroMQ needs %d threads and only %u can be had: a higher limit (ulimit -u, or of "
        "memory, ulimit -v)",
        THREADS_OF_ZMQ, count);
}
