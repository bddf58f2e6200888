/* SPDX-License-Identifier: MIT
 *
 * muster cancel, retry and forget: what is done with whole batches.
 */
#include "cli/ask.h"
#include "cli/leave.h"

#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <string.h>

/* Does something with each of the batches; those that it cannot be done with are named, and the others are
 * not held up by them. Returns the exit status, or an error with which all ends. */
static int do_all(struct ask *ask, enum proto_operation operation, uint64_t number,
                  struct muster_error *ret_error)
{
    int status = 0, code;

    for (size_t i = 0; i < ask->batch_count; i++) {
        code = ask_batch(ask, operation, ask->batches[i], number, NULL, NULL, ret_error);
        if (code == MUSTER_ELOST || code == MUSTER_ETIMEOUT || code == MUSTER_EPROTOCOL)
            return code;
        if (code)
            status = plain_error(ret_error);
        else if (ask->json && output_text(&ask->output, "{\"batch\":%" PRIu64 "}\n", ask->batches[i]))
            return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    return status;
}

/* --- cancel */

static int cancel(struct ask *ask, struct muster_error *ret_error)
{
    return do_all(ask, PROTO_REQUEST_CANCEL, ask->options.now ? PROTO_CANCEL_NOW : PROTO_CANCEL_SOON,
                  ret_error);
}

int verb_cancel(int argc, char **argv)
{
    return ask_verb(VERB_CANCEL, argc, argv, cancel);
}

/* --- retry */

/* Its number is told in one way or the other. */
static int take_retried(void *context, const msgpack_object *map, struct muster_error *ret_error)
{
    struct ask *ask = context;
    uint64_t batch = fact_count(map, "batch");
    int code = 0;

    if (ask->json)
        code = ask_write(ask, map, ret_error);
    else if (output_text(&ask->output, "%" PRIu64 "\n", batch))
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    if (code == 0)
        code = output_flush(&ask->output, ret_error);
    if (code)
        leave_tell_return(ask->options.open.coordinator, batch);
    return code;
}

static int retry(struct ask *ask, struct muster_error *ret_error)
{
    enum { THOSE_THAT_FAILED = 1, ALL = 2 };

    return ask_batch(ask, PROTO_REQUEST_RETRY, ask->batches[0], ask->options.all ? ALL : THOSE_THAT_FAILED,
                     take_retried, ask, ret_error);
}

int verb_retry(int argc, char **argv)
{
    return ask_verb(VERB_RETRY, argc, argv, retry);
}

/* --- forget */

enum { PAGE_BATCHES = 256 };

/* Batches that have ended, a page of them. */
struct ended {
    struct ask *ask;
    uint64_t before;         /* those of lower numbers come next */
    uint64_t ended_until_ms; /* those that had ended by then are forgotten */
    uint64_t batches[PAGE_BATCHES];
    size_t page, count; /* that came; that are to be forgotten */
};

static int take_ended(void *context, const msgpack_object *value, struct muster_error *ret_error)
{
    struct ended *ended = context;

    if (value->type != MSGPACK_OBJECT_ARRAY || value->via.array.size > PAGE_BATCHES - ended->page)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "%s: the coordinator sent no list of batches",
                                remote_endpoint(ended->ask->remote));
    for (uint32_t i = 0; i < value->via.array.size; i++) {
        const msgpack_object *map = &value->via.array.ptr[i];
        uint64_t batch = fact_count(map, "batch");

        if (batch == 0 || (ended->before != 0 && batch >= ended->before))
            return muster_error_set(ret_error, MUSTER_EPROTOCOL,
                                    "%s: the coordinator sent batches out of order",
                                    remote_endpoint(ended->ask->remote));
        ended->before = batch;
        ended->page++;
        if (fact_count(map, "ended_ms") <= ended->ended_until_ms)
            ended->batches[ended->count++] = batch;
    }
    return 0;
}

/* Forgets a page of them. One that others wait for stays, and one that somebody else forgot is no error. */
static int forget_page(struct ended *ended, uint64_t *forgotten, uint64_t *kept,
                       struct muster_error *ret_error)
{
    for (size_t i = 0; i < ended->count; i++) {
        int code = ask_batch(ended->ask, PROTO_REQUEST_FORGET, ended->batches[i], 0, NULL, NULL, ret_error);

        if (code != 0 && code != MUSTER_ESTATE && code != MUSTER_ENOTFOUND)
            return code;
        *forgotten += code == 0;
        *kept += code == MUSTER_ESTATE;
        if (code == 0 && ended->ask->json &&
            output_text(&ended->ask->output, "{\"batch\":%" PRIu64 "}\n", ended->batches[i]))
            return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    }
    return 0;
}

static int forget_ended(struct ask *ask, struct muster_error *ret_error)
{
    uint64_t now_ms = clock_read_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS, older_ms, forgotten = 0, kept = 0;
    struct ended ended = {.ask = ask};
    int code;

    older_ms = (uint64_t)(ask->options.older_s * 1e3);
    ended.ended_until_ms = now_ms > older_ms ? now_ms - older_ms : 0;
    do {
        struct proto_request request = {
            .operation = PROTO_REQUEST_BATCHES,
            .batch = ended.before,
            .number = PAGE_BATCHES,
            .text = proto_text("state=succeeded state=failed state=cancelled state=lost")};

        ended.page = ended.count = 0;
        code = remote_ask(ask->remote, &request, take_ended, &ended, ret_error);
        if (code == 0)
            code = forget_page(&ended, &forgotten, &kept, ret_error);
    } while (code == 0 && ended.page > 0);
    if (code)
        return code;
    if (kept > 0)
        log_error("%" PRIu64 " batch%s stay%s: others wait for %s", kept, kept == 1 ? "" : "es",
                  kept == 1 ? "s" : "", kept == 1 ? "it" : "them");
    if (!ask->json &&
        output_text(&ask->output, "%" PRIu64 " batch%s forgotten\n", forgotten, forgotten == 1 ? "" : "es"))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return 0;
}

static int forget(struct ask *ask, struct muster_error *ret_error)
{
    return ask->options.ended ? forget_ended(ask, ret_error)
                              : do_all(ask, PROTO_REQUEST_FORGET, 0, ret_error);
}

int verb_forget(int argc, char **argv)
{
    return ask_verb(VERB_FORGET, argc, argv, forget);
}
