/* SPDX-License-Identifier: MIT
 *
 * A disk that is slow, fails, and keeps what was committed when its coordinator dies: the store's own
 * transactions (coordinator/store_group.h) on a database in memory, without the store's thread. What waits
 * while a transaction is under way is in the next one. See sim.h.
 */
#include "tests/sim/sim.h"

#include "coordinator/store_schema.h"

#include <string.h>

/* A transaction fails at its end. */
static int commit_hook(void *context)
{
    const struct sim_disk *disk = context;

    return disk->fails_until_ns > world.now_ns;
}

void sim_disk_begin(void)
{
    struct sim_disk *disk = &world.disk;
    struct store_database database;
    struct muster_error error;

    SIM_CHECK(store_database_open(NULL, &database, &error) == 0, "%s", error.text);
    *disk = (struct sim_disk){.commit_ns = CLOCK_NEVER, .deliver_ns = CLOCK_NEVER};
    store_group_init(&disk->group, &database);
    store_queue_init(&disk->submitted);
    store_queue_init(&disk->completed);
    sqlite3_commit_hook(disk->group.database.handle, commit_hook, disk);
}

void sim_disk_end(void)
{
    store_queue_destroy(&world.disk.submitted);
    store_queue_destroy(&world.disk.completed);
    store_group_fini(&world.disk.group);
}

/* --- what the books call */

static uint64_t choose_duration(void)
{
    return sim_fault(world.faults.disk_is_slow) ? sim_below(3 * CLOCK_NS_PER_S) : sim_soon(CLOCK_NS_PER_MS);
}

static int submit(struct store *store, const struct store_request *request)
{
    struct sim_disk *disk = &world.disk;
    struct store_entry *entry;

    (void)store;
    SIM_CHECK(store_entry_create(request, &entry) == 0, "out of memory");
    store_queue_append(&disk->submitted, entry);
    if (disk->commit_ns == CLOCK_NEVER)
        disk->commit_ns = world.now_ns + choose_duration();
    return 0;
}

static int no_fd(const struct store *store)
{
    (void)store;
    return -1;
}

static struct store_done *take(struct store *store)
{
    struct store_entry *entry = store_queue_take(&world.disk.completed);

    (void)store;
    return entry ? &entry->done : NULL;
}

const struct books_store sim_disk_face = {
    .submit = submit, .fd = no_fd, .take = take, .done_free = store_done_free};

/* --- what happens */

/* Batches that wait are not in memory: they are not known while they cannot be read. */
static void lose(struct store_entry *entry)
{
    if (entry->done.operation != STORE_NEXT || !sim_fault(world.faults.reads_fail))
        return;
    store_entry_clear(entry);
    entry->done.code = MUSTER_ESYSTEM;
    entry->done.text = "the simulated disk cannot be read";
    sim_trace("the batches that are next cannot be read");
}

/* What is committed is recorded, whoever comes to know of it. */
static void complete(struct store_queue *done)
{
    for (struct store_entry *entry = done->first; entry; entry = entry->next) {
        lose(entry);
        sim_recorded(entry);
    }
    if (done->first && world.disk.deliver_ns == CLOCK_NEVER)
        world.disk.deliver_ns = world.now_ns + sim_soon(CLOCK_NS_PER_MS);
    store_queue_join(&world.disk.completed, done);
}

static void commit(void)
{
    struct sim_disk *disk = &world.disk;
    struct store_queue queue, done;

    store_queue_init(&done);
    store_group_take(&disk->submitted, &queue);
    if (queue.first)
        store_group_serve(&disk->group, world.now_ns, &queue, &done);
    world.sum.commits++;
    complete(&done);
    disk->commit_ns = disk->submitted.first ? world.now_ns + choose_duration() : CLOCK_NEVER;
}

static void retry(void)
{
    struct store_queue done;

    store_queue_init(&done);
    store_group_retry(&world.disk.group, world.now_ns, &done);
    complete(&done);
}

uint64_t sim_disk_next(void)
{
    const struct sim_disk *disk = &world.disk;
    uint64_t next = disk->commit_ns;

    if (disk->group.kept.first && disk->group.retry_ns < next)
        next = disk->group.retry_ns;
    return next;
}

void sim_disk_act(void)
{
    struct sim_disk *disk = &world.disk;

    if (sim_fault(world.faults.disk_fails)) {
        disk->fails_until_ns = world.now_ns + sim_below(4 * CLOCK_NS_PER_S);
        sim_trace("the disk cannot be written for a while");
    }
    if (world.calm)
        disk->fails_until_ns = 0;
    if (disk->commit_ns <= world.now_ns)
        commit();
    if (disk->group.kept.first && disk->group.retry_ns <= world.now_ns)
        retry();
}

/* What was under way may come to be there, and nobody is told; what waited does not. */
void sim_disk_crash(void)
{
    struct sim_disk *disk = &world.disk;

    if (disk->submitted.first && sim_once_in(2))
        commit();
    store_queue_destroy(&disk->submitted);
    store_queue_destroy(&disk->completed);
    store_queue_destroy(&disk->group.kept);
    store_queue_init(&disk->submitted);
    store_queue_init(&disk->completed);
    store_queue_init(&disk->group.kept);
    disk->commit_ns = disk->deliver_ns = CLOCK_NEVER;
}

/* As a store that is destroyed: what was submitted is done, what is kept is tried once more. */
void sim_disk_stop(void)
{
    while (world.disk.submitted.first)
        commit();
    if (world.disk.group.kept.first)
        retry();
    sim_disk_crash();
}

struct store_done *sim_disk_ask(const struct store_request *request)
{
    struct store_queue queue, done;
    struct store_entry *entry;

    store_queue_init(&queue);
    store_queue_init(&done);
    SIM_CHECK(store_entry_create(request, &entry) == 0, "out of memory");
    store_queue_append(&queue, entry);
    store_group_serve(&world.disk.group, world.now_ns, &queue, &done);
    return &store_queue_take(&done)->done;
}

bool sim_disk_is_quiet(void)
{
    struct store_done *done;
    uint64_t open = 0;

    if (world.disk.submitted.first || world.disk.completed.first || world.disk.group.kept.first)
        return false;
    done = sim_disk_ask(&(struct store_request){.operation = STORE_TALLY});
    for (unsigned state = STORE_OPENING; state <= STORE_RUNNING; state++)
        open += done->tally[state];
    store_done_free(done);
    return open == 0;
}
