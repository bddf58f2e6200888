/* SPDX-License-Identifier: MIT
 *
 * Keys and lists of those that are let in: every line is passed over, refused with a reason, or let in whole;
 * a key is read as it is written.
 */
#include "coordinator/allowed.h"
#include "coordinator/role.h"
#include "fuzz.h"
#include "input.h"

static unsigned refused;

static void note(void *context, unsigned line, const char *why)
{
    (void)context;
    FUZZ_CHECK(line > 0 && why[0]);
    refused++;
}

static void check_key(const struct allowed_key *key)
{
    char text[CURVE_TEXT_BYTES];
    struct curve_key back;

    curve_write(&key->key, text);
    FUZZ_CHECK(curve_read(text, strlen(text), &back) && curve_equal(&back, &key->key));
    FUZZ_CHECK(key->roles != 0 && key->roles <= (ROLE_SUBMIT | ROLE_WORK | ROLE_ADMIN));
    FUZZ_CHECK(strnlen(key->name, sizeof key->name) <= PROTO_USER_MAX && key->name[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct input input = {bytes, size};
    const struct allowed_key *found;
    struct allowed_key key;
    struct allowed *allowed;
    unsigned lines = 0;

    refused = 0;
    FUZZ_CHECK(allowed_parse((const char *)bytes, size, note, NULL, &allowed) == 0);
    while (input.size > 0) {
        size_t length;
        char *line = input_text(&input, '\n', &length);

        lines++;
        if (!allowed_read_line(line, length, &key)) {
            check_key(&key);
            found = allowed_find(allowed, &key.key); /* the first line of a key counts */
            FUZZ_CHECK(found && curve_equal(&found->key, &key.key));
        }
        free(line);
    }
    FUZZ_CHECK(allowed_count(allowed) + refused <= lines);
    allowed_destroy(allowed);
    return 0;
}
