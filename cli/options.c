/* SPDX-License-Identifier: MIT
 *
 * The options of all verbs in one table. getopt_long reads them, before and after the
 * FUNCTION; what stands after `:::` or `::::` is arguments, up to a word that is spelled
 * exactly as an option of the verb.
 */
#include "cli/options.h"

#include "cli/quantity.h"
#include "cli/verbs.h"
#include "client/probe.h"
#include "coordinator/delays.h"
#include "coordinator/place.h"
#include "jobs/registry.h"
#include "lab/race.h"
#include "lab/sample.h"
#include "proto/limits.h"

#include <ctype.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum option_id {
    OPTION_HELP = 'h',
    OPTION_WORKERS = 'j',
    OPTION_OUTPUT = 'o',
    OPTION_VERBOSE = 'v',
    OPTION_CHECK_PLUGIN = 256, /* from here on there is no letter */
    OPTION_BACKOFF,
    OPTION_CHUNK,
    OPTION_CONCURRENCY,
    OPTION_CONNECT,
    OPTION_COORDINATOR,
    OPTION_CPU,
    OPTION_CPUS,
    OPTION_CRASH_LIMIT,
    OPTION_DIR,
    OPTION_BELL_FD,
    OPTION_FLIGHT_FD,
    OPTION_SLOTS_FD,
    OPTION_HEAP_FD,
    OPTION_HALT,
    OPTION_HEARTBEAT,
    OPTION_HTML,
    OPTION_JOBS,
    OPTION_LISTEN,
    OPTION_MAX_RUNNING,
    OPTION_MEMORY,
    OPTION_MODEL,
    OPTION_MODELS,
    OPTION_NAME,
    OPTION_NO_PROGRESS,
    OPTION_ORPHAN_GRACE,
    OPTION_PARENT,
    OPTION_PEERS,
    OPTION_PIN,
    OPTION_PLUGIN,
    OPTION_PRIORITY,
    OPTION_PROGRESS,
    OPTION_RETRIES,
    OPTION_ROUNDS,
    OPTION_RUN,
    OPTION_STATE,
    OPTION_STATS,
    OPTION_TIME,
    OPTION_TIMELINE,
    OPTION_TIMEOUT,
    OPTION_UNORDERED,
};

enum {
    MAP = 1 << VERB_MAP,
    COMPARE = 1 << VERB_COMPARE,
    ADVISE = 1 << VERB_ADVISE,
    LAB = 1 << VERB_LAB,
    BENCH = 1 << VERB_BENCH,
    FUNCTIONS = 1 << VERB_FUNCTIONS,
    WORKER = 1 << VERB_WORKER,
    COORDINATOR = 1 << VERB_COORDINATOR,
    ROUNDS_DEFAULT = 3, /* of compare */
    CPU_MAX = 1 << 16,
};

