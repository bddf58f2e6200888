/* SPDX-License-Identifier: MIT
 *
 * Single jobs without waiting: futures, callbacks, chains, timers, and what the event loop of
 * an application needs to run them. Part of muster.h; include that.
 *
 *     muster_submit(m, &(struct muster_job){.function = "fib", .argument = &thirty}, &future, &error);
 *     muster_await(future, &value, &error);
 *     muster_future_drop(future);
 *
 * One thread. All of it happens on the thread that uses the `muster *`. Callbacks are called
 * from muster_dispatch, from the functions that wait (muster_await, muster_future_wait,
 * muster_wait_any, muster_wait_all, muster_completions_next) and from muster_close, never from
 * muster_submit, muster_then or muster_future_cancel, and never from inside each other. A
 * callback may call everything here but what has to wait, muster_dispatch, muster_map and
 * muster_close: those return MUSTER_ESTATE (muster_close aborts: it is a bug). What has ended
 * need not be waited for: muster_await gives its value also in a callback.
 *
 * Where jobs run. Under `threads`, `gil` and `processes` they run meanwhile. Under `inline`
 * and `loop` they run on this thread, inside muster_dispatch and the functions that wait: one
 * call of muster_dispatch runs one job of `inline`, and the jobs of `loop` until each waits or
 * has ended.
 *
 * Ownership. A future that a function here returns is the caller's, who drops it, once, at any
 * time: also in its own callback, and also before the job has ended, which then runs and calls
 * its callbacks all the same.
 *
 * Closing. muster_close cancels what is pending and calls the callbacks a last time; timers are
 * not called. From then on nothing new can be made (MUSTER_ESTATE), but futures may outlive
 * their `muster *`, with their results.
 */
#ifndef MUSTER_FUTURE_H
#define MUSTER_FUTURE_H

#include <msgpack.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct muster muster;
typedef struct muster_future muster_future;
struct muster_result; /* muster.h */
struct muster_error;  /* base/error.h */

/* --- futures */

enum muster_future_state {
    MUSTER_PENDING,   /* waits, for its delay or a worker, or runs */
    MUSTER_SUCCEEDED, /* there is a value */
    MUSTER_FAILED,    /* there is an error */
    MUSTER_CANCELLED, /* the error is MUSTER_ECANCELLED */
};

struct muster_job {
    const char *function;
    const msgpack_object *argument; /* copied; NULL: nil */
    double delay_s;                 /* not before that; at most 10^9; 0 or in the past: at once */
    double timeout_s;               /* as in struct muster_batch; from its start on */
    unsigned retries;
};

/* Submits one job. 0 and a future; MUSTER_ENOTFOUND with the nearest names when there is no
 * such function; MUSTER_EINVALID; MUSTER_ELIMIT for an argument that is too large or nests too deeply;
 * MUSTER_ENOMEM; what the model says if it cannot take it. */
int muster_submit(muster *m, const struct muster_job *job, muster_future **ret_future,
                  struct muster_error *ret_error);

/* A future without a job: pending until muster_future_resolve, _reject or _follow. When it is
 * dropped before that, what waits for it fails with MUSTER_ESTATE. */
int muster_promise(muster *m, muster_future **ret_future);

enum muster_future_state muster_future_state(const muster_future *future);

/* How it ended: value or error (of a command that failed both), attempts, worker, and where its time went;
 * all else is 0 and NULL. Times are measured where that costs under 1%: of jobs of 20 us and more, and of one
 * that was submitted when no other was under way; else they are 0, and there is no receipt. Of short jobs
 * that a worker reported together, each is told the mean. NULL while it is pending. Lives as long
 * as the future. */
const struct muster_result *muster_future_result(const muster_future *future);

/* One more reference, to be dropped too. Returns `future`. */
muster_future *muster_future_keep(muster_future *future);

/* Gives a reference up. Takes NULL. */
void muster_future_drop(muster_future *future);

/* Cancels it: its state is MUSTER_CANCELLED at once, its callbacks follow with the next
 * dispatch. A job that waits for a worker does not run; one that runs is asked to end
 * (muster_call_cancelled), and what it still returns is dropped. Returns false, and changes
 * nothing, when the future has ended. */
bool muster_future_cancel(muster_future *future);

/* --- callbacks and chains */

/* `future` has ended; borrowed. */
typedef void muster_callback(void *context, muster_future *future);

/* Calls on_success or on_failure (also when it was cancelled) once it has ended; either may be
 * NULL. Several are called in the order they were set; one that is set when the future has
 * ended already is called by the next dispatch. 0, MUSTER_ENOMEM or MUSTER_ESTATE. */
