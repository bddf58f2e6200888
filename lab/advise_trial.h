/* SPDX-License-Identifier: MIT
 *
 * What a member of the crew does: opens a model when it is told to, runs jobs under it, and says
 * what came of it. See advise_crew.h.
 */
#ifndef MUSTER_LAB_ADVISE_TRIAL_H
#define MUSTER_LAB_ADVISE_TRIAL_H

#include "lab/advise_crew.h"

/* Obeys the orders that come through `fd` until it is closed, or `parent` is no longer the parent. */
void trial_serve(const struct crew_spec *spec, int fd, pid_t parent);

#endif
