/* SPDX-License-Identifier: MIT
 *
 * nbody: the Jovian planets, as the Computer Language Benchmarks Game has them: masses,
 * starting places and the symplectic step of 0.01 days are its own, and its published
 * energies are the test. Compiled without fused multiply-add, so that every machine rounds
 * alike.
 */
#include "jobs/argument.h"
#include "jobs/builtin.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

#define STEPS_MAX     INT64_C(10000000000)
#define PI            3.141592653589793
#define SOLAR_MASS    (4 * PI * PI)
#define DAYS_PER_YEAR 365.24
#define STEP_DAYS     0.01

enum { BODIES = 5, STRETCH = 1 << 14 }; /* steps between two questions for cancellation, about 2 ms */

struct body {
    double place[3], speed[3], mass; /* astronomical units, per year, solar masses * 4 pi^2 */
};

static const struct body start[BODIES] = {
    {{0, 0, 0}, {0, 0, 0}, SOLAR_MASS},                                             /* the Sun */
    {{4.84143144246472090e+00, -1.16032004402742839e+00, -1.03622044471123109e-01}, /* Jupiter */
     {1.66007664274403694e-03 * DAYS_PER_YEAR, 7.69901118419740425e-03 * DAYS_PER_YEAR,
      -6.90460016972063023e-05 * DAYS_PER_YEAR},
     9.54791938424326609e-04 * SOLAR_MASS},
    {{8.34336671824457987e+00, 4.12479856412430479e+00, -4.03523417114321381e-01}, /* Saturn */
     {-2.76742510726411021e-03 * DAYS_PER_YEAR, 4.99852801234917238e-03 * DAYS_PER_YEAR,
      2.30417297573763929e-05 * DAYS_PER_YEAR},
     2.85885980666130812e-04 * SOLAR_MASS},
    {{1.28943695621391310e+01, -1.51111514016986312e+01, -2.23307578892655734e-01}, /* Uranus */
     {2.96460137564761618e-03 * DAYS_PER_YEAR, 2.37847173959480950e-03 * DAYS_PER_YEAR,
      -2.96589568540237556e-05 * DAYS_PER_YEAR},
     4.36624404335156298e-05 * SOLAR_MASS},
    {{1.53796971148509165e+01, -2.59193146099879641e+01, 1.79258772950371181e-01}, /* Neptune */
     {2.68067772490389322e-03 * DAYS_PER_YEAR, 1.62824170038242295e-03 * DAYS_PER_YEAR,
      -9.51592254519715870e-05 * DAYS_PER_YEAR},
     5.15138902046611451e-05 * SOLAR_MASS},
};

/* Gives the Sun the speed that leaves the whole at rest. */
static void offset_momentum(struct body bodies[BODIES])
{
    size_t i, axis;

    for (axis = 0; axis < 3; axis++) {
        double momentum = 0;

        for (i = 0; i < BODIES; i++)
            momentum += bodies[i].speed[axis] * bodies[i].mass;
        bodies[0].speed[axis] = -momentum / SOLAR_MASS;
    }
}

static double square(const double vector[3])
{
    return vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
}

static void subtract(const struct body *a, const struct body *b, double ret_distance[3])
{
    size_t axis;

    for (axis = 0; axis < 3; axis++)
        ret_distance[axis] = a->place[axis] - b->place[axis];
}

static void step(struct body bodies[BODIES])
{
    double distance[3], squared, magnitude;
    size_t i, j, axis;

    for (i = 0; i < BODIES; i++)
        for (j = i + 1; j < BODIES; j++) {
            subtract(&bodies[i], &bodies[j], distance);
            squared = square(distance);
            magnitude = STEP_DAYS / (squared * sqrt(squared));
            for (axis = 0; axis < 3; axis++) {
                bodies[i].speed[axis] -= distance[axis] * bodies[j].mass * magnitude;
                bodies[j].speed[axis] += distance[axis] * bodies[i].mass * magnitude;
            }
        }
    for (i = 0; i < BODIES; i++)
        for (axis = 0; axis < 3; axis++)
            bodies[i].place[axis] += STEP_DAYS * bodies[i].speed[axis];
}

static double energy(const struct body bodies[BODIES])
{
    double total = 0, distance[3];
    size_t i, j;

    for (i = 0; i < BODIES; i++) {
        total += 0.5 * bodies[i].mass * square(bodies[i].speed);
        for (j = i + 1; j < BODIES; j++) {
            subtract(&bodies[i], &bodies[j], distance);
            total -= bodies[i].mass * bodies[j].mass / sqrt(square(distance));
        }
    }
    return total;
}

static int nbody(muster_call *call, const msgpack_object *argument, msgpack_object *ret_result)
{
    struct body bodies[BODIES];
    int64_t steps, done;

    if (!argument_integer(argument, 0, STEPS_MAX, &steps))
        return argument_refuse(call, &function_nbody, argument);
    memcpy(bodies, start, sizeof bodies);
    offset_momentum(bodies);
    for (done = 0; done < steps; done++) {
        if (done % STRETCH == 0) {
            if (muster_call_cancelled(call))
                return MUSTER_ECANCELLED;
            muster_call_progress(call, (double)done / (double)steps);
        }
        step(bodies);
    }
    ret_result->type = MSGPACK_OBJECT_FLOAT64;
    ret_result->via.f64 = energy(bodies);
    return 0;
}

const muster_function function_nbody = {
    .name = "nbody",
    .summary = "the energy of the Jovian planets after some steps of 0.01 days",
    .argument = "an integer from 0 to 10000000000, the steps",
    .result = "a number",
    .example = "100000",
    .run = nbody,
};
