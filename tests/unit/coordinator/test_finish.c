/* SPDX-License-Identifier: MIT
 *
 * How close to the best possible finish the core brings batches whose jobs are not alike: its
 * workers are simulated, on a clock of their own, with the delays that messages have and the
 * reports that workers send. Prints a line for each batch:
 *
 *     finish   when the batch was over
 *     order    of the best that is possible to who begins jobs in order and cannot know how long
 *              they take
 *     bound    of what none could be faster than, who knew: all work spread evenly, or the longest job
 *     asks     messages that asked for jobs back
 *     moved    jobs that came back
 */
#include "base/clock.h"
#include "base/timers.h"
#include "coordinator/state.h"
#include "jobs/random.h"
#include "tests/support/check.h"

#include <math.h>
#include <string.h>

enum { HELD_MAX = 16, WORKERS = 1000, JOBS = 200000 };

/* Of a message on its way, of a worker from one chunk to the next, and when it reports. */
static const uint64_t WAY_NS = 100 * CLOCK_NS_PER_US;
static const uint64_t SWITCH_NS = 20 * CLOCK_NS_PER_US;
static const uint64_t REPORT_NS = 50 * CLOCK_NS_PER_MS;

struct held {
    struct proto_chunk chunk;
    uint32_t end; /* jobs of it that were not given back */
};

/* Runs the jobs of held[0]. */
struct robot {
    struct held held[HELD_MAX];
    unsigned count;
    bool runs;
    uint32_t place;     /* of the job that runs */
    uint32_t reported;  /* jobs before this place are */
    uint64_t report_ns; /* when the first job began that is not */
    uint64_t job_ns;    /* when the one that runs did */
};

enum happening { ARRIVES_AT_CORE, ARRIVES_AT_WORKER, JOB_ENDS, JOB_IS_SLOW };

struct event {
    struct timer timer; /* first */
    enum happening happening;
    unsigned slot;
    uint32_t place; /* JOB_IS_SLOW: of the job */
    uint64_t chunk;
    struct proto_message message; /* its payload is a reference */
};

static struct core *core;
static struct outbox outbox;
static struct timers events;
static struct robot robots[WORKERS];
static uint64_t now_ns, finish_ns;
static uint64_t lengths_ns[JOBS + 1]; /* of the jobs, by index */
static bool ran[JOBS + 1];
static unsigned asks;
static uint64_t moved, chunks;

/* --- events */

static struct event *add_event(uint64_t when_ns, enum happening happening, unsigned slot)
{
    struct event *event = calloc(1, sizeof *event);

    CHECK(event);
    event->happening = happening;
    event->slot = slot;
    CHECK(timers_add(&events, &event->timer, when_ns) == 0);
    return event;
}

static void send_to_core(unsigned slot, const struct proto_message *message)
{
    add_event(now_ns + WAY_NS, ARRIVES_AT_CORE, slot)->message = *message;
}

/* --- workers */

/* Reports the jobs before `until` that are not yet; the last of them ended at end_ns. */
static void report(unsigned slot, uint32_t until, uint64_t end_ns, bool final)
{
    struct robot *robot = &robots[slot - 1];
    const struct proto_chunk *chunk = &robot->held[0].chunk;
    uint64_t took_ns = end_ns - robot->report_ns;
    uint32_t from = robot->reported, count = until - from;
    struct proto_message message = {.type = PROTO_RESULT};
    char *nils = malloc(count + 1);
    struct blob *values;

    CHECK(nils);
    memset(nils, 0xc0, count);
    values = blob_take(nils, count);
    CHECK(values);
    message.result = (struct proto_result){.batch = chunk->batch,
                                           .chunk = chunk->chunk,
                                           .final = final,
                                           .outcome = {.first = chunk->first + from,
                                                       .count = count,
                                                       .attempt = chunk->attempt,
                                                       .execute_ns = took_ns,
                                                       .cpu_ns = took_ns}};
    message.payload = (struct slice){.blob = values, .size = count};
    send_to_core(slot, &message);
    robot->reported = until;
    robot->report_ns = end_ns;
}

/* Begins the job at robot->place. */
static void begin_job(unsigned slot, uint64_t when_ns)
{
    struct robot *robot = &robots[slot - 1];
    const struct proto_chunk *chunk = &robot->held[0].chunk;
    uint64_t index = chunk->first + robot->place;

    CHECK(!ran[index]);
    ran[index] = true;
    robot->job_ns = when_ns;
    add_event(when_ns + lengths_ns[index], JOB_ENDS, slot);
    if (lengths_ns[index] > REPORT_NS) {
        struct event *event = add_event(when_ns + REPORT_NS, JOB_IS_SLOW, slot);

        event->chunk = chunk->chunk;
        event->place = robot->place;
    }
}

