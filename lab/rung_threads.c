/* SPDX-License-Identifier: MIT
 *
 * What it costs to hand something to another thread: on the same core, where that is a context
 * switch; through a mutex and a condition.
 */
#include "lab/rung.h"

#include "base/clock.h"
#include "lab/pinned.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PARTIES = 2, OVER = 1 << 30 };

/* Context switches: two threads on one core wake each other and then wait. */

struct turns {
    const struct ladder_spec *spec;
    struct sample *sample;
    struct muster_error *error;
    int code;
    _Atomic uint32_t turn; /* whose it is; OVER */
};

static void futex(_Atomic uint32_t *word, int operation, uint32_t value)
{
    syscall(SYS_futex, word, operation, value, NULL, NULL, 0);
}

/* Makes it the other's turn and waits until it is one's own again. */
static uint32_t take_turns(struct turns *turns, uint32_t other)
{
    uint32_t turn;

    atomic_store(&turns->turn, other);
    futex(&turns->turn, FUTEX_WAKE_PRIVATE, 1);
    while ((turn = atomic_load(&turns->turn)) == other)
        futex(&turns->turn, FUTEX_WAIT_PRIVATE, other);
    return turn;
}

static int switch_often(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct turns *turns = context;
    uint64_t began_ns = clock_now_ns();

    (void)ret_error;
    for (uint64_t i = 0; i < times; i += PARTIES)
        take_turns(turns, 1);
    *ret_ns = clock_now_ns() - began_ns;
    return 0;
}

/* The thread that begins: the calling thread must not be kept on a core. */
static void *measure_switches(void *context)
{
    struct turns *turns = context;

    turns->code = rung_measure(turns->spec, switch_often, turns, RUNG_BY_TIME, turns->sample, turns->error);
    atomic_store(&turns->turn, OVER);
    futex(&turns->turn, FUTEX_WAKE_PRIVATE, 1);
    return NULL;
}

static void *switch_back(void *context)
{
    struct turns *turns = context;

    while (atomic_load(&turns->turn) == 0)
        futex(&turns->turn, FUTEX_WAIT_PRIVATE, 0);
    while (atomic_load(&turns->turn) != OVER)
        take_turns(turns, 0);
    return NULL;
}

int rung_switch(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
                struct muster_error *ret_error)
{
    struct turns turns = {.spec = spec, .sample = sample, .error = ret_error};
    pthread_t first, second;
    int code;

    snprintf(figure->note, sizeof figure->note, "two threads on one core, by a futex");
    if ((code = pinned_start(switch_back, &turns, 0, &second, ret_error)) != 0)
        return code;
    if ((code = pinned_start(measure_switches, &turns, 0, &first, ret_error)) == 0) {
        pthread_join(first, NULL);
        code = turns.code;
    } else {
        atomic_store(&turns.turn, OVER);
        futex(&turns.turn, FUTEX_WAKE_PRIVATE, 1);
    }
    pthread_join(second, NULL);
    return code;
}

/* A mutex and conditions. */

struct hand_over {
    pthread_mutex_t mutex; /* guards turn */
    pthread_cond_t changed[PARTIES];
    int turn; /* whose it is; OVER */
};

static int hand_over(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct hand_over *h = context;
    uint64_t began_ns = clock_now_ns();

    (void)ret_error;
    pthread_mutex_lock(&h->mutex);
    for (uint64_t i = 0; i < times; i += PARTIES) {
        h->turn = 1;
        pthread_cond_signal(&h->changed[1]);
        while (h->turn != 0)
            pthread_cond_wait(&h->changed[0], &h->mutex);
    }
    pthread_mutex_unlock(&h->mutex);
    *ret_ns = clock_now_ns() - began_ns;
    return 0;
}

static void *hand_back(void *context)
{
    struct hand_over *h = context;

    pthread_mutex_lock(&h->mutex);
    while (h->turn != OVER) {
        if (h->turn == 1) {
            h->turn = 0;
            pthread_cond_signal(&h->changed[0]);
        }
        pthread_cond_wait(&h->changed[1], &h->mutex);
    }
    pthread_mutex_unlock(&h->mutex);
    return NULL;
}

int rung_mutex(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
               struct muster_error *ret_error)
{
    struct hand_over h = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                          .changed = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER}};
    pthread_t thread;
    int code, error;

    snprintf(figure->note, sizeof figure->note, "to a thread that waits for it, by a condition");
    if ((error = pthread_create(&thread, NULL, hand_back, &h)) != 0)
        return muster_error_system(ret_error, error, "cannot start a thread");
    code = rung_measure(spec, hand_over, &h, RUNG_BY_TIME, sample, ret_error);
    pthread_mutex_lock(&h.mutex);
    h.turn = OVER;
    pthread_cond_signal(&h.changed[1]);
    pthread_mutex_unlock(&h.mutex);
    pthread_join(thread, NULL);
    for (int i = 0; i < PARTIES; i++)
        pthread_cond_destroy(&h.changed[i]);
    pthread_mutex_destroy(&h.mutex);
    return code;
}
