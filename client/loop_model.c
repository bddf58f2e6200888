/* SPDX-License-Identifier: MIT
 *
 * The model loop: every job is a coroutine of one event loop, on the caller's thread. Jobs that
 * wait overlap; jobs that compute do not. Here: single jobs, which run inside dispatch.
 */
#include "client/loop_model.h"

#include "base/clock.h"
#include "jobs/coroutine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utlist.h>

enum {
    /* Tasks that one call of dispatch hands back, at most. */
    DISPATCH_MAX = 1000,

    /* Tasks that are begun before the loop looks at its descriptors again. */
    BEGIN_MAX = 16,
};

/* One call of dispatch goes on for no longer, but for the job that runs then. */
static const uint64_t DISPATCH_NS = 10 * CLOCK_NS_PER_MS;

struct errand {
    struct strand strand; /* first */
    struct loop_model *model;
    struct task *task; /* borrowed */
};

/* --- overflow */

/* In the thread's own block, so that a signal handler can read it. */
static __thread const struct strand *current __attribute__((tls_model("initial-exec")));

static void strand_resumed(void *context)
{
    current = context;
}

static void strand_left(void *context)
{
    struct strand *strand = context;

    current = NULL;
    strand->left(strand);
}

struct line {
    char text[512];
    size_t size;
};

static void add_text(struct line *line, const char *text)
{
    while (*text && line->size < sizeof line->text - 1)
        line->text[line->size++] = *text++;
}

static void add_number(struct line *line, uint64_t number)
{
    char digits[24];
    size_t place = sizeof digits - 1;

    digits[place] = '\0';
    do
        digits[--place] = (char)('0' + number % 10);
    while (number /= 10);
    add_text(line, digits + place);
}

/* In a signal handler. */
static void report_overflow(size_t stack_bytes)
{
    struct line line = {.size = 0};

    if (!current)
        return;
    add_text(&line, "muster: ");
    add_text(&line, current->function->name);
    if (current->index) {
        add_text(&line, ", job ");
        add_number(&line, current->index(current));
    }
    add_text(&line, ": it overflowed its stack of ");
    add_number(&line, stack_bytes);
    add_text(&line, " bytes, which is what a job has under the model loop\n");
    while (line.size > 0 && write(STDERR_FILENO, line.text, line.size) < 0 && errno == EINTR)
        ;
}

int loop_model_watch(struct muster_error *ret_error)
{
    int code = coroutine_watch_overflow(report_overflow);

    return code == 0 ? 0 : muster_error_system(ret_error, errno, "cannot watch over the stacks of jobs");
}

/* --- single jobs */

static void add_ended(struct loop_model *self, struct task *task)
{
    task->place = NULL;
    DL_APPEND(self->ended, task);
    self->ended_count++;
    if (!self->dispatching)
        loop_wake(self->loop);
}

static void end_cancelled(struct loop_model *self, struct task *task)
{
    task->code = MUSTER_ECANCELLED;
    task->text = muster_error_name(MUSTER_ECANCELLED);
    task->value.type = MSGPACK_OBJECT_NIL;
    add_ended(self, task);
}

static void run_errand(struct fiber *fiber, void *context)
{
    struct errand *errand = context;
    struct local_runner runner;

    runner.guard = NULL;
    runner.fiber = fiber;
    runner.worker = 1;
    runner.task_ns = UINT64_MAX; /* of other jobs nothing is known */
    local_run_task(&runner, errand->task);
    errand->strand.ended = true;
}

static void errand_left(struct strand *strand)
{
    struct errand *errand = (struct errand *)strand;
    struct loop_model *self = errand->model;

    if (!strand->ended)
        return;
    DL_DELETE(self->running, strand);
    self->running_count--;
    self->starved = false;
    add_ended(self, errand->task);
    free(errand);
}

static bool may_begin(const struct loop_model *self)
{
    return self->queued && self->running_count < self->concurrency && !self->starved;
}

