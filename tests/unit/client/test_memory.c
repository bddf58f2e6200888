/* SPDX-License-Identifier: MIT
 *
 * A program whose memory runs out for a moment, at any allocation of libmuster: each call says so, or
 * works, and nothing exits, hangs or is lost.
 */
#include "client/muster.h"
#include "tests/support/check.h"
#include "tests/support/scarce.h"

/* The coordinator's thread is out of memory, too: at the HELLO, between messages, as it starts a worker. */
static void handle_that_cannot_be_opened_for_want_of_memory_says_so(void)
{
    const struct muster_options options = {
        .model = MUSTER_PROCESSES, .workers = 1, .worker_program = getenv("MUSTER"), .warm = true};
    unsigned refused = 0;
    bool failed = true;
    muster *m;

    CHECK(muster_open(&options, &m, NULL) == 0); /* glibc reads a file of its own then, and asserts memory */
    muster_close(m);
    for (long call = 1; failed; call++) {
        struct muster_error error = {0};
        int code;

        scarce_begin(call);
        code = muster_open(&options, &m, &error);
        if (code == 0)
            muster_close(m);
        failed = scarce_end();
        CHECK_SAYING(code == 0 || error.text[0], muster_error_name(code));
        refused += code != 0;
    }
    CHECK(refused > 20);
}

static void on_call(void *context)
{
    ++*(unsigned *)context;
}

static void timer_that_cannot_be_kept_is_refused_and_leaves_nothing(void)
{
    const struct muster_options options = {.model = MUSTER_INLINE};
    unsigned rung = 0, refused = 0;
    muster *m;

    CHECK(muster_open(&options, &m, NULL) == 0);
    for (long call = 1; call <= 4; call++) {
        scarce_begin(call);
        refused += muster_call_after(m, 0, on_call, &rung, NULL, NULL) == MUSTER_ENOMEM;
        scarce_end();
    }
    while (rung + refused < 4)
        CHECK(muster_dispatch(m, NULL) >= 0);
    CHECK(refused > 1 && rung > 0);
    muster_close(m);
}

int main(void)
{
    static const struct check checks[] = {
#define TEST(name) {#name, name}
        TEST(timer_that_cannot_be_kept_is_refused_and_leaves_nothing),
        TEST(handle_that_cannot_be_opened_for_want_of_memory_says_so),
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
