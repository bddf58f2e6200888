/* SPDX-License-Identifier: MIT
 *
 * What was submitted and what became of it, as it is, and what of it must hold whatever happens. See sim.h.
 */
#include "tests/sim/sim.h"

#include "coordinator/ledger_state.h"
#include "proto/value.h"
#include "tests/support/core_invariants.h"

#include <stdlib.h>
#include <string.h>

int64_t sim_argument(const struct sim_submission *submission, uint64_t index)
{
    return (int64_t)(1000 * (uint64_t)submission->first + submission->list[index].place);
}

void sim_name(struct sim_submission *submission)
{
    struct proto_submit *settings = &submission->settings;

    settings->function = proto_text(submission->function);
    settings->common = (struct proto_text){0};
    if (!submission->commands)
        return;
    submission->common[0] = (char)(0xa0 | settings->function.size); /* a short text */
    memcpy(submission->common + 1, settings->function.bytes, settings->function.size);
    settings->common = (struct proto_text){submission->common, 1 + settings->function.size};
    settings->function = proto_text("command");
}

static struct sim_submission *find_first(const struct proto_text *function)
{
    char text[16] = "";
    unsigned long serial;

    SIM_CHECK(function->size < sizeof text && function->size > 1, "the name of a function has grown");
    memcpy(text, function->bytes, function->size);
    serial = strtoul(text + 1, NULL, 10);
    SIM_CHECK(serial >= 1 && serial <= world.submission_count, "nobody submitted the function %s", text);
    return &world.submissions[serial];
}

struct sim_submission *sim_find_number(uint64_t number)
{
    for (unsigned i = world.submission_count; i > 0; i--)
        if (world.submissions[i].number == number && !world.submissions[i].void_)
            return &world.submissions[i];
    return NULL;
}

/* Also of a life before, that had numbers of its own. */
struct sim_submission *sim_find(const struct proto_chunk *chunk)
{
    uint64_t life = chunk->chunk >> CHUNKS_OF_EPOCH_BITS;

    for (unsigned i = world.submission_count; i > 0; i--) {
        struct sim_submission *submission = &world.submissions[i];

        if (submission->origin && submission->number == chunk->batch &&
            (world.keeps == PROTO_KEEPS_ON_DISK || submission->life == life))
            return submission;
    }
    if (chunk->common.size > 0)
        return find_first(&(struct proto_text){chunk->common.bytes + 1, chunk->common.size - 1});
    return find_first(&chunk->function);
}

/* --- jobs */

/* Whether others may have its jobs: what it does then is done twice, and counts once. */
static bool is_astray(const struct sim_worker *worker, const struct sim_task *task)
{
    return task->strayed || sim_hosts_gave_up(worker);
}

/* Whether all workers that run the job are such ones. */
static bool runs_astray(const struct sim_submission *submission, uint64_t index)
{
    const struct sim_worker *worker;
    const struct sim_task *task;

    DL_FOREACH(world.worker_list, worker)
        DL_FOREACH(worker->tasks, task) {
            uint64_t place = index - task->chunk.first;

            if (task->submission == submission && index >= task->chunk.first && place < task->chunk.count &&
                task->jobs[place].stage == SIM_RUNS && !is_astray(worker, task))
                return false;
        }
    return true;
}

/* Who has not been heard since the coordinator died could not be told that a job is cancelled, for which
 * nobody waits. */
static bool was_told(const struct sim_worker *worker, const struct sim_job *job)
{
    return !worker->outpost || !job->cancelled || worker->heard_life == world.host.life;
}