static const struct {
    const char *name;
    enum option_id id;
    int takes; /* no_argument, required_argument */
    unsigned verbs;
} table[] = {
    {"help", OPTION_HELP, no_argument,
     MAP | COMPARE | LAB | BENCH | FUNCTIONS | WORKER | ADVISE | COORDINATOR},
    {"workers", OPTION_WORKERS, required_argument, MAP | COMPARE | BENCH | ADVISE | COORDINATOR},
    {"output", OPTION_OUTPUT, required_argument, MAP | COMPARE | LAB | BENCH | FUNCTIONS | ADVISE},
    {"backoff", OPTION_BACKOFF, required_argument, MAP},
    {"bell-fd", OPTION_BELL_FD, required_argument, WORKER},
    {"check-plugin", OPTION_CHECK_PLUGIN, required_argument, WORKER},
    {"chunk", OPTION_CHUNK, required_argument, MAP | COMPARE},
    {"concurrency", OPTION_CONCURRENCY, required_argument, MAP | COMPARE | WORKER | COORDINATOR},
    {"connect", OPTION_CONNECT, required_argument, WORKER},
    {"coordinator", OPTION_COORDINATOR, required_argument, MAP},
    {"cpu", OPTION_CPU, required_argument, WORKER},
    {"cpus", OPTION_CPUS, required_argument, MAP},
    {"crash-limit", OPTION_CRASH_LIMIT, required_argument, MAP},
    {"dir", OPTION_DIR, required_argument, BENCH},
    {"flight-fd", OPTION_FLIGHT_FD, required_argument, WORKER},
    {"halt", OPTION_HALT, required_argument, MAP},
    {"heartbeat", OPTION_HEARTBEAT, required_argument, MAP | COORDINATOR},
    {"html", OPTION_HTML, required_argument, COMPARE | BENCH},
    {"jobs", OPTION_JOBS, required_argument, ADVISE},
    {"listen", OPTION_LISTEN, required_argument, COORDINATOR},
    {"max-running", OPTION_MAX_RUNNING, required_argument, MAP},
    {"memory", OPTION_MEMORY, required_argument, MAP | WORKER | COORDINATOR},
    {"model", OPTION_MODEL, required_argument, MAP},
    {"models", OPTION_MODELS, required_argument, COMPARE},
    {"name", OPTION_NAME, required_argument, WORKER},
    {"no-progress", OPTION_NO_PROGRESS, no_argument, MAP | COMPARE | ADVISE},
    {"orphan-grace", OPTION_ORPHAN_GRACE, required_argument, WORKER},
    {"parent", OPTION_PARENT, required_argument, WORKER},
    {"peers", OPTION_PEERS, no_argument, BENCH},
    {"pin", OPTION_PIN, no_argument, MAP | COMPARE | COORDINATOR},
    {"plugin", OPTION_PLUGIN, required_argument, MAP | COMPARE | FUNCTIONS | WORKER | ADVISE | COORDINATOR},
    {"priority", OPTION_PRIORITY, required_argument, MAP},
    {"progress", OPTION_PROGRESS, no_argument, MAP | COMPARE | ADVISE},
    {"retries", OPTION_RETRIES, required_argument, MAP},
    {"rounds", OPTION_ROUNDS, required_argument, COMPARE | LAB | BENCH},
    {"run", OPTION_RUN, no_argument, ADVISE},
    {"heap-fd", OPTION_HEAP_FD, required_argument, WORKER},
    {"slots-fd", OPTION_SLOTS_FD, required_argument, WORKER},
    {"state", OPTION_STATE, required_argument, COORDINATOR},
    {"stats", OPTION_STATS, required_argument, MAP},
    {"time", OPTION_TIME, required_argument, ADVISE},
    {"timeline", OPTION_TIMELINE, no_argument, COMPARE},
    {"timeout", OPTION_TIMEOUT, required_argument, MAP | ADVISE},
    {"unordered", OPTION_UNORDERED, no_argument, MAP},
    {"verbose", OPTION_VERBOSE, no_argument, COORDINATOR},
};

/* Of advise: less says nothing, and nobody waits for more. */
#define TIME_LEAST_S 0.1
#define TIME_MOST_S  3600.0

enum { TABLE_COUNT = sizeof table / sizeof *table };

/* Readers of one option's value. */

static int take_integer(const char *text, unsigned least, unsigned most, unsigned *ret_number,
                        struct muster_error *ret_error)
{
    uint64_t number;

    if (quantity_integer(text, least, most, &number, ret_error))
        return MUSTER_EINVALID;
    *ret_number = (unsigned)number;
    return 0;
}

static int take_int(const char *text, int least, int most, int *ret_number, struct muster_error *ret_error)
{
    unsigned number;

    if (take_integer(text, (unsigned)least, (unsigned)most, &number, ret_error))
        return MUSTER_EINVALID;
    *ret_number = (int)number;
    return 0;
}

static int take_seconds(const char *text, double *ret_seconds, struct muster_error *ret_error)
{
    return quantity_seconds(text, 0.001, PROTO_TIMEOUT_MS_MAX / 1000.0, ret_seconds, ret_error);
}

static int take_grace(const char *text, uint64_t *ret_ns, struct muster_error *ret_error)
{
    double seconds;
    int code = take_seconds(text, &seconds, ret_error);

    if (code == 0)
        *ret_ns = (uint64_t)(seconds * 1e9);
    return code;
}

static int take_priority(const char *text, int *ret_priority, struct muster_error *ret_error)
{
    uint64_t number;
    bool below = text[0] == '-';

    if (quantity_integer(text + below, 0, PROTO_PRIORITY_MAX, &number, ret_error))
        return muster_error_set(ret_error, MUSTER_EINVALID, "a whole number from %d to %d is expected",
                                -PROTO_PRIORITY_MAX, PROTO_PRIORITY_MAX);
    *ret_priority = below ? -(int)number : (int)number;
    return 0;
}

