/* SPDX-License-Identifier: MIT
 *
 * Whose a name is at the gate. Over tcp ZeroMQ hears only the first of two under one name, so what is shown
 * here is about those who come when the connection of the first is gone, and he is not yet.
 */
#include "coordinator/gate.h"
#include "coordinator/keys.h"
#include "coordinator/role.h"
#include "tests/support/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/muster-test-XXXXXX";
static struct wire_context *context;
static struct gate *gate;

/* Somebody whose key is allowed. */
static struct curve_key allow(const char *name)
{
    struct allowed_key allowed = {.roles = ROLE_SUBMIT};
    char key[CURVE_TEXT_BYTES], line[sizeof key + 100];
    struct muster_error error;
    struct curve_key secret;

    CHECK(curve_make(&secret, &error) == 0 && curve_public(&secret, &allowed.key, &error) == 0);
    snprintf(allowed.name, sizeof allowed.name, "%s", name);
    curve_write(&allowed.key, key);
    snprintf(line, sizeof line, "%s submit %s", key, name);
    CHECK_SAYING(keys_allow(&allowed, line, &error) == 0, error.text);
    return allowed.key;
}

/* Who says HELLO under the name, with this key or, NULL, without any. */
static struct wire_frame hello_of(const char *name, const struct curve_key *key)
{
    struct wire_frame frame = {
        .message = {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT}},
        .keyed = key != NULL,
    };

    snprintf(frame.peer, sizeof frame.peer, "%s", name);
    if (key)
        frame.key = *key;
    return frame;
}

static void check_refused(struct wire_frame frame, const char *words)
{
    const char *why = gate_check(gate, &frame, false);

    CHECK_SAYING(why && strstr(why, words), why ? why : "it is taken");
}

static void name_belongs_to_the_key_that_came_with_it_first_until_it_leaves(void)
{
    struct curve_key alice = allow("alice"), bob = allow("bob");
    struct wire_frame first = hello_of("a-1", &alice), next = hello_of("a-1", &bob);
    bool confined;

    gate_refresh(gate);
    CHECK(!gate_check(gate, &first, false) && gate_enter(gate, &first, &confined) == 0 && confined);
    check_refused(next, "belongs to another key");
    check_refused(hello_of("a-1", NULL), "belongs to somebody with a key");
    CHECK(!gate_check(gate, &first, false));
    gate_leave(gate, "a-1");
    CHECK(!gate_check(gate, &next, false));
}

int main(void)
{
    static const struct check checks[] = {
        {"name_belongs_to_the_key_that_came_with_it_first_until_it_leaves",
         name_belongs_to_the_key_that_came_with_it_first_until_it_leaves},
    };
    static const char *const files[] = {"muster/allowed", "muster/key", "muster", ""};
    char path[sizeof folder + 16];
    struct muster_error error;
    struct curve_key secret;
    int result;

    CHECK(mkdtemp(folder) && setenv("XDG_CONFIG_HOME", folder, 1) == 0);
    CHECK_SAYING(keys_create(&secret, &error) == 0, error.text);
    allow("keeper");
    CHECK_SAYING(wire_context_create(&context, &error) == 0, error.text);
    CHECK_SAYING(gate_open(context, &gate, &error) == 0, error.text);
    result = check_all(checks, sizeof checks / sizeof *checks);
    gate_close(gate);
    wire_context_destroy(context);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        CHECK(remove(path) == 0);
    }
    return result;
}
