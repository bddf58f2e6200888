/* SPDX-License-Identifier: MIT
 *
 * libcurl, loaded when the first document is fetched: linking it would bring some forty
 * libraries and 5 ms into every start of muster and of each worker. Once it is loaded it stays.
 * Any thread.
 */
#ifndef MUSTER_JOBS_CURL_H
#define MUSTER_JOBS_CURL_H

#include "base/error.h"

#include <curl/curl.h>

/* What is used of it: X(member of struct curl, symbol). */
#define CURL_SYMBOL_MAP(X)                           \
    X(global_init, curl_global_init)                 \
    X(version_info, curl_version_info)               \
    X(easy_init, curl_easy_init)                     \
    X(easy_cleanup, curl_easy_cleanup)               \
    X(easy_setopt, curl_easy_setopt)                 \
    X(easy_getinfo, curl_easy_getinfo)               \
    X(easy_strerror, curl_easy_strerror)             \
    X(multi_init, curl_multi_init)                   \
    X(multi_cleanup, curl_multi_cleanup)             \
    X(multi_setopt, curl_multi_setopt)               \
    X(multi_add, curl_multi_add_handle)              \
    X(multi_remove, curl_multi_remove_handle)        \
    X(multi_perform, curl_multi_perform)             \
    X(multi_poll, curl_multi_poll)                   \
    X(multi_socket_action, curl_multi_socket_action) \
    X(multi_assign, curl_multi_assign)               \
    X(multi_next, curl_multi_info_read)              \
    X(multi_strerror, curl_multi_strerror)           \
    X(url_create, curl_url)                          \
    X(url_destroy, curl_url_cleanup)                 \
    X(url_get, curl_url_get)                         \
    X(url_set, curl_url_set)                         \
    X(url_strerror, curl_url_strerror)               \
    X(free_text, curl_free)

struct curl {
#define X(member, symbol) __typeof__(symbol) *member;
    CURL_SYMBOL_MAP(X)
#undef X
};

/* Loads it with the first call that succeeds. 0; MUSTER_ENOTFOUND when there is none,
 * MUSTER_EVERSION when it is too old, MUSTER_ESYSTEM when it does not start. */
int curl_load(const struct curl **ret_curl, struct muster_error *ret_error);

#endif
