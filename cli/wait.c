/* SPDX-License-Identifier: MIT
 *
 * muster wait: until batches are over, or for so long. All are attached to first, so that one that is not
 * there is found before anything is waited for. Ctrl-C ends the wait, and no batch.
 */
#include "base/clock.h"
#include "base/log.h"
#include "cli/ask.h"

#include <inttypes.h>
#include <stdlib.h>

/* A batch, and how it ended. */
struct awaited {
    uint64_t batch, ticket;
    struct remote_batch known;
    bool attached, over;
    int code;
    uint64_t succeeded, failed, cancelled;
};

struct waiting {
    struct ask *ask;
    struct awaited *awaited; /* owned */
    uint64_t deadline_ns;
};

static int attach(const struct waiting *w, struct awaited *a, struct muster_error *ret_error)
{
    const struct proto_attach attach = {.batch = a->batch, .first = 1, .follow = true};

    a->attached = false;
    return remote_attach(w->ask->remote, &attach, &a->ticket, ret_error);
}

/* To those that are not over. */
static int attach_all(struct waiting *w, struct muster_error *ret_error)
{
    int code = 0;

    for (size_t i = 0; i < w->ask->batch_count && code == 0; i++) {
        if (w->awaited[i].over)
            continue;
        w->awaited[i].batch = w->ask->batches[i];
        code = attach(w, &w->awaited[i], ret_error);
    }
    return code;
}

static struct awaited *find(struct waiting *w, uint64_t ticket)
{
    for (size_t i = 0; i < w->ask->batch_count; i++)
        if (w->awaited[i].ticket == ticket)
            return &w->awaited[i];
    return NULL;
}

static void take_ended(struct awaited *a, const struct proto_ended *ended)
{
    a->over = true;
    a->code = ended->code;
    a->succeeded = ended->succeeded;
    a->failed = ended->failed;
    a->cancelled = ended->cancelled;
}

/* Takes the frame. */
static int take(struct waiting *w, struct wire_frame *frame, struct muster_error *ret_error)
{
    const struct proto_message *message = &frame->message;
    struct awaited *a;
    int code = 0;

    if (message->type == PROTO_ATTACHED && (a = find(w, message->attached.ticket)) != NULL) {
        code = remote_recognize(w->ask->remote, &a->known, &message->attached, ret_error);
        a->attached = true;
    } else if (message->type == PROTO_ENDED && (a = find(w, message->ended.ticket)) != NULL && a->attached) {
        take_ended(a, &message->ended);
    } else if (message->type == PROTO_ERROR && (a = find(w, message->error.ticket)) != NULL) {
        code = remote_refused(w->ask->remote, a->batch, message->error.code, message->error.text, ret_error);
    }
    wire_frame_destroy(frame);
    return code;
}

/* Whether all of them are attached to, or over. */
static bool all(const struct waiting *w, bool over)
{
    for (size_t i = 0; i < w->ask->batch_count; i++)
        if (!(over ? w->awaited[i].over : w->awaited[i].attached))
            return false;
    return true;
}

/* Takes what comes until all are there, or over. */
static int wait_all(struct waiting *w, bool over, uint64_t deadline_ns, struct muster_error *ret_error)
{
    struct wire_frame *frame;
    int code = 0;

    while (code == 0 && !all(w, over)) {
        if ((code = remote_next(w->ask->remote, deadline_ns, &frame, ret_error)) == 0)
            code = take(w, frame, ret_error);
        if (code == MUSTER_ELOST && remote_is_lost(w->ask->remote) &&
            (code = ask_return(w->ask, w->deadline_ns, ret_error)) == 0)
            code = attach_all(w, ret_error);
    }
    return code;
}

/* --- what became of them */

static const char *outcome(const struct awaited *a)
{
    if (!a->over)
        return "not over";
    if (a->code)
        return "lost";
    if (a->cancelled)
        return "cancelled";
    return a->failed ? "failed" : "succeeded";
}

/* Says what became of one. 0 or MUSTER_ENOMEM. */
static int describe(struct ask *ask, const struct awaited *a)
{
    uint64_t total = a->succeeded + a->failed + a->cancelled;
    char jobs[JOBS_TEXT_BYTES];

    if (ask->json)
        return output_text(&ask->output,
                           "{\"batch\":%" PRIu64 ",\"outcome\":\"%s\",\"succeeded\":%" PRIu64
                           ",\"failed\":%" PRIu64 ",\"cancelled\":%" PRIu64 "}\n",
                           a->batch, outcome(a), a->succeeded, a->failed, a->cancelled);
    jobs_count(a->code || a->cancelled ? a->succeeded + a->failed : a->failed, total, jobs, sizeof jobs);
    if (!a->over)
        log_error("batch %" PRIu64 " is not over", a->batch);
    else if (a->code || a->cancelled)
        log_error("batch %" PRIu64 " was %s: %s done", a->batch, a->code ? "given up" : "cancelled", jobs);
    else if (a->failed)
        log_error("batch %" PRIu64 ": %s failed", a->batch, jobs);
    return 0;
}

/* Says what became of each; returns the exit status, or MUSTER_ENOMEM. */
static int conclude(struct waiting *w, struct muster_error *ret_error)
{
    bool over = true, ended_early = false;
    uint64_t failed = 0;

    for (size_t i = 0; i < w->ask->batch_count; i++) {
        const struct awaited *a = &w->awaited[i];

        if (describe(w->ask, a))
            return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        over &= a->over;
        failed += a->failed;
        ended_early |= a->code || a->cancelled;
    }
    if (!over)
        return STATUS_NOT_OVER;
    return ended_early ? STATUS_ERROR : ask_status(failed);
}

/* Returns as conclude, or a negative code. */
static int attach_and_wait(struct waiting *w, struct muster_error *ret_error)
{
    /* To be told whether a batch is there: as long as for any other answer. */
    const uint64_t patience_ns = 5 * CLOCK_NS_PER_S;
    double timeout_s = w->ask->options.timeout_s;
    uint64_t now_ns = clock_now_ns();
    int code;

    w->deadline_ns = timeout_s > 0 ? clock_after(now_ns, (uint64_t)(timeout_s * 1e9)) : CLOCK_NEVER;
    code = attach_all(w, ret_error);
    if (code == 0)
        code = wait_all(w, false, clock_after(now_ns, patience_ns), ret_error);
    if (code == 0 && (code = wait_all(w, true, w->deadline_ns, ret_error)) == MUSTER_ETIMEOUT)
        code = 0;
    if (code == MUSTER_ELOST && clock_now_ns() >= w->deadline_ns) /* it is away, and time is over */
        code = 0;
    return code ? code : conclude(w, ret_error);
}

static int wait_for_batches(struct ask *ask, struct muster_error *ret_error)
{
    struct waiting w = {.ask = ask, .awaited = calloc(ask->batch_count, sizeof *w.awaited)};
    int code;

    if (!w.awaited)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    code = attach_and_wait(&w, ret_error);
    free(w.awaited);
    return code;
}

int verb_wait(int argc, char **argv)
{
    return ask_verb(VERB_WAIT, argc, argv, wait_for_batches);
}
