/* SPDX-License-Identifier: MIT
 *
 * Fetching in a loop: the fiber is left until its document is there. See fetch.h.
 *
 * A loop has one multi handle, whose sockets and timer are the loop's. curl runs in callbacks of
 * the loop, on the stack of the loop's thread; only adding and removing a transfer, which need
 * little, happen on the fiber's. Loading libcurl does as well: 11 KiB of stack, 6 ms, once.
 */
#include "jobs/fetch.h"

#include "jobs/loop_internal.h"
#include "jobs/transfer.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <utlist.h>

enum {
    CONNECTIONS_MIN = 8,
    CONNECTIONS_MAX = 1024, /* at once, and half of the descriptors; further fetches wait */
    IDLE_MAX = 64,          /* connections kept for later fetches */
};

/* A fiber that waits for its document; on its stack. */
struct visitor {
    struct transfer transfer; /* first: CURLOPT_PRIVATE is the visitor, too */
    struct visitor *prev, *next;
    struct fiber *fiber;
    bool ended;
    CURLcode code; /* once it has ended */
};

/* One loop's. */
struct fetcher {
    struct loop_timer timer; /* first */
    const struct curl *curl;
    struct loop *loop;        /* borrowed */
    CURLM *multi;             /* owned */
    struct visitor *visitors; /* borrowed; all whose transfers are in the multi handle */
};

/* A socket of curl's, from when it is to be watched until curl removes it. */
struct socket {
    struct loop_watch watch; /* first */
    struct fetcher *fetcher;
};

static void end_visit(struct visitor *visitor, CURLcode code)
{
    visitor->ended = true;
    visitor->code = code;
    fiber_resume(visitor->fiber);
}

/* Lets curl go on and takes what has ended. The multi handle itself fails when memory runs
 * out, and then ends every transfer. */
static void drive(struct fetcher *fetcher, curl_socket_t socket, int events)
{
    const struct curl *curl = fetcher->curl;
    struct visitor *visitor;
    CURLMsg *message;
    char *private;
    int count;

    if (curl->multi_socket_action(fetcher->multi, socket, events, &count) != CURLM_OK) {
        DL_FOREACH(fetcher->visitors, visitor)
            end_visit(visitor, CURLE_OUT_OF_MEMORY);
        return;
    }
    while ((message = curl->multi_next(fetcher->multi, &count)))
        if (message->msg == CURLMSG_DONE &&
            curl->easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private) == CURLE_OK)
            end_visit((struct visitor *)(void *)private, message->data.result);
}

static void on_due(struct loop_timer *timer)
{
    drive((struct fetcher *)timer, CURL_SOCKET_TIMEOUT, 0);
}

/* Curl may remove the socket meanwhile. */
static void on_ready(struct loop_watch *watch, uint32_t events)
{
    int mask = 0;

    if (events & (EPOLLIN | EPOLLHUP))
        mask |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (events & EPOLLERR)
        mask |= CURL_CSELECT_ERR;
    drive(((struct socket *)watch)->fetcher, watch->fd, mask);
}

/* Called by curl: when it wants to go on whatever happens; -1: it does not. */
static int set_timer(CURLM *multi, long timeout_ms, void *context)
{
    struct fetcher *fetcher = context;

    (void)multi;
    loop_timer_clear(fetcher->loop, &fetcher->timer);
    if (timeout_ms < 0)
        return 0;
    return loop_timer_set(fetcher->loop, &fetcher->timer,
                          clock_after(clock_now_ns(), (uint64_t)timeout_ms * CLOCK_NS_PER_MS));
}

/* Called by curl: what it waits for on this socket from now on. */
static int set_socket(CURL *easy, curl_socket_t number, int what, void *context, void *known)
{
    struct fetcher *fetcher = context;
    struct socket *socket = known;
    uint32_t events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket)
            loop_watch_set(fetcher->loop, &socket->watch, 0);
        free(socket);
        return 0;
    }
    if (!socket) {
        socket = calloc(1, sizeof *socket);
        if (!socket)
            return -1;
        socket->watch.fd = number;
        socket->watch.ready = on_ready;
        socket->fetcher = fetcher;
        fetcher->curl->multi_assign(fetcher->multi, number, socket);
    }
    if (what == CURL_POLL_IN || what == CURL_POLL_INOUT)
        events |= EPOLLIN;
    if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT)
        events |= EPOLLOUT;
    return loop_watch_set(fetcher->loop, &socket->watch, events) == 0 ? 0 : -1;
}

