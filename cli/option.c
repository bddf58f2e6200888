/* SPDX-License-Identifier: MIT
 *
 * What each option does, for all verbs but exec. A new one is a row of the table, and a function above
 * it where its value is none of the usual kinds; help.c and deploy/completion/muster name it, too.
 */
#include "cli/option.h"

#include "base/sandbox.h"
#include "cli/quantity.h"
#include "cli/verbs.h"
#include "coordinator/delays.h"
#include "coordinator/place.h"
#include "coordinator/store_request.h"
#include "lab/race.h"
#include "lab/sample.h"
#include "proto/limits.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

enum {
    MAP = 1 << VERB_MAP,
    COMPARE = 1 << VERB_COMPARE,
    ADVISE = 1 << VERB_ADVISE,
    LAB = 1 << VERB_LAB,
    BENCH = 1 << VERB_BENCH,
    FUNCTIONS = 1 << VERB_FUNCTIONS,
    WORKER = 1 << VERB_WORKER,
    COORDINATOR = 1 << VERB_COORDINATOR,
    KEY = 1 << VERB_KEY,
    STATUS = 1 << VERB_STATUS,
    JOBS = 1 << VERB_JOBS,
    RESULTS = 1 << VERB_RESULTS,
    WAIT = 1 << VERB_WAIT,
    CANCEL = 1 << VERB_CANCEL,
    RETRY = 1 << VERB_RETRY,
    FORGET = 1 << VERB_FORGET,
    DRAIN = 1 << VERB_DRAIN,
    STOP = 1 << VERB_STOP,
    SUBMIT = 1 << VERB_SUBMIT,
    ASKS = STATUS | JOBS | RESULTS | WAIT | CANCEL | RETRY | FORGET | 1 << VERB_WORKERS | 1 << VERB_SCALE |
           DRAIN | STOP | SUBMIT,
    CPU_MAX = 1 << 16,
};

#define ALL_BUT(verbs) (~0U ^ (verbs))

/* Of advise: less says nothing, and nobody waits for more. */
#define TIME_LEAST_S 0.1
#define TIME_MOST_S  3600.0

#define OLDER_MOST_S (100 * 365.25 * 24 * 3600)

#define TIMEOUT_LEAST_S 0.001
#define TIMEOUT_MOST_S  (PROTO_TIMEOUT_MS_MAX / 1000.0)

static int take_workers(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    unsigned most = verb == VERB_WORKER ? PROTO_HOST_WORKERS_MAX : PROTO_WORKERS_MAX;

    return quantity_workers(text, muster_cores(), most, &o->open.workers, ret_error);
}

static int take_grace(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    uint64_t *ns = verb == VERB_WORKER ? &o->worker.orphan_grace_ns : &o->orphan_grace_ns;
    double seconds;
    int code = quantity_seconds(text, 0, TIMEOUT_MOST_S, &seconds, ret_error);

    if (code == 0)
        *ns = (uint64_t)(seconds * 1e9);
    return code;
}

/* A worker's, which does not outlive its parent for that. */
static int take_link_grace(struct options *o, enum verb verb, const char *text,
                           struct muster_error *ret_error)
{
    o->worker.tied = true;
    return take_grace(o, verb, text, ret_error);
}

static int take_host_grace(struct options *o, enum verb verb, const char *text,
                           struct muster_error *ret_error)
{
    double seconds;
    int code = quantity_seconds(text, 0, TIMEOUT_MOST_S, &seconds, ret_error);

    (void)verb;
    if (code == 0)
        o->host_grace_ns = (uint64_t)(seconds * 1e9);
    return code;
}

static int take_name(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    return terms_take_name(&o->terms, text, ret_error);
}

static int take_after(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    return terms_take_after(&o->terms, text, ret_error);
}

static int take_begin(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    return terms_take_begin(&o->terms, text, ret_error);
}

static int take_priority(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    return terms_take_priority(&o->terms, text, ret_error);
}