void sim_job_begins(const struct sim_worker *worker, const struct sim_task *task, uint64_t index)
{
    struct sim_submission *submission = task->submission;
    struct sim_job *job = &submission->list[index];

    SIM_CHECK(job->running == 0 || is_astray(worker, task) || runs_astray(submission, index),
              "job %lu of %s runs at two places", (unsigned long)index, submission->function);
    SIM_CHECK(!job->recorded || is_astray(worker, task) || !was_told(worker, job),
              "job %lu of %s runs again, and its end is recorded", (unsigned long)index,
              submission->function);
    world.sum.strays += job->running > 0;
    SIM_CHECK(job->blamed < submission->settings.crash_limit || submission->life != world.host.life,
              "job %lu of %s crashes on and on", (unsigned long)index, submission->function);
    job->running++;
    world.sum.jobs++;
}

void sim_job_ends(struct sim_submission *submission, uint64_t index)
{
    submission->list[index].running--;
}

/* Another life of the coordinator does not know how often a job failed before. */
bool sim_may_fail(const struct sim_submission *submission, uint64_t index, int32_t code)
{
    const struct sim_job *job = &submission->list[index];
    bool reborn = submission->life != world.host.life;

    switch (code) {
    case MUSTER_ECANCELLED:
        if (job->cancelled)
            return true;
        /* fall through */
    case MUSTER_EFAILED:
    case MUSTER_ETIMEOUT:
        return job->failures > (reborn ? 0 : submission->settings.retries) ||
               ((submission->cancelled || job->cancelled) && job->failures > 0);
    case MUSTER_ECRASHED:
        return job->blamed + job->suspect > 0 &&
               (submission->settings.crash_limit == 1 || submission->cancelled);
    case MUSTER_EQUARANTINED:
        return job->blamed + job->suspect >= submission->settings.crash_limit || reborn ||
               world.idle_deaths >= 10;
    default:
        return false;
    }
}

void sim_check_values(const struct sim_submission *submission, const struct proto_message *results)
{
    const struct proto_outcome *outcome = &results->results.outcome;
    uint32_t failure = 0;
    size_t offset = 0;
    msgpack_zone zone;

    SIM_CHECK(outcome->first >= 1 && outcome->first + outcome->count - 1 <= submission->jobs,
              "%s: results of a job that never was", submission->function);
    SIM_CHECK(msgpack_zone_init(&zone, 256), "out of memory");
    for (uint64_t index = outcome->first; index < outcome->first + outcome->count; index++) {
        msgpack_object value;

        if (failure < outcome->failure_count && outcome->failures[failure].index == index) {
            SIM_CHECK(sim_may_fail(submission, index, outcome->failures[failure].code),
                      "%s: job %lu failed for no reason: %s", submission->function, (unsigned long)index,
                      muster_error_name(outcome->failures[failure].code));
            if (!outcome->failures[failure++].valued)
                continue;
        }
        SIM_CHECK(value_unpack(slice_bytes(&results->payload), results->payload.size, &offset, &zone,
                               &value) == 0 &&
                      value.via.i64 == 3 * sim_argument(submission, index),
                  "%s: job %lu has the value of another", submission->function, (unsigned long)index);
    }
    msgpack_zone_destroy(&zone);
}

/* --- the record */

static void note_results(struct sim_submission *submission, const struct store_request *request)
{
    const struct store_record *record = &request->record;

    for (uint64_t index = record->first; index < record->first + record->count; index++) {
        SIM_CHECK(index <= submission->jobs, "a record of job %lu of %s", (unsigned long)index,
                  submission->function);
        SIM_CHECK(!submission->list[index].recorded, "job %lu of %s is recorded twice", (unsigned long)index,
                  submission->function);
        submission->list[index].recorded = submission->list[index].succeeded = true;
    }
    for (uint32_t i = 0; i < request->failure_count; i++)
        submission->list[request->failures[i].index].succeeded = false;
}

/* --- batches that are tried again */

/* All jobs of the origin, or those that did not succeed. */
static void take_jobs(struct sim_submission *submission, const struct sim_submission *origin, bool all)
{
    submission->jobs = 0;
    for (uint32_t i = 1; i <= origin->total; i++) {
        if (!all && origin->list[i].succeeded)
            continue;
        submission->list[++submission->jobs].place = origin->list[i].place;
        if (origin->poison == i)
            submission->poison = submission->jobs;
    }
}