static int take_format(enum verb verb, const char *text, enum output_format *ret_format,
                       struct muster_error *ret_error)
{
    if (strcmp(text, "text") == 0)
        *ret_format = OUTPUT_TEXT;
    else if (strcmp(text, "json") == 0)
        *ret_format = OUTPUT_JSON;
    else if (strcmp(text, "none") == 0 && (verb == VERB_MAP || verb == VERB_ADVISE))
        *ret_format = OUTPUT_NONE;
    else
        return muster_error_set(ret_error, MUSTER_EINVALID, "text%s expected",
                                verb == VERB_MAP || verb == VERB_ADVISE ? ", json or none is"
                                                                        : " or json is");
    return 0;
}

static int take_models(struct options *options, const char *text, struct muster_error *ret_error)
{
    char word[32];
    size_t size;
    enum muster_model model;

    options->model_count = 0;
    for (;; text += size + 1) {
        size = strcspn(text, ",");
        if (options->model_count == COMPARE_MODELS_MAX)
            return muster_error_set(ret_error, MUSTER_EINVALID, "at most %d models can be compared",
                                    COMPARE_MODELS_MAX);
        snprintf(word, sizeof word, "%.*s", (int)(size < sizeof word ? size : sizeof word), text);
        if (muster_model_parse(word, &model, ret_error))
            return MUSTER_EINVALID;
        for (size_t i = 0; i < options->model_count; i++)
            if (options->models[i] == model)
                return muster_error_set(ret_error, MUSTER_EINVALID, "%s is named twice", word);
        options->models[options->model_count++] = model;
        if (text[size] == '\0')
            return 0;
    }
}

static int take_plugin(struct options *options, const char *path, struct muster_error *ret_error)
{
    if (options->open.plugin_count == OPTIONS_PLUGINS_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "at most %d plug-ins can be loaded",
                                OPTIONS_PLUGINS_MAX);
    options->plugins[options->open.plugin_count++] = path;
    options->worker.plugin_count = options->open.plugin_count;
    return 0;
}

static int take_listen(struct options *options, const char *endpoint, struct muster_error *ret_error)
{
    if (options->listen_count == OPTIONS_LISTEN_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "at most %d endpoints can be listened at",
                                OPTIONS_LISTEN_MAX);
    if (place_check(endpoint, ret_error))
        return MUSTER_EINVALID;
    options->listen[options->listen_count++] = endpoint;
    return 0;
}

static int take_chunk(const char *text, unsigned *ret_jobs, struct muster_error *ret_error)
{
    if (strcmp(text, "auto") == 0) {
        *ret_jobs = 0;
        return 0;
    }
    if (take_integer(text, 1, PROTO_CHUNK_JOBS_MAX, ret_jobs, ret_error))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "auto or a number of jobs from 1 to %d is expected", PROTO_CHUNK_JOBS_MAX);
    return 0;
}

static unsigned rounds_max(enum verb verb)
{
    if (verb == VERB_BENCH)
        return SAMPLE_MAX;
    return verb == VERB_LAB ? RACE_ROUNDS_MAX : COMPARE_ROUNDS_MAX;
}

