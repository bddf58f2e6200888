/* SPDX-License-Identifier: MIT
 *
 * Fetching where a wait blocks the thread. See fetch.h.
 *
 * Each thread has a multi handle of its own, which holds its connections and the names it
 * resolved; both are closed when the thread ends. A multi handle and not an easy one, since
 * that can be left at any time, to see whether the call is cancelled.
 */
#include "jobs/fetch.h"

#include "jobs/transfer.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CONNECTIONS_MAX = 8, /* kept by one thread: one is used at a time, the others wait idle */
    LOOK_MS = 50,        /* how soon a cancelled call is seen */
};

/* One thread's. */
struct fetcher {
    const struct curl *curl;
    CURLM *multi;              /* owned */
    pid_t process;             /* that made it */
    struct fetcher *inherited; /* of the process that this one was forked from; NULL: none */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_status;

static void fetcher_destroy(void *context)
{
    struct fetcher *fetcher = context;

    fetcher->curl->multi_cleanup(fetcher->multi);
    free(fetcher);
}

static void create_key(void)
{
    key_status = pthread_key_create(&key, fetcher_destroy);
}

static struct fetcher *fetcher_create(const struct curl *curl, struct fetcher *inherited)
{
    struct fetcher *fetcher = malloc(sizeof *fetcher);

    if (!fetcher)
        return NULL;
    fetcher->curl = curl;
    fetcher->process = getpid();
    fetcher->inherited = inherited;
    fetcher->multi = curl->multi_init();
    if (fetcher->multi &&
        curl->multi_setopt(fetcher->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_MAX) == CURLM_OK &&
        pthread_setspecific(key, fetcher) == 0)
        return fetcher;
    fetcher_destroy(fetcher);
    return NULL;
}

/* This thread's, made with its first fetch; and anew after a fork, since the connections of the
 * one that was inherited are still the parent's. */
static int fetcher_get(muster_call *call, struct fetcher **ret_fetcher)
{
    const struct curl *curl;
    struct muster_error error;
    struct fetcher *fetcher;

    if (curl_load(&curl, &error) != 0)
        return muster_call_fail(call, "%s", error.text);
    pthread_once(&once, create_key);
    fetcher = key_status == 0 ? pthread_getspecific(key) : NULL;
    if (key_status == 0 && (!fetcher || fetcher->process != getpid()))
        fetcher = fetcher_create(curl, fetcher);
    if (!fetcher)
        return muster_call_fail(call, "cannot fetch: out of memory");
    *ret_fetcher = fetcher;
    return 0;
}

/* Waits for the transfer that is in the multi handle. */
static int wait_for_end(const struct fetcher *fetcher, muster_call *call, struct transfer *transfer)
{
    int running, left;
    CURLMcode code;
    CURLMsg *message;

    for (;;) {
        if (muster_call_cancelled(call))
            return MUSTER_ECANCELLED;
        code = fetcher->curl->multi_perform(fetcher->multi, &running);
        message = fetcher->curl->multi_next(fetcher->multi, &left);
        if (message && message->msg == CURLMSG_DONE)
            return transfer_end(transfer, call, message->data.result);
        if (code == CURLM_OK)
            code = fetcher->curl->multi_poll(fetcher->multi, NULL, 0, LOOK_MS, NULL);
        if (code != CURLM_OK)
            return muster_call_fail(call, "cannot fetch: %s", fetcher->curl->multi_strerror(code));
    }
}

int fetch_blocking(muster_call *call, struct muster_fetch *request)
{
    struct fetcher *fetcher;
    struct transfer transfer;
    CURLMcode added;
    int code;

    code = fetcher_get(call, &fetcher);
    if (code == 0)
        code = transfer_init(&transfer, fetcher->curl, call, request);
    if (code != 0)
        return code;
    added = fetcher->curl->multi_add(fetcher->multi, transfer.easy);
    if (added != CURLM_OK) {
        code = muster_call_fail(call, "cannot fetch: %s", fetcher->curl->multi_strerror(added));
    } else {
        code = wait_for_end(fetcher, call, &transfer);
        fetcher->curl->multi_remove(fetcher->multi, transfer.easy);
    }
    transfer_fini(&transfer);
    return code;
}
