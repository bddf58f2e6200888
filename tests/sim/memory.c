/* SPDX-License-Identifier: MIT
 *
 * Memory of the coordinator: what its core, ledger, books and hosts have of the heap, as it is and not as
 * they say, beside what was accepted and is under way. The link wraps malloc and its like, so all that is
 * allocated is counted, whatever it is for; what the simulation has itself is told apart. See sim.h.
 *
 * Checked are three things. While it runs, the coordinator has no more than what everything that truth.c
 * knows of may need, each at a constant. When all has ended and everybody has left, it has what it had when
 * it started. When it is gone, nothing is left.
 */
#include "tests/sim/sim.h"

#include "coordinator/state.h"

#include <malloc.h>
#include <stdlib.h>

/* What each may need, in bytes: its structures, the first size of hash tables that are there while they are
 * not empty (some 700 bytes each), and what the allocator rounds up. */
enum {
    EACH_LIFE = 1600,    /* tables of workers and of clients, and the ledger as the core's client */
    EACH_WORKER = 2700,  /* lists of what it holds, for the next in its place, too */
    EACH_MOMENT = 4000,  /* what ended a moment ago: a client or a batch that is let go of */
    EACH_CLIENT = 4000,  /* of the core, and of the ledger */
    EACH_TICKET = 2000,  /* a reader, or a request */
    EACH_BATCH = 5000,   /* of the core, and of the ledger */
    EACH_BATCH_SLOT = 8, /* what its worker has of it */
    EACH_JOB = 300,      /* its argument, its place in the queue, its result until that is on disk */
    EACH_CHUNK = 2000,   /* which its worker has, or did */
    EACH_REQUEST = 3000, /* to the store, or its answer */
    EACH_LANE = 200,     /* of a user and a priority that have something */
    EACH_LETTER = 100,   /* a blob */
};

/* Is looked at once in so many steps: it takes as long as other invariants of a step together. */
enum { STEPS = 4 };

static struct {
    size_t live;  /* of the heap */
    size_t owned; /* of it, the simulation's */
    size_t lent;  /* at most: payloads of its letters, which others may share */
    size_t letters;
    size_t before; /* what there was when the world began, */
    size_t empty;  /* and what the coordinator took as it was made */
} memory;

/* --- the heap */

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);
char *__wrap_strdup(const char *text);
void __wrap_free(void *bytes);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
char *__real_strdup(const char *text);
void __real_free(void *bytes);

static void *count(void *bytes)
{
    memory.live += malloc_usable_size(bytes);
    return bytes;
}

/* `before`: what the old one had, if there is a new one, which takes its place. */
static void *count_again(void *bytes, size_t before)
{
    if (bytes)
        memory.live -= before;
    return count(bytes);
}

void *__wrap_malloc(size_t size)
{
    return count(__real_malloc(size));
}