/* One option. On failure *ret_error says what was expected. */
static int take(struct options *o, enum verb verb, enum option_id id, const char *text,
                struct muster_error *ret_error)
{
    switch (id) {
    case OPTION_HELP:
        o->help = true;
        return 0;
    case OPTION_WORKERS:
        return quantity_workers(text, muster_cores(), PROTO_WORKERS_MAX, &o->open.workers, ret_error);
    case OPTION_OUTPUT:
        return take_format(verb, text, &o->format, ret_error);
    case OPTION_CHECK_PLUGIN:
        o->check_plugin = text;
        return 0;
    case OPTION_BACKOFF:
        return quantity_seconds(text, 0.001, DELAY_MS_MAX / 1000.0, &o->backoff_s, ret_error);
    case OPTION_CHUNK:
        return take_chunk(text, &o->chunk_jobs, ret_error);
    case OPTION_CONCURRENCY:
        return take_integer(text, 1, PROTO_CONCURRENCY_MAX,
                            verb == VERB_WORKER ? &o->worker.concurrency : &o->open.concurrency, ret_error);
    case OPTION_CONNECT:
        o->worker.endpoint = text;
        return 0;
    case OPTION_COORDINATOR:
        o->open.coordinator = text;
        return 0;
    case OPTION_CPU:
        return take_int(text, 0, CPU_MAX, &o->worker.cpu, ret_error);
    case OPTION_CPUS:
        return take_integer(text, 1, PROTO_WORKERS_MAX, &o->cpus, ret_error);
    case OPTION_CRASH_LIMIT:
        return take_integer(text, 1, PROTO_CRASH_LIMIT_MAX, &o->open.crash_limit, ret_error);
    case OPTION_DIR:
        o->folder = text;
        return 0;
    case OPTION_BELL_FD:
        return take_int(text, 0, INT_MAX, &o->worker.bell_fd, ret_error);
    case OPTION_SLOTS_FD:
        return take_int(text, 0, INT_MAX, &o->worker.slots_fd, ret_error);
    case OPTION_HEAP_FD:
        return take_int(text, 0, INT_MAX, &o->worker.heap_fd, ret_error);
    case OPTION_FLIGHT_FD:
        return take_int(text, 0, INT_MAX, &o->worker.flight_fd, ret_error);
    case OPTION_HALT:
        return quantity_halt(text, &o->halt_failures, &o->halt_now, ret_error);
    case OPTION_HEARTBEAT:
        return take_seconds(text, &o->open.heartbeat_s, ret_error);
    case OPTION_HTML:
        o->html = text;
        return 0;
    case OPTION_JOBS:
        return quantity_integer(text, 1, INT64_MAX, &o->jobs, ret_error);
    case OPTION_LISTEN:
        return take_listen(o, text, ret_error);
    case OPTION_MAX_RUNNING:
        return take_integer(text, 1, UINT32_MAX, &o->most_running, ret_error);
    case OPTION_STATE:
        o->state = text;
        return 0;
    case OPTION_MEMORY:
        return quantity_size(text, verb == VERB_WORKER ? &o->worker.memory_bytes : &o->open.memory_bytes,
                             ret_error);
    case OPTION_MODEL:
        return muster_model_parse(text, &o->open.model, ret_error);
    case OPTION_MODELS:
        return take_models(o, text, ret_error);
    case OPTION_NAME:
        o->worker.name = text;
        return 0;
    case OPTION_NO_PROGRESS:
        o->progress = PROGRESS_NEVER;
        return 0;
    case OPTION_ORPHAN_GRACE:
        return take_grace(text, &o->worker.orphan_grace_ns, ret_error);
    case OPTION_PARENT:
        return take_int(text, 1, INT_MAX, &o->worker.parent_pid, ret_error);
    case OPTION_PEERS:
        o->peers = true;
        return 0;
    case OPTION_PIN:
        o->open.pin = true;
        return 0;
    case OPTION_PLUGIN:
        return take_plugin(o, text, ret_error);
    case OPTION_PRIORITY:
        return take_priority(text, &o->priority, ret_error);
    case OPTION_PROGRESS:
        o->progress = PROGRESS_ALWAYS;
        return 0;
    case OPTION_RETRIES:
        return take_integer(text, 0, PROTO_RETRIES_MAX, &o->retries, ret_error);
    case OPTION_ROUNDS:
        return take_integer(text, 1, rounds_max(verb), &o->rounds, ret_error);
    case OPTION_RUN:
        o->run = true;
        return 0;
    case OPTION_STATS:
        o->stats = text;
        return 0;
    case OPTION_TIME:
        return quantity_seconds(text, TIME_LEAST_S, TIME_MOST_S, &o->time_s, ret_error);
    case OPTION_TIMELINE:
        o->timeline = true;
        return 0;
    case OPTION_TIMEOUT:
        return take_seconds(text, &o->timeout_s, ret_error);
    case OPTION_UNORDERED:
        o->unordered = true;
        return 0;
    case OPTION_VERBOSE:
        o->verbose = true;
        return 0;
    }
    return muster_error_set(ret_error, MUSTER_EINVALID, "unknown option");
}

/* What getopt_long needs to know for one verb. */
struct grammar {
    char letters[2 * TABLE_COUNT + 2];
    struct option names[TABLE_COUNT + 1];
};

static void make_grammar(enum verb verb, struct grammar *ret_grammar)
{
    size_t letters = 0, names = 0;

    ret_grammar->letters[letters++] = ':'; /* getopt: tell a missing value from an unknown option */
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (!(table[i].verbs & 1U << verb))
            continue;
        ret_grammar->names[names++] =
            (struct option){.name = table[i].name, .has_arg = table[i].takes, .val = (int)table[i].id};
        if (table[i].id >= OPTION_CHECK_PLUGIN)
            continue;
        ret_grammar->letters[letters++] = (char)table[i].id;
        if (table[i].takes == required_argument)
            ret_grammar->letters[letters++] = ':';
    }
    ret_grammar->letters[letters] = '\0';
    ret_grammar->names[names] = (struct option){0};
}

