/* SPDX-License-Identifier: MIT
 *
 * The list of the functions that ship.
 */
#include "jobs/builtin.h"

const muster_function *const builtin_functions[BUILTIN_COUNT] = {
#define X(name) &function_##name,
    BUILTIN_MAP(X)
#undef X
};