static void note_retry(const struct store_request *request)
{
    const struct sim_submission *origin = sim_find_number(request->add.origin);
    struct sim_submission *submission = &world.submissions[++world.submission_count];

    SIM_CHECK(origin && world.submission_count <= SIM_SUBMISSIONS_MAX, "batch %lu tries again what never was",
              (unsigned long)request->add.number);
    *submission = (struct sim_submission){.serial = world.submission_count,
                                          .first = origin->first,
                                          .origin = origin->number,
                                          .commands = origin->commands,
                                          .settings = origin->settings,
                                          .number = request->add.number,
                                          .life = world.host.life};
    memcpy(submission->function, origin->function, sizeof submission->function);
    sim_name(submission);
    submission->settings.kind = request->add.kind;
    submission->settings.hold = true;
    submission->settings.attach = false;
    submission->sealed = request->add.sealed;
    submission->total = request->add.total;
    if (submission->sealed)
        take_jobs(submission, origin, true);
}

static void note_copy(const struct store_request *request)
{
    struct sim_submission *submission = sim_find_number(request->batch);

    if (request->copy.from == 1)
        take_jobs(submission, sim_find_number(request->copy.source), request->copy.all);
}

static void note_seal(const struct store_request *request)
{
    struct sim_submission *submission = sim_find_number(request->batch);

    SIM_CHECK(!submission || !submission->origin || request->total == submission->jobs,
              "%s is tried again with %lu jobs, not %u", submission->function, (unsigned long)request->total,
              submission->jobs);
    if (!submission)
        return;
    submission->total = request->total;
    submission->sealed |= submission->origin != 0;
}

/* --- what is recorded */

static const char *operation_name(enum store_operation operation)
{
    static const char *const names[] = {
#define X(name, trouble) #name,
        STORE_OPERATION_MAP(X)
#undef X
    };

    return names[operation];
}

void sim_recorded(const struct store_entry *entry)
{
    struct sim_submission *submission = NULL;

    sim_trace("the store did %s of batch %lu: %d", operation_name(entry->request.operation),
              (unsigned long)entry->request.batch, entry->done.code);
    if (entry->request.operation == STORE_ADD && entry->done.code == 0 && entry->request.add.origin) {
        note_retry(&entry->request);
    } else if (entry->request.operation == STORE_COPY && entry->done.code == 0) {
        note_copy(&entry->request);
    } else if (entry->request.operation == STORE_SEAL && entry->done.code == 0) {
        note_seal(&entry->request);
    } else if (entry->request.operation == STORE_ADD && entry->done.code == 0) {
        submission = find_first(&entry->request.add.name);
        SIM_CHECK(submission->number == 0, "%s is added twice", submission->function);
        submission->number = entry->request.batch ? entry->request.batch : entry->request.add.number;
        submission->total = entry->request.add.total;
    } else if (entry->request.operation == STORE_END && entry->done.code == 0) {
        submission = sim_find_number(entry->request.batch);
        if (submission) {
            submission->over = true;
            submission->lost |= entry->request.state == STORE_LOST;
        }
    } else if (entry->request.operation == STORE_RESULT) {
        submission = sim_find_number(entry->request.batch);
        sim_trace("  of %u jobs from %lu on, of which %u failed", entry->request.record.count,
                  (unsigned long)entry->request.record.first, entry->request.record.failed);
        if (entry->done.code == 0 && submission)
            note_results(submission, &entry->request);
        else
            SIM_CHECK(entry->done.code == 0 || (submission && submission->cancelled),
                      "a result of batch %lu cannot be recorded: %s", (unsigned long)entry->request.batch,
                      entry->done.text);
    }
}

void sim_lose_records(void)
{
    sim_disk_end();
    sim_disk_begin();
    for (unsigned i = 1; i <= world.submission_count; i++) {
        world.submissions[i].void_ = true;
        world.submissions[i].accepted = false;
    }
}