/* How an option is spelled in errors: -j or --chunk. */
static void spell(int id, char *text, size_t size)
{
    if (id < OPTION_CHECK_PLUGIN)
        snprintf(text, size, "-%c", id);
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if ((int)table[i].id == id && id >= OPTION_CHECK_PLUGIN)
            snprintf(text, size, "--%s", table[i].name);
}

/* What getopt_long refused. */
static int refuse(int verdict, char *const *argv, struct muster_error *ret_error)
{
    char spelled[64];

    if (verdict == ':')
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s needs a value", argv[optind - 1]);
    if (optopt >= OPTION_CHECK_PLUGIN) {
        spell(optopt, spelled, sizeof spelled);
        return muster_error_set(ret_error, MUSTER_EINVALID, "%s takes no value", spelled);
    }
    if (optopt > 0)
        return muster_error_set(ret_error, MUSTER_EINVALID, "unknown option -%c", optopt);
    return muster_error_set(ret_error, MUSTER_EINVALID, "unknown or ambiguous option %s", argv[optind - 1]);
}

/* Takes the options of argv[1..argc) and moves the other words behind them; *ret_rest is the
 * place of the first of those. */
static int take_all(struct options *options, enum verb verb, int argc, char **argv, int *ret_rest,
                    struct muster_error *ret_error)
{
    struct muster_error why;
    struct grammar grammar;
    char spelled[64];
    int id;

    make_grammar(verb, &grammar);
    opterr = 0;
    optind = 0; /* glibc: start over, with nothing remembered */
    while ((id = getopt_long(argc, argv, grammar.letters, grammar.names, NULL)) != -1) {
        if (id == '?' || id == ':')
            return refuse(id, argv, ret_error);
        if (take(options, verb, (enum option_id)id, optarg, &why)) {
            spell(id, spelled, sizeof spelled);
            return muster_error_set(ret_error, MUSTER_EINVALID, "%s %s: %s", spelled, optarg, why.text);
        }
        if (options->help)
            break;
    }
    *ret_rest = optind;
    return 0;
}

/* The arguments on the command line. */

static bool is_separator(const char *word)
{
    size_t colons = strspn(word, ":");

    return (colons == 3 || colons == 4) && (word[colons] == '\0' || strcmp(word + colons, "+") == 0);
}

/* Whether the word is spelled as an option of the verb: -j, -j4, --chunk, --chunk=8. */
static bool is_option(enum verb verb, const char *word)
{
    size_t size = strcspn(word, "=");

    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (!(table[i].verbs & 1U << verb) || word[0] != '-')
            continue;
        if (word[1] == '-' && strlen(table[i].name) + 2 == size &&
            strncmp(word + 2, table[i].name, size - 2) == 0)
            return true;
        if ((int)table[i].id == word[1] && (word[2] == '\0' || isdigit((unsigned char)word[2])))
            return true;
    }
    return false;
}

/* Finds `:::` or `::::` and what belongs to it. *ret_place is its place, argc when there is
 * none; *ret_end the place of the first option behind it, or argc. */
static int find_arguments(struct options *options, enum verb verb, int argc, char **argv, int *ret_place,
                          int *ret_end, struct muster_error *ret_error)
{
    int place = 1, end;

    while (place < argc && !is_separator(argv[place]))
        place++;
    *ret_place = *ret_end = place;
    if (place == argc)
        return 0;
    if (strchr(argv[place], '+'))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%s is not supported: a function takes one argument", argv[place]);
    for (end = place + 1; end < argc && !is_option(verb, argv[end]); end++)
        if (is_separator(argv[end]))
            return muster_error_set(ret_error, MUSTER_EINVALID,
                                    "only one ::: or :::: can be given: a function takes one argument");
    options->family = strlen(argv[place]) == 3 ? ARGUMENTS_WORDS : ARGUMENTS_FILES;
    options->items = (const char *const *)(argv + place + 1);
    options->item_count = (size_t)(end - place - 1);
    *ret_end = end;
    return 0;
}

/* Whether the verb takes jobs' arguments. */
static bool takes_arguments(enum verb verb)
{
    return verb == VERB_MAP || verb == VERB_COMPARE || verb == VERB_ADVISE;
}

