/* SPDX-License-Identifier: MIT
 *
 * JSON that is read as memory runs out.
 */
#include "cli/json_read.h"
#include "tests/support/check.h"
#include "tests/support/scarce.h"

#include <string.h>

enum { STRING_BYTES = 1000 };

/* It was a string, quotes and all, or one that had lost a character. */
static void text_is_never_read_as_another_for_want_of_memory(void)
{
    char text[STRING_BYTES + 3];
    unsigned refused = 0;
    bool failed = true;

    snprintf(text, sizeof text, "\"%0*d\"", STRING_BYTES, 0);
    for (long call = 1; failed; call++) {
        msgpack_object value;
        msgpack_zone zone;
        int code;

        CHECK(msgpack_zone_init(&zone, 64));
        scarce_begin(call);
        code = json_read(text, sizeof text - 1, &zone, &value, NULL);
        failed = scarce_end();
        CHECK(code == (failed ? MUSTER_ENOMEM : 0));
        CHECK(failed || (value.type == MSGPACK_OBJECT_STR && value.via.str.size == STRING_BYTES &&
                         memcmp(value.via.str.ptr, text + 1, STRING_BYTES) == 0));
        msgpack_zone_destroy(&zone);
        refused += failed;
    }
    CHECK(refused > 5);
}

int main(void)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(text_is_never_read_as_another_for_want_of_memory),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
