/* SPDX-License-Identifier: MIT
 *
 * Seeded random numbers, the same on every machine: xoshiro256** 1.0 (Blackman and Vigna,
 * "Scrambled Linear Pseudorandom Number Generators", ACM TOMS 47, 2021), its state filled by
 * splitmix64 as its authors recommend, so that seeds 0, 1, 2... give unrelated streams.
 */
#ifndef MUSTER_JOBS_RANDOM_H
#define MUSTER_JOBS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
    uint64_t state[4];
};

static inline void random_seed(struct random *random, uint64_t seed)
{
    size_t i;

    for (i = 0; i < 4; i++) {
        uint64_t mixed = seed += UINT64_C(0x9e3779b97f4a7c15);

        mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
        random->state[i] = mixed ^ (mixed >> 31);
    }
}

static inline uint64_t random_rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

/* Any 64-bit number, each as likely. */
static inline uint64_t random_next(struct random *random)
{
    uint64_t *state = random->state, next = random_rotate(state[1] * 5, 7) * 9, carried = state[1] << 17;

    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= carried;
    state[3] = random_rotate(state[3], 45);
    return next;
}

#endif