/* Whether one worker of the model can run several jobs at once. */
static bool has_coroutines(enum muster_model model)
{
    return model == MUSTER_LOOP || model == MUSTER_PROCESSES;
}

/* What the coordinator that runs the jobs was started with cannot be chosen for a batch. */
static int check_coordinator(const struct options *options, struct muster_error *ret_error)
{
    const char *what = options->open.workers        ? "-j/--workers"
                       : options->open.concurrency  ? "--concurrency"
                       : options->open.memory_bytes ? "--memory"
                       : options->open.pin          ? "--pin"
                                                    : NULL;

    if (!options->open.coordinator || !what)
        return 0;
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "%s belongs to the command that starts the coordinator, 'muster coordinator'; "
                            "--coordinator none runs the jobs without it",
                            what);
}

static int check(const struct options *options, enum verb verb, struct muster_error *ret_error)
{
    bool maps = takes_arguments(verb);

    if (maps && !options->function)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "no FUNCTION is named (muster functions lists them)");
    if (!maps && options->items)
        return muster_error_set(ret_error, MUSTER_EINVALID, "it takes no arguments after ::: or ::::");
    if (verb == VERB_ADVISE && options->format == OUTPUT_NONE && !options->run)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "-o none needs --run: there is nothing else to see");
    if ((verb == VERB_WORKER || verb == VERB_COORDINATOR) && options->function)
        return muster_error_set(ret_error, MUSTER_EINVALID, "unexpected word '%s'", options->function);
    if (verb == VERB_MAP && options->open.concurrency > 0 && !has_coroutines(options->open.model))
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "--concurrency needs the model 'processes' or 'loop': under '%s' each worker runs "
            "one job at a time",
            muster_model_name(options->open.model));
    return check_coordinator(options, ret_error);
}

/* The environment names a coordinator for those models that have one; `none`, or nothing, is none. */
static void choose_coordinator(struct options *options, enum verb verb)
{
    const char **coordinator = &options->open.coordinator;

    if (verb == VERB_MAP && !*coordinator && options->open.model == MUSTER_PROCESSES)
        *coordinator = getenv("MUSTER_COORDINATOR");
    if (*coordinator && (!**coordinator || strcmp(*coordinator, "none") == 0))
        *coordinator = NULL;
}

static void set_defaults(struct options *options, enum verb verb)
{
    static const enum muster_model models[] = {
#define X(name, word) MUSTER_##name,
        MUSTER_MODEL_MAP(X)
#undef X
    };

    *options = (struct options){
        .open.model = MUSTER_PROCESSES,
        .rounds = verb == VERB_COMPARE ? ROUNDS_DEFAULT : 0,
        .worker = {.flight_fd = -1, .heap_fd = -1, .slots_fd = -1, .bell_fd = -1, .cpu = -1}};
    options->open.plugins = options->plugins;
    options->worker.plugins = options->plugins;
    options->model_count = sizeof models / sizeof *models;
    memcpy(options->models, models, sizeof models);
}

int options_parse(struct options *options, enum verb verb, int argc, char **argv,
                  struct muster_error *ret_error)
{
    int place, end, rest, code;

    set_defaults(options, verb);
    code = find_arguments(options, verb, argc, argv, &place, &end, ret_error);
    if (code)
        return code;
    code = take_all(options, verb, place, argv, &rest, ret_error);
    if (code || options->help)
        return code;
    if (rest < place)
        options->function = argv[rest++];
    if (rest == place && end < argc) {
        /* Options behind the arguments: the word before them stands for argv[0]. */
        place = argc - end + 1;
        argv += end - 1;
        code = take_all(options, verb, place, argv, &rest, ret_error);
        if (code || options->help)
            return code;
    }
    if (rest < place)
        return muster_error_set(ret_error, MUSTER_EINVALID, "unexpected word '%s'%s", argv[rest],
                                options->items || !takes_arguments(verb) ? ""
                                                                         : " (arguments stand after :::)");
    choose_coordinator(options, verb);
    return check(options, verb, ret_error);
}

int options_load_plugins(const struct options *options, struct registry *registry,
                         struct muster_error *ret_error)
{
    int code = 0;

    for (unsigned i = 0; i < options->open.plugin_count && !code; i++) {
        code = probe_plugin(program_path(), options->plugins[i], ret_error);
        if (!code)
            code = registry_load(registry, options->plugins[i], ret_error);
    }
    return code;
}