bool loop_model_begin(struct loop_model *self)
{
    struct task *task = self->queued;
    struct errand *errand;

    if (!may_begin(self))
        return false;
    errand = calloc(1, sizeof *errand);
    if (!errand || loop_start(self->loop, run_errand, errand) != 0) {
        free(errand);
        self->starved = self->running_count > 0;
        if (self->starved)
            return false;
        DL_DELETE(self->queued, task);
        task->code = MUSTER_ENOMEM;
        task->text = "out of memory for the stack of one more job";
        add_ended(self, task);
        return true;
    }
    DL_DELETE(self->queued, task);
    task->place = errand;
    errand->model = self;
    errand->task = task;
    errand->strand.left = errand_left;
    errand->strand.function = task->function;
    DL_APPEND(self->running, &errand->strand);
    self->running_count++;
    return true;
}

static int submit(struct model *model, struct task *task, struct muster_error *ret_error)
{
    struct loop_model *self = (struct loop_model *)model;

    (void)ret_error;
    task->place = self;
    DL_APPEND(self->queued, task);
    loop_wake(self->loop);
    return 0;
}

/* The place of a task is the model while it is queued, its errand while it runs, then NULL. */
static void cancel(struct model *model, struct task *task)
{
    struct loop_model *self = (struct loop_model *)model;

    if (task->place == self) {
        DL_DELETE(self->queued, task);
        end_cancelled(self, task);
    } else if (task->place) {
        call_cancel_raise(&task->cancel);
        loop_cancelled(self->loop);
    }
}

void loop_model_tell(struct loop_model *self)
{
    if (self->ended || may_begin(self))
        loop_wake(self->loop);
}

static void run_for_a_while(struct loop_model *self)
{
    uint64_t until_ns = clock_now_ns() + DISPATCH_NS;

    do {
        while (loop_ready(self->loop) < BEGIN_MAX && loop_model_begin(self))
            ;
        loop_turn(self->loop, 0);
    } while ((loop_ready(self->loop) > 0 || may_begin(self)) && self->ended_count < DISPATCH_MAX &&
             clock_now_ns() < until_ns);
}

static int dispatch(struct model *model, struct task **ended, struct muster_error *ret_error)
{
    struct loop_model *self = (struct loop_model *)model;
    int code = loop_model_watch(ret_error);

    if (code == 0) {
        self->dispatching = true;
        run_for_a_while(self);
        self->dispatching = false;
    }
    for (unsigned i = 0; i < DISPATCH_MAX && self->ended; i++) {
        struct task *task = self->ended;

        DL_DELETE(self->ended, task);
        self->ended_count--;
        DL_APPEND(*ended, task);
    }
    loop_model_tell(self);
    return code;
}

static int descriptor(const struct model *model)
{
    return loop_fd(((const struct loop_model *)model)->loop);
}

/* --- the model */

/* Jobs that have begun are asked to end, and waited for. */
static void close_loop(struct model *model, struct task **ended)
{
    struct loop_model *self = (struct loop_model *)model;
    struct strand *strand;

    self->dispatching = true;
    while (self->queued) {
        struct task *task = self->queued;

        DL_DELETE(self->queued, task);
        end_cancelled(self, task);
    }
    DL_FOREACH(self->running, strand)
        call_cancel_raise(&((struct errand *)strand)->task->cancel);
    loop_cancelled(self->loop);
    while (self->running)
        loop_turn(self->loop, CLOCK_NEVER);
    DL_CONCAT(*ended, self->ended);
    loop_destroy(self->loop);
    free(self);
}

static int open_loop(const struct muster_options *options, const struct registry *registry,
                     struct model **ret_model, struct muster_error *ret_error)
{
    static const struct loop_watcher watcher = {.resumed = strand_resumed, .suspended = strand_left};
    struct loop_model *self = calloc(1, sizeof *self);
    int code;

    (void)registry;
    if (!self)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if ((code = loop_create(&watcher, &self->loop, ret_error)) != 0) {
        free(self);
        return code;
    }
    self->model.ops = &model_loop;
    self->concurrency = options->concurrency;
    *ret_model = &self->model;
    return 0;
}

const struct model_ops model_loop = {
    .open = open_loop,
    .close = close_loop,
    .map = loop_model_map,
    .submit = submit,
    .cancel = cancel,
    .dispatch = dispatch,
    .fd = descriptor,
};
