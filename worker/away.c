/* SPDX-License-Identifier: MIT
 *
 * A worker that outlives its coordinator: it goes on with what it holds, tries to connect again, and if
 * somebody listens at the old endpoint within its grace, says what it holds and what was not
 * KEPT. Whether there is a coordinator is known by the connection alone. On the link's thread.
 */
#include "base/clock.h"
#include "base/log.h"
#include "worker/link_internal.h"

#include <stdlib.h>
#include <utlist.h>

/* What is said to a coordinator that has come back. */
struct greeting {
    struct proto_standing *chunks; /* owned */
    size_t count, capacity;
    struct outgoing *results; /* owned */
};

static void end_greeting(struct greeting *greeting)
{
    outgoing_drop(&greeting->results);
    free(greeting->chunks);
}

static int add_chunk(struct greeting *greeting, const struct proto_standing *jobs)
{
    if (greeting->count == greeting->capacity) {
        size_t capacity = greeting->capacity ? 2 * greeting->capacity : 64;
        struct proto_standing *chunks = reallocarray(greeting->chunks, capacity, sizeof *chunks);

        if (!chunks)
            return MUSTER_ENOMEM;
        greeting->chunks = chunks;
        greeting->capacity = capacity;
    }
    greeting->chunks[greeting->count++] = *jobs;
    return 0;
}

/* All of a chunk but what was given back. Of jobs that are on disk the coordinator knows. */
static int add_assignments(struct greeting *greeting, const struct assignment *list)
{
    const struct assignment *assignment;
    int result = 0;

    DL_FOREACH(list, assignment) {
        const struct proto_chunk *chunk = assignment->chunk;
        struct proto_standing jobs = {.batch = chunk->batch,
                                      .chunk = chunk->chunk,
                                      .first = chunk->first,
                                      .count = chunk->count - atomic_load(&assignment->returned),
                                      .attempt = chunk->attempt};

        if (result == 0 && jobs.count > 0)
            result = add_chunk(greeting, &jobs);
    }
    return result;
}

/* Results that are sent again, and their jobs. */
static int add_results(struct greeting *greeting, const struct kept *kept)
{
    const struct kept_result *node;
    int result = 0;

    DL_FOREACH(kept->list, node) {
        struct outgoing *outgoing = result == 0 ? calloc(1, sizeof *outgoing) : NULL;

        if (!outgoing || wire_parcel_share(node->parcel, &outgoing->parcel) != 0) {
            free(outgoing);
            return MUSTER_ENOMEM;
        }
        DL_APPEND(greeting->results, outgoing);
        if (node->jobs.count > 0)
            result = add_chunk(greeting, &node->jobs);
    }
    return result;
}

static int compare(const void *left, const void *right)
{
    const struct proto_standing *a = left, *b = right;

    return (a->chunk > b->chunk) - (a->chunk < b->chunk);
}

/* One entry for each chunk, in the order in which they came, which is that of their numbers. What lies
 * between jobs that were not KEPT was, or is the chunk's anyhow. */
static void merge(struct greeting *greeting)
{
    size_t count = 0;

    if (greeting->count == 0)
        return;
    qsort(greeting->chunks, greeting->count, sizeof *greeting->chunks, compare);
    for (size_t i = 1; i < greeting->count; i++) {
        struct proto_standing *last = &greeting->chunks[count], *next = &greeting->chunks[i];
        uint64_t end = last->first + last->count;

        if (next->chunk != last->chunk) {
            greeting->chunks[++count] = *next;
            continue;
        }
        if (next->first + next->count > end)
            end = next->first + next->count;
        if (next->first < last->first)
            last->first = next->first;
        last->count = (uint32_t)(end - last->first);
    }
    greeting->count = count + 1;
}

/* LOCKING: takes the mutex. From here on, what the executor posts comes behind the greeting. */
static int prepare(struct link *link, struct greeting *greeting)
{
    int result;

    pthread_mutex_lock(&link->mutex);
    result = add_assignments(greeting, link->taken);
    if (result == 0)
        result = add_assignments(greeting, link->queue);
    if (result == 0)
        result = add_results(greeting, &link->kept);
    link->away = result != 0;
    pthread_mutex_unlock(&link->mutex);
    return result;
}

static int greet(struct link *link, struct greeting *greeting)
{
    struct outgoing *node;
    int result = link_say_hello(link, (uint32_t)greeting->count);

    for (size_t i = 0; i < greeting->count && result == 0; i++)
        result = wire_send(link->wire, NULL,
                           &(struct proto_message){.type = PROTO_STANDING, .standing = greeting->chunks[i]});
    DL_FOREACH(greeting->results, node)
        if (result == 0)
            result = wire_post(link->wire, NULL, &node->parcel);
    return result;
}

static void come_back(struct link *link)
{
    struct greeting greeting = {.count = 0};
    int result = prepare(link, &greeting);

    merge(&greeting);
    if (result == 0)
        result = greet(link, &greeting);
    end_greeting(&greeting);
    if (result != 0) {
        log_error("worker: cannot say what it holds");
        away_end_worker(link);
    }
}

int away_connect(struct link *link, struct muster_error *ret_error)
{
    int result = wire_open_dealer(link->context, link->name, &link->wire, ret_error);

    link->away_deadline_ns = clock_after(clock_now_ns(), link->grace_ns);
    if (result == 0)
        result = wire_follow(link->wire, ret_error);
    if (result == 0)
        result = wire_connect(link->wire, link->endpoint, ret_error);
    return result;
}

/* What was posted and did not leave is kept, too. A socket of its own for the next connection: nothing
 * of the old one is said there ahead of HELLO. */
void away_leave(struct link *link)
{
    struct muster_error error;

    pthread_mutex_lock(&link->mutex);
    link->away = true;
    outgoing_drop(&link->outgoing);
    link->unsent = 0;
    pthread_mutex_unlock(&link->mutex);
    wire_close(link->wire, 0);
    link->wire = NULL;
    if (away_connect(link, &error) != 0) {
        log_error("%s", error.text);
        away_end_worker(link);
    }
}

uint64_t away_look(struct link *link)
{
    if (link->grace_ns == 0 || !link->away)
        return CLOCK_NEVER;
    if (wire_is_connected(link->wire)) {
        come_back(link);
        return CLOCK_NEVER;
    }
    if (clock_now_ns() >= link->away_deadline_ns) {
        log_error("worker: no coordinator came back to %s", link->endpoint);
        away_end_worker(link);
    }
    return link->away_deadline_ns;
}

void away_drop_kept(struct link *link, uint64_t number)
{
    bool was_full, full;

    pthread_mutex_lock(&link->mutex);
    was_full = kept_is_full(&link->kept);
    kept_drop(&link->kept, number);
    full = kept_is_full(&link->kept);
    pthread_mutex_unlock(&link->mutex);
    if (!was_full || full)
        return;
    slots_ring(link->slots);
    watch_tell_arrived(link);
}

void away_end_worker(struct link *link)
{
    atomic_store(&link->flight->phase, FLIGHT_STOPPING);
    link_kill_worker();
}
