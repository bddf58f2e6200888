/* SPDX-License-Identifier: MIT
 *
 * Loading libcurl. See curl.h.
 *
 * Its symbols stay out of the way of the program's own (RTLD_LOCAL). It is never unloaded,
 * since threads that resolve names may outlive the transfer they were started for.
 */
#include "jobs/curl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

/* The first that can leave a transfer whose name is still being resolved (CURLOPT_QUICK_EXIT). */
#define VERSION_MIN      0x075700
#define VERSION_MIN_TEXT "7.87"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards `loaded` and `is_loaded` */
static struct curl loaded;
static bool is_loaded;

/* dlsym returns a pointer to data, which ISO C does not convert to one to a function. */
static bool find_symbol(void *handle, const char *symbol, void *ret_function, size_t size)
{
    void *address = dlsym(handle, symbol);

    if (!address)
        return false;
    memcpy(ret_function, &address, size);
    return true;
}

static int find_symbols(void *handle, struct curl *curl, struct muster_error *ret_error)
{
#define X(member, symbol)                                                        \
    if (!find_symbol(handle, #symbol, &curl->member, sizeof curl->member))       \
        return muster_error_set(ret_error, MUSTER_EVERSION,                      \
                                "fetch needs libcurl %s or later: this one has " \
                                "no %s",                                         \
                                VERSION_MIN_TEXT, #symbol);
    CURL_SYMBOL_MAP(X)
#undef X
    return 0;
}

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
    void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    int code;

    if (!handle)
        return muster_error_set(ret_error, MUSTER_ENOTFOUND, "fetch needs libcurl 4 (Debian: libcurl4): %s",
                                dlerror());
    code = find_symbols(handle, &curl, ret_error);
    if (code == 0)
        code = start(&curl, ret_error);
    if (code != 0) {
        dlclose(handle);
        return code;
    }
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