static void begin_chunk(unsigned slot)
{
    struct robot *robot = &robots[slot - 1];

    robot->runs = robot->count > 0;
    if (!robot->runs)
        return;
    robot->place = robot->reported = 0;
    robot->report_ns = now_ns + SWITCH_NS;
    begin_job(slot, now_ns + SWITCH_NS);
}

static void end_job(unsigned slot)
{
    struct robot *robot = &robots[slot - 1];
    struct held *held = &robot->held[0];

    if (++robot->place == held->end) {
        report(slot, robot->place, now_ns, true);
        memmove(held, held + 1, --robot->count * sizeof *held);
        begin_chunk(slot);
        return;
    }
    if (now_ns - robot->report_ns >= REPORT_NS)
        report(slot, robot->place, now_ns, false);
    begin_job(slot, now_ns);
}

/* What ended before a long job does not wait for it. */
static void report_before(const struct event *event)
{
    struct robot *robot = &robots[event->slot - 1];
    const struct proto_chunk *chunk = &robot->held[0].chunk;

    if (!robot->runs || chunk->chunk != event->chunk || robot->place != event->place ||
        robot->reported == robot->place)
        return;
    report(event->slot, robot->place, robot->job_ns, false);
}

static void give_back(unsigned slot, const struct proto_cancel *cancel)
{
    struct robot *robot = &robots[slot - 1];

    for (unsigned i = robot->count; i-- > 0;) {
        struct held *held = &robot->held[i];
        uint64_t first = held->chunk.first, end = first + held->end;
        uint64_t from = cancel->first > first ? cancel->first : first;

        if (i == 0 && robot->runs && from <= first + robot->place)
            from = first + robot->place + 1;
        if (held->chunk.batch != cancel->id || from >= end || cancel->first + cancel->count < end)
            continue;
        send_to_core(slot, &(struct proto_message){.type = PROTO_RETURNED,
                                                   .returned = {.batch = held->chunk.batch,
                                                                .chunk = held->chunk.chunk,
                                                                .first = from,
                                                                .count = (uint32_t)(end - from)}});
        moved += end - from;
        held->end = (uint32_t)(from - first);
        if (held->end == 0)
            memmove(held, held + 1, (--robot->count - i) * sizeof *held);
    }
}

static void receive(unsigned slot, const struct proto_message *message)
{
    struct robot *robot = &robots[slot - 1];

    if (message->type == PROTO_CHUNK) {
        CHECK(robot->count < HELD_MAX);
        robot->held[robot->count++] = (struct held){.chunk = message->chunk, .end = message->chunk.count};
        if (!robot->runs)
            begin_chunk(slot);
    } else if (message->type == PROTO_CANCEL) {
        give_back(slot, &message->cancel);
    } else if (message->type == PROTO_PING) {
        send_to_core(slot, &(struct proto_message){.type = PROTO_PONG, .ping = message->ping});
    }
}

/* --- the core */

static void carry_out(void)
{
    CHECK(!outbox.failed);
    for (size_t i = 0; i < outbox.count; i++) {
        const struct outbox_item *item = &outbox.items[i];
        const struct proto_message *message = &item->message;
        unsigned slot;

        CHECK(item->kind != OUTBOX_KILL);
        if (item->kind == OUTBOX_SEND && sscanf(item->peer, "worker-%u.", &slot) == 1) {
            add_event(now_ns + WAY_NS, ARRIVES_AT_WORKER, slot)->message = *message;
            asks += message->type == PROTO_CANCEL;
        } else if (item->kind == OUTBOX_SEND && message->type == PROTO_ENDED) {
            finish_ns = now_ns + WAY_NS;
            chunks = message->ended.chunks;
        }
    }
    outbox_clear(&outbox);
}

static void tell_core(const char *peer, const struct proto_message *message)
{
    core_message(core, now_ns, peer, message, &outbox);
    carry_out();
}

static void handle(struct event *event)
{
    switch (event->happening) {
    case ARRIVES_AT_CORE:
        tell_core(core->workers[event->slot - 1].name, &event->message);
        blob_unref(event->message.payload.blob);
        return;
    case ARRIVES_AT_WORKER:
        receive(event->slot, &event->message);
        return;
    case JOB_ENDS:
        end_job(event->slot);
        return;
    case JOB_IS_SLOW:
        report_before(event);
        return;
    }
}

/* Lets happen what does, until the batch is over. */
static void go_on(void)
{
    while (finish_ns == 0) {
        uint64_t due_ns = core_deadline(core);
        struct timer *timer;

        CHECK(due_ns != CLOCK_NEVER || events.count > 0);
        if (due_ns < timers_deadline(&events)) {
            now_ns = due_ns > now_ns ? due_ns : now_ns;
            core_tick(core, now_ns, &outbox);
            carry_out();
            continue;
        }
        now_ns = timers_deadline(&events);
        timer = timers_take_due(&events, now_ns);
        handle((struct event *)timer);
        free(timer);
    }
}