static void check_record(const struct sim_submission *submission)
{
    struct store_done *done =
        sim_disk_ask(&(struct store_request){.operation = STORE_FIND, .batch = submission->number});
    uint64_t recorded = 0;
    bool some = false; /* of its jobs were cancelled by themselves */

    for (uint32_t i = 1; i <= submission->jobs; i++) {
        recorded += submission->list[i].recorded;
        some |= submission->list[i].cancelled;
    }
    SIM_CHECK(done->code == 0 || submission->forgotten, "%s was accepted, and is gone", submission->function);
    if (done->code == 0) {
        const struct store_batch *batch = &done->batches[0];
        uint64_t ended = batch->succeeded + batch->failed;

        SIM_CHECK(store_state_is_end(batch->state), "%s has not ended, but is %s", submission->function,
                  store_state_name(batch->state));
        SIM_CHECK(ended <= recorded && recorded <= ended + batch->cancelled,
                  "%s has ended with %lu, %lu and %lu jobs, and has records of %lu", submission->function,
                  (unsigned long)batch->succeeded, (unsigned long)batch->failed,
                  (unsigned long)batch->cancelled, (unsigned long)recorded);
        SIM_CHECK(batch->state != STORE_CANCELLED || submission->cancelled || submission->after.batch || some,
                  "%s is cancelled, and nobody asked for it", submission->function);
        SIM_CHECK(batch->state == STORE_CANCELLED || batch->state == STORE_LOST || submission->cancelled ||
                      recorded == submission->jobs,
                  "%s has ended, with records of %lu of its %u jobs", submission->function,
                  (unsigned long)recorded, submission->jobs);
    }
    store_done_free(done);
}

void sim_check_records(void)
{
    for (unsigned i = 1; i <= world.submission_count; i++)
        if (world.submissions[i].accepted && world.submissions[i].settings.keep)
            check_record(&world.submissions[i]);
}

/* --- every step */

/* What really runs is no more than there is, whatever the core believes. Jobs that nobody wants any more run
 * until their worker has heard of it. */
static void check_load(void)
{
    uint64_t memory_bytes = 0;
    unsigned running[SIM_SUBMISSIONS_MAX + 1] = {0}, cpus = 0;
    const struct sim_worker *worker;
    const struct sim_task *task;

    DL_FOREACH(world.worker_list, worker) {
        DL_FOREACH(worker->tasks, task) {
            const struct proto_submit *settings = &task->submission->settings;

            for (uint32_t i = 0; worker->life == SIM_ALIVE && i < task->chunk.count; i++) {
                if (task->jobs[i].stage != SIM_RUNS || task->skip || task->jobs[i].dropped ||
                    is_astray(worker, task))
                    continue;
                running[task->submission->serial]++;
                if (worker->outpost)
                    continue; /* it takes nothing of this host */
                cpus += worker->concurrency == 1 ? settings->cpus : 0;
                memory_bytes += settings->memory_bytes;
            }
        }
    }
    for (unsigned i = 1; i <= world.submission_count; i++)
        SIM_CHECK(world.submissions[i].settings.most_running == 0 ||
                      running[i] <= world.submissions[i].settings.most_running,
                  "%s: %u jobs run at once, %u may", world.submissions[i].function, running[i],
                  world.submissions[i].settings.most_running);
    SIM_CHECK(cpus <= world.has.cpus, "%u CPUs are in use, there are %u", cpus, world.has.cpus);
    SIM_CHECK(world.has.memory_bytes == 0 || memory_bytes <= world.has.memory_bytes, "%lu bytes are in use",
              (unsigned long)memory_bytes);
}

void sim_check_world(void)
{
    const char *wrong;

    if (!world.host.core)
        return;
    wrong = outbox_invariants(&world.host.outbox);
    if (!wrong)
        wrong = core_invariants(world.host.core);
    SIM_CHECK(!wrong, "%s", wrong);
    check_load();
    sim_turns_check();
    sim_memory_check();
}