/* How long a coordinator that is gone is waited for. */
static int take_away(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    double seconds;
    int code = quantity_seconds(text, 0, TIMEOUT_MOST_S, &seconds, ret_error);

    (void)verb;
    if (code == 0)
        o->open.away_s = seconds > 0 ? seconds : -1;
    return code;
}

static int take_format(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    bool results = verb == VERB_MAP || verb == VERB_ADVISE || verb == VERB_RESULTS; /* of jobs */

    if (strcmp(text, "text") == 0)
        o->format = OUTPUT_TEXT;
    else if (strcmp(text, "json") == 0)
        o->format = OUTPUT_JSON;
    else if (strcmp(text, "none") == 0 && results)
        o->format = OUTPUT_NONE;
    else
        return muster_error_set(ret_error, MUSTER_EINVALID, "text%s expected",
                                results ? ", json or none is" : " or json is");
    return 0;
}

static int take_model(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    return muster_model_parse(text, &o->open.model, ret_error);
}

static int take_models(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    char word[32];
    size_t size;
    enum muster_model model;

    (void)verb;
    o->model_count = 0;
    for (;; text += size + 1) {
        size = strcspn(text, ",");
        if (o->model_count == COMPARE_MODELS_MAX)
            return muster_error_set(ret_error, MUSTER_EINVALID, "at most %d models can be compared",
                                    COMPARE_MODELS_MAX);
        snprintf(word, sizeof word, "%.*s", (int)(size < sizeof word ? size : sizeof word), text);
        if (muster_model_parse(word, &model, ret_error))
            return MUSTER_EINVALID;
        for (size_t i = 0; i < o->model_count; i++)
            if (o->models[i] == model)
                return muster_error_set(ret_error, MUSTER_EINVALID, "%s is named twice", word);
        o->models[o->model_count++] = model;
        if (text[size] == '\0')
            return 0;
    }
}

static int take_plugin(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    if (o->open.plugin_count == OPTIONS_PLUGINS_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "at most %d plug-ins can be loaded",
                                OPTIONS_PLUGINS_MAX);
    o->plugins[o->open.plugin_count++] = text;
    o->worker.plugin_count = o->open.plugin_count;
    return 0;
}

static int take_kept(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    if (o->worker.kept_count == WITHHELD_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "at most %d of them are kept from jobs",
                                WITHHELD_MAX);
    o->kept[o->worker.kept_count++] = text;
    return 0;
}

static int take_listen(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    if (o->listen_count == OPTIONS_LISTEN_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "at most %d endpoints can be listened at",
                                OPTIONS_LISTEN_MAX);
    if (place_check_listen(text, ret_error))
        return MUSTER_EINVALID;
    o->listen[o->listen_count++] = text;
    return 0;
}

static int take_chunk(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    uint64_t jobs = 0;

    (void)verb;
    if (strcmp(text, "auto") != 0 && quantity_integer(text, 1, PROTO_CHUNK_JOBS_MAX, &jobs, ret_error))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "auto or a number of jobs from 1 to %d is expected", PROTO_CHUNK_JOBS_MAX);
    o->chunk_jobs = (unsigned)jobs;
    return 0;
}

static int take_halt(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    return quantity_halt(text, &o->halt_failures, &o->halt_now, ret_error);
}

static int take_jobs(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    return quantity_integer(text, 1, INT64_MAX, &o->jobs, ret_error);
}

/* States with commas between them; of several options, all of theirs. */
static int take_states(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    static const char *const names[] = {
#define X(name, number, text) text,
        STORE_STATE_MAP(X)
#undef X
    };
    static const unsigned bits[] = {
#define X(name, number, text) 1U << (number),
        STORE_STATE_MAP(X)
#undef X
    };
    char word[16];
    size_t size, place;

    (void)verb;
    for (;; text += size + 1) {
        size = strcspn(text, ",");
        snprintf(word, sizeof word, "%.*s", (int)(size < sizeof word ? size : sizeof word), text);
        if (word_find(word, names, sizeof names / sizeof *names, "state", &place, ret_error))
            return MUSTER_EINVALID;
        o->states |= bits[place];
        if (text[size] == '\0')
            return 0;
    }
}

