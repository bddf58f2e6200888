/* SPDX-License-Identifier: MIT
 *
 * One GET. See transfer.h.
 *
 * An error names the document without what may be secret in its URL, the user's name,
 * password and query, and names where a redirection led to if it was there that it failed.
 */
#include "jobs/transfer.h"

#include "base/sandbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define PROTOCOLS "http,https"

enum {
    URL_BYTES_MAX = 64 << 10,
    SHOWN_BYTES = 256, /* of a URL in an error */
    REDIRECTIONS_MAX = 10,
    TIMEOUT_DEFAULT_S = 300,
    TIMEOUT_MAX_S = 1000000, /* curl counts milliseconds in 32 bits on some machines */
};

/* The URL without its secrets, cut to a readable length. */
static void show_url(const struct curl *curl, CURLU *url, char ret_shown[SHOWN_BYTES])
{
    static const CURLUPart hidden[] = {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_OPTIONS, CURLUPART_QUERY,
                                       CURLUPART_FRAGMENT};
    char *text = NULL;
    size_t i;

    for (i = 0; i < sizeof hidden / sizeof *hidden; i++)
        curl->url_set(url, hidden[i], NULL, 0);
    if (curl->url_get(url, CURLUPART_URL, &text, 0) != CURLUE_OK)
        text = NULL;
    snprintf(ret_shown, SHOWN_BYTES, "%s", text ? text : "the document");
    if (text && strlen(text) >= SHOWN_BYTES)
        strcpy(ret_shown + SHOWN_BYTES - sizeof "...", "...");
    curl->free_text(text);
}

static CURLUcode parse(const struct curl *curl, const char *text, CURLU **ret_url)
{
    CURLU *url = curl->url_create();
    CURLUcode code =
        url ? curl->url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) : CURLUE_OUT_OF_MEMORY;

    if (code == CURLUE_OK)
        *ret_url = url;
    else
        curl->url_destroy(url);
    return code;
}

/* Fails the call unless the URL is one that can be fetched. */
static int check_url(const struct curl *curl, muster_call *call, const char *text)
{
    CURLU *url;
    char *scheme = NULL;
    CURLUcode code;
    int status = 0;

    if (!text || strlen(text) > URL_BYTES_MAX)
        return muster_call_fail(call, "fetch takes a URL of %d bytes at most", URL_BYTES_MAX);
    code = parse(curl, text, &url);
    if (code != CURLUE_OK)
        return muster_call_fail(call, "fetch takes a URL such as http://host/path: %s",
                                curl->url_strerror(code));
    code = curl->url_get(url, CURLUPART_SCHEME, &scheme, 0);
    if (code != CURLUE_OK)
        status = muster_call_fail(call, "fetch takes a URL such as http://host/path: %s",
                                  curl->url_strerror(code));
    else if (strcasecmp(scheme, "http") != 0 && strcasecmp(scheme, "https") != 0)
        status = muster_call_fail(call, "fetch takes a URL of http or https, not of \"%.20s\"", scheme);
    curl->free_text(scheme);
    curl->url_destroy(url);
    return status;
}

/* libcurl's own would be inherited by the commands that a job starts. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)context;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct muster_fetch *request = transfer->request;

    transfer->bytes += size * count;
    if (request->on_body && request->on_body(request->context, bytes, size * count) != 0) {
        transfer->refused = true;
        return 0;
    }
    return size * count;
}

/* Those that must not be missing: without them it would not keep to http, for one. */
static bool set_options(struct transfer *transfer)
{
    const struct curl *curl = transfer->curl;
    CURL *easy = transfer->easy;

    return curl->easy_setopt(easy, CURLOPT_URL, transfer->request->url) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_PROTOCOLS_STR, PROTOCOLS) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, PROTOCOLS) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_MAXREDIRS, (long)REDIRECTIONS_MAX) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(transfer->timeout_s * 1000) + 1) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           /* A cancelled transfer does not wait for its name to be resolved. */
           curl->easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_USERAGENT, "muster/" MUSTER_VERSION) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->reason) == CURLE_OK &&
           curl->easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK;
}

static int check_network(muster_call *call)
{
    return sandbox_is_offline()
               ? muster_call_fail(call, "cannot fetch: --sandbox keeps jobs from the network, "
                                        "--sandbox=net lets them use it")
               : 0;
}

