/* SPDX-License-Identifier: MIT
 *
 * pi: Monte Carlo. Points are drawn in a square; four times the share of them inside the
 * quarter circle estimates pi. Coordinates are 32-bit integers and the circle's radius is
 * 2^32, so a point is inside exactly when the sum of its squares fits 64 bits: no rounding,
 * the same estimate on every machine.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"
#include "jobs/random.h"

#include "base/error.h"

#define SAMPLES_MAX INT64_C(1000000000000)

enum { STRETCH = 1 << 20 }; /* samples between two questions for cancellation, about 2 ms */

static int64_t count_inside(struct random *random, int64_t samples)
{
    uint64_t draw, x, y, sum;
    int64_t inside = 0;

    while (samples-- > 0) {
        draw = random_next(random);
        x = draw >> 32;
        y = draw & UINT32_MAX;
        inside += !__builtin_add_overflow(x * x, y * y, &sum);
    }
    return inside;
}

static int pi(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    int64_t samples, seed, inside = 0, done = 0, stretch;
    struct random random;

    if (!argument_seeded(argument, "samples", 1, SAMPLES_MAX, &samples, &seed))
        return argument_refuse(call, &function_pi, argument);
    random_seed(&random, (uint64_t)seed);
    for (; done < samples; done += stretch) {
        if (muster_call_cancelled(call))
            return MUSTER_ECANCELLED;
        muster_call_progress(call, (double)done / (double)samples);
        stretch = samples - done < STRETCH ? samples - done : STRETCH;
        inside += count_inside(&random, stretch);
    }
    ret_result->type = MSGPACK_OBJECT_FLOAT64;
    ret_result->via.f64 = 4.0 * (double)inside / (double)samples;
    return 0;
}

const muster_function function_pi = {
    .name = "pi",
    .summary = "an estimate of pi by Monte Carlo",
    .argument =
        "samples from 1 to 1000000000000, or {\"samples\":N,\"seed\":S} with a seed from 0 on (default 0)",
    .result = "a number",
    .example = "{\"samples\":1000000,\"seed\":1}",
    .run = pi,
};