void *__wrap_calloc(size_t count_, size_t size)
{
    return count(__real_calloc(count_, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    size_t before = malloc_usable_size(old);

    return count_again(__real_realloc(old, size), before);
}

void *__wrap_reallocarray(void *old, size_t count_, size_t size)
{
    size_t before = malloc_usable_size(old);

    return count_again(__real_reallocarray(old, count_, size), before);
}

char *__wrap_strdup(const char *text)
{
    return count(__real_strdup(text));
}

void __wrap_free(void *bytes)
{
    memory.live -= malloc_usable_size(bytes);
    __real_free(bytes);
}

/* --- whose it is */

void sim_memory_own(void *bytes)
{
    memory.owned += malloc_usable_size(bytes);
}

void sim_memory_free(void *bytes)
{
    memory.owned -= malloc_usable_size(bytes);
    free(bytes);
}

void sim_memory_lend(const struct slice *payload)
{
    memory.lent += payload->blob ? payload->blob->size : 0;
    memory.letters++;
}

void sim_memory_take_back(const struct slice *payload)
{
    memory.lent -= payload->blob ? payload->blob->size : 0;
    memory.letters--;
}

/* Of the coordinator, and of payloads. */
static size_t used(void)
{
    return memory.live - memory.owned - memory.before;
}

/* --- what it may have */

static size_t of_clients(void)
{
    size_t sum = 0;

    for (unsigned i = 0; i < world.client_count; i++) {
        const struct sim_client *client = &world.clients[i];

        sum += client->connected * (EACH_CLIENT + client->tickets * EACH_TICKET);
        sum += client->gone[0] && client->gone_ns != CLOCK_NEVER ? EACH_CLIENT + SIM_TICKETS_MAX * EACH_TICKET
                                                                 : 0;
    }
    return sum;
}

static size_t of_batches(void)
{
    size_t sum = 0;

    for (unsigned i = 1; i <= world.submission_count; i++)
        if (!world.submissions[i].over && !world.submissions[i].void_)
            sum +=
                EACH_BATCH + EACH_LANE + EACH_BATCH_SLOT * world.slots + EACH_JOB * world.submissions[i].jobs;
    return sum;
}

static size_t of_chunks(void)
{
    const struct sim_worker *worker;
    const struct sim_task *task;
    size_t sum = 0;

    DL_FOREACH(world.worker_list, worker)
        DL_FOREACH(worker->tasks, task)
            sum += EACH_CHUNK;
    return sum;
}

static size_t of_queue(const struct store_queue *queue)
{
    size_t sum = 0;

    for (const struct store_entry *entry = queue->first; entry; entry = entry->next)
        sum +=
            EACH_REQUEST + (store_entry_trouble(entry) == STORE_TROUBLE_READS ? EACH_JOB * SIM_JOBS_MAX : 0);
    return sum;
}

static size_t of_requests(void)
{
    const struct sim_disk *disk = &world.disk;

    return of_queue(&disk->submitted) + of_queue(&disk->completed) + of_queue(&disk->group.kept);
}

/* Lists that stay as long as they had to be once, of what workers hold and of times. */
static size_t of_lists(void)
{
    const struct core *core = world.host.core;
    size_t sum = malloc_usable_size(core->timers.heap) + malloc_usable_size(core->roster.due.nodes) +
                 malloc_usable_size(core->roster.loads.nodes);

    for (unsigned i = 0; i < world.slots; i++) {
        const struct worker *worker = &core->workers[i];
        size_t lists = malloc_usable_size(worker->holdings.list) + malloc_usable_size(worker->unwanted.list) +
                       malloc_usable_size(worker->disowned.list);

        SIM_CHECK(lists <= EACH_WORKER, "worker %u has lists of %zu bytes", i + 1, lists);
        sum += lists;
    }
    return sum;
}

/* What there is at any time. The outboxes are the simulation's. */
static size_t of_rest(void)
{
    const struct sim_host *host = &world.host;

    return memory.empty + EACH_LIFE + of_lists() + memory.lent + EACH_LETTER * memory.letters +
           malloc_usable_size(host->outbox.items) + malloc_usable_size(host->spare.items);
}

static void check(size_t may_use, const char *when)
{
    SIM_CHECK(used() <= may_use,
              "%s, the coordinator has %zu bytes, %zu of them since it started, and may have %zu", when,
              used(), used() - memory.empty, may_use);
}

/* --- when */

void sim_memory_begin(void)
{
    memory.before = memory.live - memory.owned;
}

void sim_memory_start(void)
{
    memory.empty = used() - of_lists();
}

void sim_memory_check(void)
{
    if (world.sum.steps % STEPS == 0)
        check(of_rest() + EACH_MOMENT + of_clients() + of_batches() + of_chunks() + of_requests(),
              "with all that is under way");
}

void sim_memory_check_rest(void)
{
    check(of_rest(), "when nothing is under way any more");
}

void sim_memory_check_end(void)
{
    check(0, "when it is gone, and its world");
}