static int take_limit(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    return quantity_integer(text, 1, UINT64_MAX, &o->limit, ret_error);
}

static int take_older(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    return quantity_duration(text, OLDER_MOST_S, &o->older_s, ret_error);
}

static int take_sandbox(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    return sandbox_parse(text, verb == VERB_WORKER ? &o->worker.sandbox : &o->open.sandbox, ret_error);
}

static int take_progress(struct options *o, enum verb verb, const char *text, struct muster_error *ret_error)
{
    (void)verb;
    (void)text;
    (void)ret_error;
    o->progress = PROGRESS_ALWAYS;
    return 0;
}

static int take_no_progress(struct options *o, enum verb verb, const char *text,
                            struct muster_error *ret_error)
{
    (void)verb;
    (void)text;
    (void)ret_error;
    o->progress = PROGRESS_NEVER;
    return 0;
}

#define AT(member)                       offsetof(struct options, member)
#define FLAG(member)                     VALUE_FLAG, AT(member), 0, 0, NULL
#define TEXT(member)                     VALUE_TEXT, AT(member), 0, 0, NULL
#define COUNT(member, most)              VALUE_COUNT, AT(member), 1, most, NULL
#define FD(member)                       VALUE_INT, AT(member), 0, INT_MAX, NULL
#define SIZE(member)                     VALUE_SIZE, AT(member), 0, 0, NULL
#define TIMEOUT(member)                  VALUE_SECONDS, AT(member), TIMEOUT_LEAST_S, TIMEOUT_MOST_S, NULL
#define NONE(function)                   VALUE_NONE, 0, 0, 0, function
#define OTHER(function)                  VALUE_OTHER, 0, 0, 0, function
#define PERHAPS(function)                VALUE_PERHAPS, 0, 0, 0, function
#define RANGE(kind, member, least, most) VALUE_##kind, AT(member), least, most, NULL

