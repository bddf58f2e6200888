/* SPDX-License-Identifier: MIT
 *
 * What the tests that are plain executables have in common: an assertion, which stays on in every
 * build, and a list of tests that says which one runs.
 */
#ifndef MUSTER_TESTS_CHECK_H
#define MUSTER_TESTS_CHECK_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

/* The same, with a text that says why: of an error. */
#define CHECK_SAYING(condition, text)                                                                \
    do {                                                                                             \
        if (!(condition)) {                                                                          \
            fprintf(stderr, "%s:%d: %s: %s (%s)\n", __FILE__, __LINE__, __func__, #condition, text); \
            exit(1);                                                                                 \
        }                                                                                            \
    } while (0)

struct check {
    const char *name;
    void (*run)(void);
};

/* Runs the tests in turn, each under its name. Returns 0: the first that fails exits. */
static inline int check_all(const struct check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        puts(checks[i].name);
        fflush(stdout);
        checks[i].run();
    }
    return 0;
}

#endif