int muster_future_on_end(muster_future *future, muster_callback *on_success, muster_callback *on_failure,
                         void *context);

/* One link of a chain: `ended` has ended, and `next`, what muster_then returned, becomes what
 * this makes of it: by muster_future_resolve, _reject or _follow. Returns 0, or a negative
 * code with which `next` fails. If it returns 0 and did none of these, `next` succeeds with nil. */
typedef int muster_step(void *context, muster_future *ended, muster_future *next);

/* Chains: the new future ends as on_success or on_failure makes it. Without a step for how
 * `future` ended it ends likewise: an error skips to the next failure branch. Cancelling the
 * new future does not cancel `future`; its steps are then not taken. 0, MUSTER_ENOMEM or
 * MUSTER_ESTATE. */
int muster_then(muster_future *future, muster_step *on_success, muster_step *on_failure, void *context,
                muster_future **ret_next);

/* End a future without a job, or the `next` of a running step: with a value, which is copied
 * (NULL: nil); with an error of a negative code and a text (NULL: the code's own), which is copied
 * (MUSTER_ECANCELLED: as cancelled, without a text); as another future will end. 0; MUSTER_ESTATE when it
 * has ended, is promised to follow, or has a job; MUSTER_EINVALID for what is no value, a code that is not
 * negative, or would have it follow itself, over any number of links, or a future of another `muster *`;
 * MUSTER_ELIMIT for a value that is too large or nests too deeply; MUSTER_ENOMEM. */
int muster_future_resolve(muster_future *future, const msgpack_object *value);
int muster_future_reject(muster_future *future, int code, const char *text);
int muster_future_follow(muster_future *future, muster_future *other);

/* --- waiting */

/* Waits until it has ended, `seconds` at most; negative: as long as it takes. 0 however it
 * ended; MUSTER_ETIMEOUT; MUSTER_EINVALID for seconds that are no number; MUSTER_ESTATE in a callback, or
 * when it cannot end any more since its `muster *` was closed or nothing is left that could end it (a promise
 * nobody keeps). */
int muster_future_wait(muster_future *future, double seconds);

/* Waits for it. 0 and its value, which lives as long as the future; or the error with which it
 * failed. ret_value may be NULL. */
int muster_await(muster_future *future, const msgpack_object **ret_value, struct muster_error *ret_error);

/* Wait until one of them has ended, and say which (the first in the array if there are
 * several), or until all have. Codes of muster_future_wait; MUSTER_EINVALID when they are not of
 * one `muster *`, or to wait for any of none. */
int muster_wait_any(muster_future *const *futures, size_t count, double seconds, size_t *ret_place);
int muster_wait_all(muster_future *const *futures, size_t count, double seconds);

/* Futures in the order in which they end. */
typedef struct muster_completions muster_completions;

int muster_completions_create(muster *m, muster_completions **ret_completions);

/* Takes NULL; drops the references it holds. In a callback also the one that is waited for, whose
 * wait then ends with MUSTER_ESTATE. */
void muster_completions_destroy(muster_completions *completions);

/* Adds a future of the same `muster *`, of which it keeps a reference of its own. 0,
 * MUSTER_EINVALID, MUSTER_ENOMEM or MUSTER_ESTATE. */
int muster_completions_add(muster_completions *completions, muster_future *future);

/* The next that ends. *ret_future is a reference that the caller drops. MUSTER_EEND when every
 * future that was added has been returned; else codes of muster_future_wait. */
int muster_completions_next(muster_completions *completions, double seconds, muster_future **ret_future);

/* --- timers */

/* Calls back once after `seconds`, at most 10^9; 0 or in the past: with the next dispatch.
 * *ret_timer, which may be NULL, is never 0 and never used again. */
int muster_call_after(muster *m, double seconds, void (*callback)(void *context), void *context,
                      uint64_t *ret_timer, struct muster_error *ret_error);

/* Returns whether it was still to be called; now it will not. */
bool muster_timer_cancel(muster *m, uint64_t timer);

/* --- an application's own event loop */

/* A descriptor that is readable, level-triggered, when muster_dispatch has something to do;
 * poll it for reading, beside others. Owned by `m`. */
int muster_fd(const muster *m);

/* Does what can be done without waiting: takes what ended, calls callbacks and due timers, a
 * bounded number, after which muster_fd is still readable if more is there. 0; or the error of a model that
 * is lost, after every pending future failed with it. */
int muster_dispatch(muster *m, struct muster_error *ret_error);

/* Futures that are pending, and timers. */
uint64_t muster_pending(const muster *m);

#ifdef __cplusplus
}
#endif

#endif