static void fetcher_destroy(void *context)
{
    struct fetcher *fetcher = context;

    fetcher->curl->multi_cleanup(fetcher->multi);
    loop_timer_clear(fetcher->loop, &fetcher->timer);
    free(fetcher);
}

static long connections_max(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 2 >= CONNECTIONS_MAX)
        return CONNECTIONS_MAX;
    return limit.rlim_cur / 2 > CONNECTIONS_MIN ? (long)(limit.rlim_cur / 2) : CONNECTIONS_MIN;
}

static bool set_up(struct fetcher *fetcher)
{
    const struct curl *curl = fetcher->curl;
    CURLM *multi = fetcher->multi;

    return multi && curl->multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket) == CURLM_OK &&
           curl->multi_setopt(multi, CURLMOPT_SOCKETDATA, fetcher) == CURLM_OK &&
           curl->multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer) == CURLM_OK &&
           curl->multi_setopt(multi, CURLMOPT_TIMERDATA, fetcher) == CURLM_OK &&
           curl->multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)IDLE_MAX) == CURLM_OK &&
           curl->multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, connections_max()) == CURLM_OK;
}

/* The loop's, made with its first fetch. */
static int fetcher_get(muster_call *call, struct loop *loop, struct fetcher **ret_fetcher)
{
    struct fetcher *fetcher = loop->fetcher;
    const struct curl *curl;
    struct muster_error error;

    if (fetcher) {
        *ret_fetcher = fetcher;
        return 0;
    }
    if (curl_load(&curl, &error) != 0)
        return muster_call_fail(call, "%s", error.text);
    fetcher = calloc(1, sizeof *fetcher);
    if (!fetcher)
        return muster_call_fail(call, "cannot fetch: out of memory");
    fetcher->timer.due = on_due;
    fetcher->curl = curl;
    fetcher->loop = loop;
    fetcher->multi = curl->multi_init();
    if (!set_up(fetcher)) {
        fetcher_destroy(fetcher);
        return muster_call_fail(call, "cannot fetch: out of memory");
    }
    loop->fetcher = fetcher;
    loop->fetcher_destroy = fetcher_destroy;
    *ret_fetcher = fetcher;
    return 0;
}

/* Waits for the transfer, which is in the multi handle. */
static int visit(struct fetcher *fetcher, muster_call *call, struct visitor *visitor)
{
    DL_APPEND(fetcher->visitors, visitor);
    fiber_suspend(visitor->fiber, ((struct call *)call)->cancel);
    DL_DELETE(fetcher->visitors, visitor);
    if (!visitor->ended)
        return MUSTER_ECANCELLED;
    return transfer_end(&visitor->transfer, call, visitor->code);
}

int fetch_in_loop(muster_call *call, struct muster_fetch *request)
{
    struct visitor visitor = {.fiber = fiber_of_call(call)};
    struct fetcher *fetcher;
    CURLMcode added;
    int code;

    if (muster_call_cancelled(call))
        return MUSTER_ECANCELLED;
    code = fetcher_get(call, visitor.fiber->loop, &fetcher);
    if (code == 0)
        code = transfer_init(&visitor.transfer, fetcher->curl, call, request);
    if (code != 0)
        return code;
    added = fetcher->curl->multi_add(fetcher->multi, visitor.transfer.easy);
    if (added != CURLM_OK) {
        code = muster_call_fail(call, "cannot fetch: %s", fetcher->curl->multi_strerror(added));
    } else {
        code = visit(fetcher, call, &visitor);
        fetcher->curl->multi_remove(fetcher->multi, visitor.transfer.easy);
    }
    transfer_fini(&visitor.transfer);
    return code;
}
