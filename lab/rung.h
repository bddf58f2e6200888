/* SPDX-License-Identifier: MIT
 *
 * What the rungs of the ladder (lab/ladder.h) have in common: each is a function that sets
 * something up, has it repeated by rung_measure, and takes it down again. Inside lab/ only.
 */
#ifndef MUSTER_LAB_RUNG_H
#define MUSTER_LAB_RUNG_H

#include "lab/ladder.h"
#include "lab/sample.h"

#include <stdint.h>

/* Does it `times` times and says how long that took. 0, or an error that ends the rung. */
typedef int rung_block(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error);

/* How often a block is repeated in a round. */
enum { RUNG_BY_TIME = 0 }; /* as often as fills a round */

/* Rounds of the block, each of `times` or RUNG_BY_TIME; adds nanoseconds a time to the sample.
 * 0; MUSTER_ECANCELLED; the block's error. */
int rung_measure(const struct ladder_spec *spec, rung_block *block, void *context, uint64_t times,
                 struct sample *sample, struct muster_error *ret_error);

/* One rung: fills the sample with nanoseconds and figure->note with what they are of. 0;
 * MUSTER_ECANCELLED; another error, whose text says why there is no figure. */
typedef int rung_run(const struct ladder_spec *spec, struct ladder_figure *figure, struct sample *sample,
                     struct muster_error *ret_error);

rung_run rung_register, rung_l1, rung_l2, rung_l3, rung_ram, rung_ram_pages; /* rung_loads.c */
rung_run rung_switch, rung_mutex;                                            /* rung_threads.c */
rung_run rung_hop_inproc, rung_hop_ipc;                                      /* rung_wire.c */
rung_run rung_disk_read, rung_fsync;                                         /* rung_disk.c */
rung_run rung_pipe, rung_spawn;                                              /* rung_processes.c */

#endif