static void begin(unsigned workers)
{
    struct core_options options = {.workers = workers, .heartbeat_ns = 5 * CLOCK_NS_PER_S, .warm = true};

    now_ns = 1000 * CLOCK_NS_PER_S;
    finish_ns = asks = 0;
    moved = chunks = 0;
    memset(robots, 0, sizeof robots);
    memset(ran, 0, sizeof ran);
    CHECK(outbox_init(&outbox) == 0);
    CHECK(core_create(&options, &core) == 0);
    core_start(core, now_ns, &outbox);
    carry_out();
    for (unsigned slot = 1; slot <= workers; slot++)
        tell_core(core->workers[slot - 1].name, &(struct proto_message){.type = PROTO_HELLO,
                                                                        .hello = {.version = PROTO_VERSION,
                                                                                  .role = PROTO_WORKER,
                                                                                  .pid = slot,
                                                                                  .credit = HELD_MAX,
                                                                                  .concurrency = 1}});
    tell_core("client",
              &(struct proto_message){.type = PROTO_HELLO,
                                      .hello = {.version = PROTO_VERSION, .role = PROTO_CLIENT, .pid = 1}});
}

static void end(void)
{
    struct timer *timer;

    while ((timer = timers_take_due(&events, CLOCK_NEVER))) {
        blob_unref(((struct event *)timer)->happening == ARRIVES_AT_CORE
                       ? ((struct event *)timer)->message.payload.blob
                       : NULL);
        free(timer);
    }
    timers_fini(&events);
    core_destroy(core);
    outbox_fini(&outbox);
}

/* --- what is possible */

/* The finish of workers that take the next job in order whenever they have none. */
static uint64_t finish_in_order(unsigned workers, uint64_t jobs)
{
    static uint64_t free_ns[WORKERS];
    uint64_t last_ns = 0;

    memset(free_ns, 0, sizeof free_ns);
    for (uint64_t index = 1; index <= jobs; index++) {
        unsigned first = 0;

        for (unsigned i = 1; i < workers; i++)
            if (free_ns[i] < free_ns[first])
                first = i;
        free_ns[first] += lengths_ns[index];
        last_ns = free_ns[first] > last_ns ? free_ns[first] : last_ns;
    }
    return last_ns;
}

static uint64_t bound(unsigned workers, uint64_t jobs)
{
    uint64_t sum_ns = 0, longest_ns = 0;

    for (uint64_t index = 1; index <= jobs; index++) {
        sum_ns += lengths_ns[index];
        longest_ns = lengths_ns[index] > longest_ns ? lengths_ns[index] : longest_ns;
    }
    return sum_ns / workers > longest_ns ? sum_ns / workers : longest_ns;
}

/* Runs the jobs; returns the finish beside that of who begins jobs in order. */
static double run(const char *name, unsigned workers, uint64_t jobs, uint32_t fixed)
{
    double order_ns = (double)finish_in_order(workers, jobs), took_ns;
    uint64_t began_ns;

    begin(workers);
    began_ns = now_ns;
    tell_core("client", &(struct proto_message){.type = PROTO_SUBMIT,
                                                .submit = {.ticket = 1,
                                                           .function = {"noop", 4},
                                                           .kind = PROTO_RANGE,
                                                           .first = 1,
                                                           .last = (int64_t)jobs,
                                                           .chunk_jobs = fixed,
                                                           .crash_limit = 3,
                                                           .window_bytes = UINT64_C(1) << 40,
                                                           .attach = true,
                                                           .cpus = 1}});
    go_on();
    took_ns = (double)(finish_ns - began_ns);
    for (uint64_t index = 1; index <= jobs; index++)
        CHECK(ran[index]);
    end();
    printf("  %-28s %4u workers %9.1f ms  order %.3f  bound %.3f  chunks %5lu  asks %4u  moved %lu\n", name,
           workers, took_ns / 1e6, took_ns / order_ns, took_ns / (double)bound(workers, jobs),
           (unsigned long)chunks, asks, (unsigned long)moved);
    return took_ns / order_ns;
}

/* --- lengths of jobs */

static void set_lengths(uint64_t first, uint64_t last, uint64_t ns)
{
    for (uint64_t index = first; index <= last; index++)
        lengths_ns[index] = ns;
}

