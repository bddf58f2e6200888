/* SPDX-License-Identifier: MIT
 *
 * Loading libcurl. See curl.h.
 *
 * It is never unloaded, since threads that resolve names may outlive the transfer they were
 * started for.
 */
#include "jobs/curl.h"

#include "base/library.h"

#include <pthread.h>
#include <stdbool.h>

#define LIBRARY "libcurl.so.4"

/* The first that can leave a transfer whose name is still being resolved (CURLOPT_QUICK_EXIT). */
#define VERSION_MIN      0x075700
#define VERSION_MIN_TEXT "7.87"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards `loaded` and `is_loaded` */
static struct curl loaded;
static bool is_loaded;

static const struct library_symbol symbols[] = {
#define X(member, symbol) {#symbol, offsetof(struct curl, member)},
    CURL_SYMBOL_MAP(X)
#undef X
};

static int start(const struct curl *curl, struct muster_error *ret_error)
{
    const curl_version_info_data *version = curl->version_info(CURLVERSION_NOW);
    CURLcode code;

    if (version->version_num < VERSION_MIN)
        return muster_error_set(ret_error, MUSTER_EVERSION, "fetch needs libcurl %s or later, not %s",
                                VERSION_MIN_TEXT, version->version);
    code = curl->global_init(CURL_GLOBAL_DEFAULT);
    if (code != CURLE_OK)
        return muster_error_set(ret_error, MUSTER_ESYSTEM, "libcurl does not start: %s",
                                curl->easy_strerror(code));
    return 0;
}

/* LOCKING: `lock` is held. */
static int load(struct muster_error *ret_error)
{
    struct curl curl;
    const char *why;
    int code = library_load(LIBRARY, symbols, sizeof symbols / sizeof *symbols, &curl, &why);

    if (code == MUSTER_EVERSION)
        return muster_error_set(ret_error, code, "fetch needs libcurl %s or later: this one has no %s",
                                VERSION_MIN_TEXT, why);
    if (code != 0)
        return muster_error_set(ret_error, code, "fetch needs libcurl 4 (Debian: libcurl4): %s", why);
    if ((code = start(&curl, ret_error)) != 0)
        return code;
    loaded = curl;
    is_loaded = true;
    return 0;
}

int curl_load(const struct curl **ret_curl, struct muster_error *ret_error)
{
    int code = 0;

    pthread_mutex_lock(&lock);
    if (!is_loaded)
        code = load(ret_error);
    pthread_mutex_unlock(&lock);
    if (code == 0)
        *ret_curl = &loaded;
    return code;
}
