/* SPDX-License-Identifier: MIT
 *
 * A coordinator with a store that dies between any two things that it does, hundreds of times, among
 * clients and workers that do anything that they might. After each death the file is looked at with
 * SQLite alone: what clients were told is there, each job has one result at most, its own, and nothing
 * is there that nobody submitted. What was recorded never runs again. At the end everything has ended
 * as it should. A failure names its seed: MUSTER_SEED=N runs that one alone, and MUSTER_SEEDS=N the
 * first N.
 */
#include "base/sanitize.h"
#include "restarts.h"
#include "tests/support/check.h"

#include <string.h>
#include <unistd.h>

enum {
    SEEDS = SANITIZE_THREAD    ? 2
            : SANITIZE_ADDRESS ? 4
                               : 12,
    LIVES = 40,
    EVENTS_MAX = 250,  /* of a life; half of that on average, which is some ten batches */
    STEPS_MAX = 20000, /* of a life: it has died or all is over by then */
    CLIENTS = 3,
    WORKERS = 3,
    FAIL_EVERY = 7,
};

struct random chance;
uint64_t seed;
unsigned life;
struct submission submissions[SUBMISSIONS_MAX + 1]; /* from 1 */
uint32_t submission_count;
static struct client clients[CLIENTS];
static char folder[64],
    path[sizeof folder + 8]; /* in memory, where that is possible: nobody pulls the plug */

uint64_t below(uint64_t bound)
{
    return random_next(&chance) % bound;
}

bool once_in(uint64_t times)
{
    return below(times) == 0;
}

bool fails(uint64_t job)
{
    return job % FAIL_EVERY == 0;
}

/* --- workers */

static void check_job(const struct submission *batch, uint64_t job)
{
    SAY(!batch->accepted || !batch->recorded[job],
        "job %llu of batch %llu runs again, and its result is recorded", (unsigned long long)job,
        (unsigned long long)batch->number);
    SAY(batch->told_cancelled == 0 || batch->told_cancelled == life,
        "batch %llu runs, and was cancelled in life %u", (unsigned long long)batch->number,
        batch->told_cancelled);
}

static void check_chunk(const struct proto_chunk *chunk)
{
    for (uint32_t i = 1; i <= submission_count; i++)
        if (submissions[i].number == chunk->batch && !submissions[i].refused)
            for (uint64_t job = chunk->first; job < chunk->first + chunk->count; job++)
                check_job(&submissions[i], job);
}

/* --- lives */

static void step(void)
{
    uint64_t who = below(10);

    if (who < 3)
        act(&clients[below(CLIENTS)]);
    else if (who < 6)
        world_step_store(&w);
    else if (who < 8)
        world_step_worker(&w, check_chunk);
    else if (who < 9)
        listen_once(&clients[below(CLIENTS)]);
    else if (once_in(10))
        world_kill_worker(&w, 1 + (unsigned)below(WORKERS));
    w.now_ms += once_in(4);
    ledger_tick(w.ledger, w.now_ms, &w.outbox);
}

static void begin(uint64_t die_at, uint64_t now_ms)
{
    w.hold_workers = true;
    w.die_at = die_at;
    world_open(&w, path, ++life, WORKERS);
    w.now_ms = now_ms;
    w.fail_every = FAIL_EVERY;
    for (int i = 0; i < CLIENTS && !w.dead; i++)
        say_hello(&clients[i]);
}

/* What is not accepted when the coordinator dies may have come to be there, or not: only the file knows. */
static void die(void)
{
    for (int i = 0; i < CLIENTS; i++)
        if (once_in(2))
            while (listen_once(&clients[i])) {
            }
    world_close(&w);
}

static void all_ends(void)
{
    const struct lane *lane;

    begin(0, w.now_ms + 1000);
    for (uint32_t i = 1; i <= submission_count; i++)
        if (submissions[i].accepted && i % 10 == 0)
            attach(&clients[0], i);
    w.hold_workers = false;
    do {
        ledger_tick(w.ledger, w.now_ms, &w.outbox);
        world_settle(&w);
    } while (listen_once(&clients[0]) || listen_once(&clients[1]) || listen_once(&clients[2]));
    SAY(ledger_count(w.ledger).open == 0 && ledger_count(w.ledger).waiting == 0,
        "%llu batches are open, %llu wait", (unsigned long long)ledger_count(w.ledger).open,
        (unsigned long long)ledger_count(w.ledger).waiting);
    DL_FOREACH(w.ledger->lanes, lane)
        SAY(lane->open == 0, "%u batches of a lane are said to be open", lane->open);
    SAY(ledger_count(w.ledger).readers == 0, "somebody waits for what is over");
    world_close(&w);
    look_at_file(path, true);
}

static void live_through(uint64_t which)
{
    uint64_t now_ms = 1700000000000, deaths = 0;

    seed = which;
    random_seed(&chance, seed);
    life = submission_count = 0;
    snprintf(folder, sizeof folder, "%s/muster-test-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/store", folder);
    while (life < LIVES) {
        begin(1 + below(EVENTS_MAX), now_ms);
        for (int i = 0; i < STEPS_MAX && !w.dead; i++)
            step();
        deaths += w.dead;
        now_ms = w.now_ms;
        die();
        look_at_file(path, false);
    }
    CHECK(deaths > LIVES / 2 && submission_count > LIVES);
    all_ends();
    unlink(path);
    CHECK(rmdir(folder) == 0);
}

static void every_job_ends_once_whenever_the_coordinator_dies(void)
{
    const char *only = getenv("MUSTER_SEED"), *number = getenv("MUSTER_SEEDS");
    uint64_t seeds = number ? strtoull(number, NULL, 10) : SEEDS;

    if (only)
        live_through(strtoull(only, NULL, 10));
    for (uint64_t i = 1; !only && i <= seeds; i++)
        live_through(i);
}

int main(void)
{
    static const struct check checks[] = {
        {"every_job_ends_once_whenever_the_coordinator_dies",
         every_job_ends_once_whenever_the_coordinator_dies},
    };

    return check_all(checks, sizeof checks / sizeof *checks);
}
