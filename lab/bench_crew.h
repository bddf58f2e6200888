/* SPDX-License-Identifier: MIT
 *
 * The crew: worker processes that are copies of the caller, with functions of the lab's own, among
 * them the other end of what muster is held against (lab/bare.h). Since they are forked, the crew
 * is made before the caller has any thread.
 */
#ifndef MUSTER_LAB_BENCH_CREW_H
#define MUSTER_LAB_BENCH_CREW_H

#include "client/muster.h"

/* At least `workers` of them. muster_close ends them. MUSTER_ESTATE once the process has threads;
 * other errors of muster_open. */
int bench_crew_open(unsigned workers, muster **ret_crew, struct muster_error *ret_error);

/* One call of a crew's function, whose result is of no interest, under way. It has to be waited for
 * whatever this returns, if *ret_call, NULL before, is not NULL. */
int bench_crew_call(muster *crew, const char *function, const msgpack_object *argument,
                    muster_future **ret_call, struct muster_error *ret_error);

/* Waits until such calls have ended and drops them; if one of them failed, says so. Takes NULLs. */
int bench_crew_wait(muster_future **calls, size_t count, struct muster_error *ret_error);

/* Memory that the crew shares with the caller. */
enum { BENCH_CREW_PAGE_BYTES = 4096 };
void *bench_crew_page(void);

#endif