/* Lognormal: half of them are shorter than median_ns; `sigma` of the logarithm. */
static void set_wild(uint64_t jobs, double median_ns, double sigma, uint64_t seed)
{
    struct random random;

    random_seed(&random, seed);
    for (uint64_t index = 1; index <= jobs; index++) {
        double u = (double)((random_next(&random) >> 11) + 1) * 0x1p-53;
        double v = (double)(random_next(&random) >> 11) * 0x1p-53;

        lengths_ns[index] =
            (uint64_t)(median_ns * exp(sigma * sqrt(-2 * log(u)) * cos(2 * 3.14159265358979 * v)));
    }
}

/* --- batches */

static void jobs_that_are_alike_lose_nothing(void)
{
    set_lengths(1, 2000, 1000000);
    CHECK(run("2,000 of 1 ms", 2, 2000, 0) < 1.01);
    set_lengths(1, 100000, 10000);
    CHECK(run("100,000 of 10 us", 2, 100000, 0) < 1.03);
    CHECK(run("100,000 of 10 us", 64, 100000, 0) < 1.6); /* 16 ms each, 1 ms of it until times are known */
}

static void last_job_a_hundred_times_longer_holds_up_nothing_else(void)
{
    set_lengths(1, 999, 1000000);
    lengths_ns[1000] = 100000000;
    CHECK(run("the last of 1,000 100 x", 2, 1000, 0) < 1.01);
    CHECK(run("the last of 1,000 100 x", 16, 1000, 0) < 1.03);
}

static void long_job_in_the_middle_does_not_keep_its_chunk(void)
{
    for (uint64_t place = 9000; place <= 10000; place += 250) {
        set_lengths(1, 10000, 100000);
        lengths_ns[place] = 300000000;
        CHECK(run("one of 10,000 3,000 x", 2, 10000, 0) < 1.02);
    }
}

static void jobs_that_become_a_thousand_times_longer_keep_all_workers_busy(void)
{
    set_lengths(1, 100000, 10000);
    for (uint64_t slow = 50; slow <= 1600; slow *= 2) {
        set_lengths(100001, 100000 + slow, 10000000);
        CHECK(run("100,000 of 10 us, then 10 ms", 2, 100000 + slow, 0) < 1.05);
    }
}

static void jobs_that_become_a_thousand_times_shorter_are_soon_in_large_chunks(void)
{
    set_lengths(1, 100, 10000000);
    set_lengths(101, 100100, 10000);
    CHECK(run("100 of 10 ms, then 10 us", 2, 100100, 0) < 1.05);
}

static void jobs_of_wildly_different_length_end_together(void)
{
    static const unsigned crews[] = {2, 4, 16};

    for (unsigned i = 0; i < 3; i++)
        for (uint64_t seed = 1; seed <= 3; seed++) {
            set_wild(20000, 100000, 1.5, seed);
            CHECK(run("20,000 lognormal 1.5", crews[i], 20000, 0) < 1.05);
            set_wild(20000, 10000, 3, seed);
            CHECK(run("20,000 lognormal 3", crews[i], 20000, 0) < 1.05);
        }
}

static void chunks_that_the_user_set_come_back_only_from_a_worker_that_is_stuck(void)
{
    set_lengths(1, 2000, 1000000);
    run("2,000 of 1 ms, --chunk 300", 2, 2000, 300);
    CHECK(moved == 0);
    lengths_ns[1950] = 500000000;
    CHECK(run("the same, one of 500 ms", 2, 2000, 300) < 1.1);
}

static void a_thousand_workers_do_not_drown_in_asking(void)
{
    set_wild(20000, 1000000, 1, 1);
    run("20,000 lognormal 1", WORKERS, 20000, 0);
    CHECK(asks < 4 * WORKERS);
    set_lengths(1, 50000, 100000);
    lengths_ns[49000] = 1000000000;
    run("50,000 of 100 us, one of 1 s", WORKERS, 50000, 0);
    CHECK(asks < 2 * WORKERS);
}

int main(void)
{
    static const struct check checks[] = {
        {"jobs that are alike lose nothing", jobs_that_are_alike_lose_nothing},
        {"a last job a hundred times longer holds up nothing else",
         last_job_a_hundred_times_longer_holds_up_nothing_else},
        {"a long job in the middle does not keep its chunk", long_job_in_the_middle_does_not_keep_its_chunk},
        {"jobs that become a thousand times longer keep all workers busy",
         jobs_that_become_a_thousand_times_longer_keep_all_workers_busy},
        {"jobs that become a thousand times shorter are soon in large chunks",
         jobs_that_become_a_thousand_times_shorter_are_soon_in_large_chunks},
        {"jobs of wildly different length end together", jobs_of_wildly_different_length_end_together},
        {"chunks that the user set come back only from a worker that is stuck",
         chunks_that_the_user_set_come_back_only_from_a_worker_that_is_stuck},
        {"a thousand workers do not drown in asking", a_thousand_workers_do_not_drown_in_asking},
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