const struct option_row option_table[] = {
    {"help", 'h', ALL_BUT(0), FLAG(help)},
    {"workers", 'j', MAP | COMPARE | BENCH | ADVISE | COORDINATOR | WORKER, OTHER(take_workers)},
    {"output", 'o', ALL_BUT(WORKER | COORDINATOR | KEY), OTHER(take_format)},
    {"verbose", 'v', COORDINATOR, FLAG(verbose)},
    {"after", 0, MAP, OTHER(take_after)},
    {"all", 0, RETRY, FLAG(all)},
    {"backoff", 0, MAP, RANGE(SECONDS, terms.backoff_s, 0.001, DELAY_MS_MAX / 1000.0)},
    {"begin", 0, MAP, OTHER(take_begin)},
    {"bell-fd", 0, WORKER, FD(worker.bell_fd)},
    {"check-plugin", 0, WORKER, TEXT(check_plugin)},
    {"chunk", 0, MAP | COMPARE, OTHER(take_chunk)},
    {"concurrency", 0, MAP | COMPARE | COORDINATOR, COUNT(open.concurrency, PROTO_CONCURRENCY_MAX)},
    {"concurrency", 0, WORKER, COUNT(worker.concurrency, PROTO_CONCURRENCY_MAX)},
    {"connect", 0, WORKER, TEXT(worker.endpoint)},
    {"coordinator", 0, MAP | ASKS, TEXT(open.coordinator)},
    {"cpu", 0, WORKER, RANGE(INT, worker.cpu, 0, CPU_MAX)},
    {"cpus", 0, MAP, COUNT(terms.cpus, PROTO_WORKERS_MAX)},
    {"crash-limit", 0, MAP, COUNT(open.crash_limit, PROTO_CRASH_LIMIT_MAX)},
    {"detach", 0, MAP, FLAG(detach)},
    {"dir", 0, BENCH, TEXT(folder)},
    {"dry-run", 0, SUBMIT, FLAG(dry_run)},
    {"ended", 0, FORGET, FLAG(ended)},
    {"failed", 0, RETRY, FLAG(failed)},
    {"flight-fd", 0, WORKER, FD(worker.flight_fd)},
    {"follow", 0, RESULTS, FLAG(follow)},
    {"halt", 0, MAP, OTHER(take_halt)},
    {"heap-fd", 0, WORKER, FD(worker.heap_fd)},
    {"heartbeat", 0, MAP | COORDINATOR, TIMEOUT(open.heartbeat_s)},
    {"host-grace", 0, COORDINATOR, OTHER(take_host_grace)},
    {"html", 0, COMPARE | BENCH, TEXT(html)},
    {"jobs", 0, ADVISE, OTHER(take_jobs)},
    {"kept", 0, WORKER, OTHER(take_kept)},
    {"keys", 0, COORDINATOR, FLAG(keys)},
    {"limit", 0, JOBS, OTHER(take_limit)},
    {"link-grace", 0, WORKER, OTHER(take_link_grace)},
    {"listen", 0, COORDINATOR, OTHER(take_listen)},
    {"max-running", 0, MAP, COUNT(terms.most_running, UINT32_MAX)},
    {"memory", 0, MAP | COORDINATOR, SIZE(open.memory_bytes)},
    {"memory", 0, WORKER, SIZE(worker.memory_bytes)},
    {"model", 0, MAP, OTHER(take_model)},
    {"models", 0, COMPARE, OTHER(take_models)},
    {"name", 0, MAP, OTHER(take_name)},
    {"name", 0, JOBS, TEXT(name)},
    {"name", 0, WORKER, TEXT(worker.name)},
    {"no-progress", 0, MAP | COMPARE | ADVISE, NONE(take_no_progress)},
    {"now", 0, CANCEL | STOP, FLAG(now)},
    {"off", 0, DRAIN, FLAG(off)},
    {"older-than", 0, FORGET, OTHER(take_older)},
    {"orphan-grace", 0, WORKER | COORDINATOR, OTHER(take_grace)},
    {"parent", 0, WORKER, RANGE(INT, worker.parent_pid, 1, INT_MAX)},
    {"peers", 0, BENCH, FLAG(peers)},
    {"pin", 0, MAP | COMPARE | COORDINATOR | WORKER, FLAG(open.pin)},
    {"plugin", 0, MAP | COMPARE | FUNCTIONS | WORKER | ADVISE | COORDINATOR, OTHER(take_plugin)},
    {"priority", 0, MAP, OTHER(take_priority)},
    {"progress", 0, MAP | COMPARE | ADVISE, NONE(take_progress)},
    {"retries", 0, MAP, RANGE(COUNT, retries, 0, PROTO_RETRIES_MAX)},
    {"rounds", 0, BENCH, COUNT(rounds, SAMPLE_MAX)},
    {"rounds", 0, COMPARE, COUNT(rounds, COMPARE_ROUNDS_MAX)},
    {"rounds", 0, LAB, COUNT(rounds, RACE_ROUNDS_MAX)},
    {"run", 0, ADVISE, FLAG(run)},
    {"sandbox", 0, MAP | COORDINATOR | WORKER, PERHAPS(take_sandbox)},
    {"slots-fd", 0, WORKER, FD(worker.slots_fd)},
    {"state", 0, COORDINATOR, TEXT(state)},
    {"state", 0, JOBS, OTHER(take_states)},
    {"state-limit", 0, COORDINATOR, SIZE(state_limit)},
    {"stats", 0, MAP, TEXT(stats)},
    {"time", 0, ADVISE, RANGE(SECONDS, time_s, TIME_LEAST_S, TIME_MOST_S)},
    {"timeline", 0, COMPARE, FLAG(timeline)},
    {"symbols", 0, WORKER, FLAG(symbols)},
    {"timeout", 0, MAP | ADVISE | WAIT, TIMEOUT(timeout_s)},
    {"unordered", 0, MAP, FLAG(unordered)},
    {"user", 0, JOBS, TEXT(user)},
    {"wait", 0, DRAIN, FLAG(wait)},
    {"wait-coordinator", 0, MAP | RESULTS | WAIT, OTHER(take_away)},
    {.name = NULL},
};