int transfer_init(struct transfer *transfer, const struct curl *curl, muster_call *call,
                  struct muster_fetch *request)
{
    double timeout_s = request->timeout_s;
    int code;

    if (!(timeout_s >= 0))
        return muster_call_fail(call, "cannot wait for %g seconds", timeout_s);
    if (timeout_s == 0)
        timeout_s = TIMEOUT_DEFAULT_S;
    else if (timeout_s > TIMEOUT_MAX_S)
        timeout_s = TIMEOUT_MAX_S;
    code = check_url(curl, call, request->url);
    if (code == 0)
        code = check_network(call);
    if (code != 0)
        return code;
    *transfer = (struct transfer){
        .curl = curl, .easy = curl->easy_init(), .request = request, .timeout_s = timeout_s};
    if (transfer->easy && set_options(transfer))
        return 0;
    transfer_fini(transfer);
    return muster_call_fail(call, "cannot fetch: out of memory");
}

void transfer_fini(struct transfer *transfer)
{
    if (transfer->easy)
        transfer->curl->easy_cleanup(transfer->easy);
    transfer->easy = NULL;
}

/* What happened, in a few words. */
static void explain(const struct transfer *transfer, CURLcode code, char *text, size_t size)
{
    const struct curl *curl = transfer->curl;
    const char *reason = transfer->reason[0] ? transfer->reason : curl->easy_strerror(code), *url = NULL;
    long cause = 0, status = 0;

    curl->easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &cause);
    curl->easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    switch ((int)code) {
    case CURLE_UNSUPPORTED_PROTOCOL: /* by a redirection; or of an answer of HTTP 0.9, which is none */
        curl->easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
        snprintf(text, size, "%s",
                 url && strncasecmp(url, "http", 4) == 0 ? "the answer is not HTTP"
                                                         : "only http and https are fetched");
        break;
    case CURLE_COULDNT_RESOLVE_HOST:
        snprintf(text, size, "its host does not resolve");
        break;
    case CURLE_COULDNT_CONNECT:
        snprintf(text, size, "cannot connect: %s", cause ? strerror((int)cause) : reason);
        break;
    case CURLE_OPERATION_TIMEDOUT:
        if (status == 0)
            snprintf(text, size, "no answer within %g s", transfer->timeout_s);
        else
            snprintf(text, size, "not complete within %g s: %" PRIu64 " bytes came", transfer->timeout_s,
                     transfer->bytes);
        break;
    case CURLE_GOT_NOTHING:
        snprintf(text, size, "the server closed the connection without an answer");
        break;
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        snprintf(text, size, "it broke off after %" PRIu64 " bytes: %s", transfer->bytes,
                 cause ? strerror((int)cause) : reason);
        break;
    case CURLE_TOO_MANY_REDIRECTS:
        snprintf(text, size, "more than %d redirections", REDIRECTIONS_MAX);
        break;
    case CURLE_WRITE_ERROR:
        snprintf(text, size, "%s", transfer->refused ? "its body was refused" : reason);
        break;
    default:
        snprintf(text, size, "%s", reason);
    }
}

static void show_text(const struct curl *curl, const char *text, char ret_shown[SHOWN_BYTES])
{
    CURLU *url;

    if (!text || parse(curl, text, &url) != CURLUE_OK) {
        strcpy(ret_shown, "the document");
        return;
    }
    show_url(curl, url, ret_shown);
    curl->url_destroy(url);
}

int transfer_end(struct transfer *transfer, muster_call *call, CURLcode code)
{
    const struct curl *curl = transfer->curl;
    char asked[SHOWN_BYTES], reached[SHOWN_BYTES], text[CURL_ERROR_SIZE + 128];
    const char *url = NULL;
    long status = 0, redirections = 0;

    if (code == CURLE_OK) {
        curl->easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
        transfer->request->status = status;
        return 0;
    }
    explain(transfer, code, text, sizeof text);
    show_text(curl, transfer->request->url, asked);
    curl->easy_getinfo(transfer->easy, CURLINFO_REDIRECT_COUNT, &redirections);
    if (redirections == 0)
        return muster_call_fail(call, "cannot fetch %s: %s", asked, text);
    curl->easy_getinfo(transfer->easy, CURLINFO_EFFECTIVE_URL, &url);
    show_text(curl, url, reached);
    return muster_call_fail(call, "cannot fetch %s, redirected to %s: %s", asked, reached, text);
}
