/* SPDX-License-Identifier: MIT
 *
 * fetch over a runner whose answers are made here: what becomes of a body that comes in
 * pieces, of a failure, and of the seconds. Real transfers: tests/integration/fetch.py.
 */
#include "rig.h"

#include <criterion/criterion.h>
#include <string.h>

#define DIGEST_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static struct muster_call_ops ops;
static struct muster_fetch seen;

static int answer_in_pieces(muster_call *call, struct muster_fetch *request)
{
    (void)call;
    seen = *request;
    cr_assert_eq(request->on_body(request->context, "a", 1), 0);
    cr_assert_eq(request->on_body(request->context, "", 0), 0);
    cr_assert_eq(request->on_body(request->context, "bc", 2), 0);
    request->status = 203;
    return 0;
}

static int break_off(muster_call *call, struct muster_fetch *request)
{
    cr_assert_eq(request->on_body(request->context, "a", 1), 0);
    return muster_call_fail(call, "cannot fetch %s: it broke off", request->url);
}

static void with(int (*fetch)(muster_call *call, struct muster_fetch *request))
{
    rig_init();
    ops = call_blocking_ops;
    ops.fetch = fetch;
    rig.call.base.ops = &ops;
}

TestSuite(fetch, .fini = rig_fini);

static void check_member(size_t place, const char *key, const msgpack_object *expected)
{
    const msgpack_object_kv *member = &rig.result.via.map.ptr[place];

    cr_assert_eq(member->key.via.str.size, strlen(key));
    cr_assert_arr_eq(member->key.via.str.ptr, key, strlen(key));
    cr_assert(msgpack_object_equal(member->val, *expected), "%s", key);
}

Test(fetch, wrong_digest_of_a_body_in_pieces)
{
    msgpack_object status = integer(203), size = integer(3), digest = text(DIGEST_ABC);

    with(answer_in_pieces);
    cr_assert_eq(run("fetch", text("http://host/path")), 0, "%s", rig.call.text);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_MAP);
    cr_assert_eq(rig.result.via.map.size, 3);
    check_member(0, "status", &status);
    check_member(1, "bytes", &size);
    check_member(2, "sha256", &digest);
    cr_assert_str_eq(seen.url, "http://host/path");
    cr_assert_eq(seen.timeout_s, 0);
}

Test(fetch, seconds_are_not_passed_on)
{
    with(answer_in_pieces);
    cr_assert_eq(run("fetch", MAP(MEMBER("seconds", number(2.5)), MEMBER("url", text("http://h/")))), 0);
    cr_assert_eq(seen.timeout_s, 2.5);
    cr_assert_str_eq(seen.url, "http://h/");
}

Test(fetch, half_a_body_is_taken_for_a_document)
{
    with(break_off);
    refuse("fetch", text("http://host/path"), "cannot fetch http://host/path: it broke off");
}

Test(fetch, host_that_cannot_fetch_is_called)
{
    with(answer_in_pieces);
    ops.size = offsetof(struct muster_call_ops, fetch);
    refuse("fetch", text("http://host/path"), "this muster is too old to fetch");
}

Test(fetch, time_limit_that_is_none_is_taken)
{
    struct muster_fetch request = {.url = "http://127.0.0.1:1/", .timeout_s = -1};

    with(call_blocking_ops.fetch);
    cr_assert_eq(muster_call_fetch(&rig.call.base, &request), MUSTER_JOB_FAILED);
    cr_assert_not_null(strstr(rig.call.text, "cannot wait for -1 seconds"), "%s", rig.call.text);
}
