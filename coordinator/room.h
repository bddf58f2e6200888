/* SPDX-License-Identifier: MIT
 *
 * How many jobs of a batch a worker may be given: what it should have to be busy, as many of the
 * batch as may run at once, and no more than the host has CPUs and memory for. Part of the core:
 * pure.
 */
#ifndef MUSTER_COORDINATOR_ROOM_H
#define MUSTER_COORDINATOR_ROOM_H

#include "coordinator/state.h"

/* Jobs that the worker may be given in one chunk; 0: it has enough, or may have no more. */
uint32_t room_at(const struct core *core, const struct batch *batch, const struct worker *worker);

/* Whether no worker has room for jobs of the batch where `least`, of those with credit the one with the
 * least to do, has none; NULL: none has credit. */
bool room_is_by_load(const struct core *core, const struct batch *batch, const struct worker *least);

/* Whether so many jobs of the batch have begun, or may, that no other may. */
bool room_is_used_up(const struct batch *batch);

/* Whether a job of the batch could run at a worker that has nothing, if there was one. */
bool room_elsewhere(const struct core *core, const struct batch *batch);

/* How many of so many workers that have nothing the host has CPUs for. */
unsigned room_for_idle(const struct core *core, unsigned idle);

/* The batch, which is first in order and got nothing: if it waits for what the host has, those behind
 * it leave it as much. */
void room_keep(struct core *core, const struct batch *batch);

/* Workers that the batch has any use for. */
uint64_t room_wanted(const struct core *core, const struct batch *batch);

#endif
