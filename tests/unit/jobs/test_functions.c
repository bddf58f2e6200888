/* SPDX-License-Identifier: MIT
 *
 * What all functions that ship have in common: they return values, refuse what they do not
 * take, end early when cancelled and say how far they are.
 */
#include "rig.h"

#include "jobs/builtin.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(functions, .init = rig_init, .fini = rig_fini);

Test(functions, noop_returns_something)
{
    cr_assert_eq(run("noop", integer(3)), 0);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_NIL);
}

Test(functions, echo_returns_something_else)
{
    msgpack_object value =
        ARRAY(integer(1), text("two"), MAP(MEMBER("three", number(3.5))), bytes("\0four", 5));

    cr_assert_eq(run("echo", value), 0);
    cr_assert(msgpack_object_equal(rig.result, value));
    cr_assert_eq(run("echo", NIL), 0);
    cr_assert_eq((int)rig.result.type, (int)MSGPACK_OBJECT_NIL);
}

Test(functions, value_of_the_wrong_type_is_not_refused_by_name)
{
    const msgpack_object wrong[] = {
        NIL,
        boolean(true),
        number(NAN),
        array(0, NULL),
        ARRAY(text("a"), text("b")),
        MAP(MEMBER("?", NIL)),
        map(0, NULL),
    };
    const muster_function *function;
    char expected[128];
    size_t i, k;

    for (i = 0; i < BUILTIN_COUNT; i++) {
        function = builtin_functions[i];
        if (function == &function_noop || function == &function_echo)
            continue;
        snprintf(expected, sizeof expected, "%s takes ", function->name);
        for (k = 0; k < sizeof wrong / sizeof *wrong; k++)
            refuse(function->name, wrong[k], expected);
    }
}

Test(functions, cancelled_call_runs_to_its_end)
{
    msgpack_object tile =
        MAP(MEMBER("x", integer(0)), MEMBER("y", integer(0)), MEMBER("width", integer(4096)),
            MEMBER("height", integer(4096)), MEMBER("size", integer(4096)));
    const struct {
        const char *function;
        msgpack_object argument;
    } endless[] = {
        {"fib", integer(50)},
        {"nqueens", integer(18)},
        {"kernel", integer(INT64_MAX)},
        {"pi", integer(1000000000000)},
        {"nbody", integer(10000000000)},
        {"spin", integer(86400)},
        {"request", integer(1)},
        {"work", MAP(MEMBER("compute", integer(1)))},
        {"matmul", integer(512)},
        {"primes", integer(100000000000000)},
        {"sort", integer(1000000)},
        {"mandelbrot", tile},
        {"sha256", text("/proc/self/exe")},
        {"read", text("/proc/self/exe")},
        {"fetch", text("http://127.0.0.1:1/")},
    };
    size_t i;

    call_cancel_raise(&rig.cancel);
    for (i = 0; i < sizeof endless / sizeof *endless; i++) {
        cr_assert_eq(run(endless[i].function, endless[i].argument), MUSTER_ECANCELLED, "%s",
                     endless[i].function);
        msgpack_zone_clear(&rig.zone);
    }
}

Test(functions, long_call_does_not_say_how_far_it_is)
{
    run_number("pi", integer(3 << 20));
    cr_assert_eq(rig.progress, 666); /* two of three stretches were done when it last said so */
    run_number("nbody", integer(4 << 14));
    cr_assert_eq(rig.progress, 750);
    run_integer("matmul", integer(128));
    cr_assert_eq(rig.progress, 500);
    run_integer("primes", integer(4 << 16));
    cr_assert_eq(rig.progress, 750);
}
