/* SPDX-License-Identifier: MIT
 *
 * Jobs that go back to the coordinator because it asks for them: those of the end of a chunk that
 * have not begun, also while another one of it runs. See assignment_begin. On the link's thread.
 */
#include "worker/link_internal.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Cuts the jobs from `place` to `end` off an assignment that an executor has, less those that it has
 * begun. Returns the first that was cut off; `end`: none was.
 *
 * Behind the barrier either the executor has seen the cut, or it is seen here what it began without
 * seeing it. In the second case it is cut behind that, for which two more attempts are enough: what
 * begins after the first barrier has seen the first cut. An executor that ran into a cut that was too
 * early ends its chunk there, and its final report returns what lies between. */
static uint32_t cut(struct assignment *assignment, uint32_t place, uint32_t end)
{
    uint32_t count = assignment->chunk->count, begun;

    while (place < end) {
        atomic_store(&assignment->returned, count - place);
        if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
            break;
        begun = atomic_load(&assignment->begun);
        if (begun <= place)
            return place;
        place = begun;
    }
    atomic_store(&assignment->returned, count - end);
    return end;
}

/* LOCKING: mutex is held. Gives back what it can, and says so. */
static int give_back(struct link *link, struct assignment *assignment, const struct proto_cancel *cancel,
                     bool *ret_cut)
{
    const struct proto_chunk *chunk = assignment->chunk;
    uint32_t end = chunk->count - atomic_load(&assignment->returned), place = 0;
    int result;

    if (cancel->first >= chunk->first + end || cancel->first + cancel->count < chunk->first + end)
        return 0; /* only an end can be cut off */
    if (cancel->first > chunk->first)
        place = (uint32_t)(cancel->first - chunk->first);
    if (assignment->taken)
        place = cut(assignment, place, end);
    else
        atomic_store(&assignment->returned, chunk->count - place);
    if (place == end)
        return 0;
    *ret_cut = true;
    result = wire_send(link->wire, NULL,
                       &(struct proto_message){.type = PROTO_RETURNED,
                                               .returned = {.batch = chunk->batch,
                                                            .chunk = chunk->chunk,
                                                            .first = chunk->first + place,
                                                            .count = end - place}});
    link->sent += result == 0;
    return result;
}

void recall_jobs(struct link *link, const struct proto_cancel *cancel)
{
    uint64_t end = cancel->first + cancel->count;
    struct assignment *assignment;
    bool cut_off = false;
    int result = 0;
    size_t place;

    pthread_mutex_lock(&link->mutex);
    place = holdings_find(&link->holdings, cancel->id, cancel->first);
    while (result == 0 &&
           (assignment = holdings_next(&link->holdings, cancel->id, cancel->first, end, &place)) != NULL) {
        result = give_back(link, assignment, cancel, &cut_off);
        if (assignment->taken || atomic_load(&assignment->returned) < assignment->chunk->count)
            continue;
        inbox_drop(link, assignment); /* nothing is left of it */
        place = holdings_find(&link->holdings, cancel->id, cancel->first);
    }
    pthread_mutex_unlock(&link->mutex);
    if (result != 0)
        link_stop_taking(link);
    if (cut_off && link->concurrency > 1)
        watch_tell_cancelled(link); /* a chunk of which nothing runs may be over */
}
