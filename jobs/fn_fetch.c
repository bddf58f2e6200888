/* SPDX-License-Identifier: MIT
 *
 * fetch: gets a document over HTTP or HTTPS and says how large it is and what its digest is. An
 * answer is a result whatever its status: only no answer, or half of one, is a failure.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"
#include "jobs/result.h"

#include <sodium.h>

#define SECONDS_MIN 0.001
#define SECONDS_MAX 86400.0 /* a day */

struct body {
    crypto_hash_sha256_state state;
    uint64_t bytes;
};

static int take(void *context, const void *bytes, size_t size)
{
    struct body *body = context;

    body->bytes += size;
    crypto_hash_sha256_update(&body->state, bytes, size);
    return 0;
}

/* The URL, in `argument` itself or in its member; NULL when the argument is none of fetch's. */
static const msgpack_object *find_url(const msgpack_object *argument, double *ret_seconds)
{
    static const char *const names[] = {"url", "seconds"};
    const msgpack_object *members[2];

    if (argument_text(argument))
        return argument;
    if (!argument_members(argument, 2, names, members) || !members[0] || !argument_text(members[0]) ||
        (members[1] && !argument_number(members[1], SECONDS_MIN, SECONDS_MAX, ret_seconds)))
        return NULL;
    return members[0];
}

static int give(muster_call *call, long status, struct body *body, msgpack_object *ret_result)
{
    uint8_t digest[RESULT_DIGEST_BYTES];
    msgpack_object hex;
    int code;

    crypto_hash_sha256_final(&body->state, digest);
    code = result_digest(call, digest, &hex);
    if (code != 0)
        return code;
    return result_map(call,
                      (msgpack_object_kv[]){{result_text("status"), result_integer((uint64_t)status)},
                                            {result_text("bytes"), result_integer(body->bytes)},
                                            {result_text("sha256"), hex}},
                      3, ret_result);
}

static int fetch(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    struct body body = {.bytes = 0};
    struct muster_fetch request = {.on_body = take, .context = &body};
    const msgpack_object *url = find_url(argument, &request.timeout_s);
    int code;

    if (!url)
        return argument_refuse(call, &function_fetch, argument);
    if (sodium_init() < 0)
        return muster_call_fail(call, "libsodium cannot be initialised");
    request.url = argument_copy(call, url);
    if (!request.url)
        return MUSTER_JOB_FAILED;
    crypto_hash_sha256_init(&body.state);
    code = muster_call_fetch(call, &request);
    return code == 0 ? give(call, request.status, &body, ret_result) : code;
}

const muster_function function_fetch = {
    .name = "fetch",
    .summary = "gets a document over HTTP or HTTPS: status, size and digest",
    .argument = "the URL, or {\"url\":URL,\"seconds\":S} to wait 0.001 to 86400 seconds instead of 300",
    .result = "{\"status\":N,\"bytes\":N,\"sha256\":\"hexadecimal\"} of the answer after at most 10 "
              "redirections; a status such as 404 is a result, too",
    .example = "\"http://localhost:8000/\"",
    .run = fetch,
};
