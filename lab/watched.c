/* SPDX-License-Identifier: MIT
 *
 * Locks under one wait-for graph. See watched.h.
 */
#include "lab/watched.h"

int watched_init(struct watched *watched, struct muster_error *ret_error)
{
    int error = pthread_mutex_init(&watched->mutex, NULL);

    if (error)
        return muster_error_system(ret_error, error, "cannot make a mutex");
    if ((error = pthread_cond_init(&watched->released, NULL)) != 0) {
        pthread_mutex_destroy(&watched->mutex);
        return muster_error_system(ret_error, error, "cannot make a condition");
    }
    watched->waits = (struct waits){.threads = {{.waits = false}}};
    return 0;
}

void watched_fini(struct watched *watched)
{
    pthread_cond_destroy(&watched->released);
    pthread_mutex_destroy(&watched->mutex);
}

/* LOCKING: watched->mutex, which is let go while the lock is waited for. */
static int wait_for(struct watched *watched, unsigned thread, unsigned lock, struct waits_place place,
                    struct waits_link ret_cycle[WAITS_THREADS_MAX], size_t *ret_count)
{
    size_t count = waits_begin(&watched->waits, thread, lock, place, ret_cycle);

    if (count == 0)
        while (watched->waits.locks[lock].held)
            pthread_cond_wait(&watched->released, &watched->mutex);
    waits_end(&watched->waits, thread);
    if (count == 0)
        return 0;
    *ret_count = count;
    return MUSTER_ESTATE;
}

int watched_take(struct watched *watched, unsigned thread, unsigned lock, struct waits_place place,
                 struct waits_link ret_cycle[WAITS_THREADS_MAX], size_t *ret_count)
{
    int code = 0;

    pthread_mutex_lock(&watched->mutex);
    if (watched->waits.locks[lock].held)
        code = wait_for(watched, thread, lock, place, ret_cycle, ret_count);
    if (code == 0)
        waits_hold(&watched->waits, thread, lock, place);
    pthread_mutex_unlock(&watched->mutex);
    return code;
}

void watched_give(struct watched *watched, unsigned thread, unsigned lock)
{
    pthread_mutex_lock(&watched->mutex);
    waits_release(&watched->waits, thread, lock);
    pthread_cond_broadcast(&watched->released);
    pthread_mutex_unlock(&watched->mutex);
}
