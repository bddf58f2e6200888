/* SPDX-License-Identifier: MIT
 *
 * A command line as a whole: options before and after the FUNCTION, and what stands after `:::` or
 * `::::` as arguments, up to a word that is spelled exactly as an option of the verb. What each option
 * does is in option.c. Here is what they must be together.
 */
#include "cli/options.h"

#include "base/clock.h"
#include "cli/option.h"
#include "cli/verbs.h"
#include "client/probe.h"
#include "jobs/registry.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROUNDS_DEFAULT = 3,  /* of compare */
    HOST_GRACE_S = 10,   /* twice what a connection over a link that was cut takes to be made again */
    ORPHAN_GRACE_S = 60, /* a restart by a service manager, or by a person, takes less */
};

/* The arguments on the command line. */

static bool is_separator(const char *word)
{
    size_t colons = strspn(word, ":");

    return (colons == 3 || colons == 4) && (word[colons] == '\0' || strcmp(word + colons, "+") == 0);
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
    for (end = place + 1; end < argc && !option_words_is(verb, argv[end]); end++)
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
    const char *what = options->open.workers       ? "-j/--workers"
                       : options->open.concurrency ? "--concurrency"
                       : options->open.pin         ? "--pin"
                                                   : NULL;

    if (!options->open.coordinator || !what)
        return terms_check(&options->terms, options->open.coordinator, ret_error);
    return muster_error_set(ret_error, MUSTER_EINVALID,
                            "%s belongs to the command that starts the coordinator, 'muster coordinator'%s",
                            what, options->detach ? "" : "; --coordinator none runs the jobs without it");
}

/* Workers outlive a coordinator whose jobs do. */
static int settle_grace(struct options *options, struct muster_error *ret_error)
{
    if (options->orphan_grace_ns == CLOCK_NEVER)
        options->orphan_grace_ns = ORPHAN_GRACE_S * CLOCK_NS_PER_S;
    else if (!options->state)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "--orphan-grace needs --state: without, jobs are lost when it ends");
    return 0;
}

/* Who leaves a batch behind leaves it to somebody, and is not there to look at its results. */
static int check_detach(const struct options *options, struct muster_error *ret_error)
{
    const char *what = options->halt_failures ? "--halt" : options->stats ? "--stats" : NULL;

    if (!options->detach)
        return 0;
    if (options->open.model != MUSTER_PROCESSES)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "--detach needs the model 'processes': under '%s' jobs end with this command",
                                muster_model_name(options->open.model));
    if (!options->open.coordinator)
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "--detach leaves the jobs to a coordinator: with --coordinator none there is nobody to "
            "leave them to");
    if (what)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "%s needs somebody who looks at the results: not with --detach", what);
    return 0;
}

static int check(const struct options *options, enum verb verb, struct muster_error *ret_error)
{
    bool maps = takes_arguments(verb);

    if (maps && !options->function)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "no FUNCTION is named (muster functions lists them)");
    if (!maps && options->items)
        return muster_error_set(ret_error, MUSTER_EINVALID, "it takes no arguments after ::: or ::::");
    if (verb == VERB_SUBMIT && !options->function)
        return muster_error_set(ret_error, MUSTER_EINVALID, "no job file is named (- is standard input)");
    if (verb == VERB_ADVISE && options->format == OUTPUT_NONE && !options->run)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "-o none needs --run: there is nothing else to see");
    if (verb == VERB_MAP && options->open.concurrency > 0 && !has_coroutines(options->open.model))
        return muster_error_set(
            ret_error, MUSTER_EINVALID,
            "--concurrency needs the model 'processes' or 'loop': under '%s' each worker runs "
            "one job at a time",
            muster_model_name(options->open.model));
    if (check_detach(options, ret_error))
        return MUSTER_EINVALID;
    return check_coordinator(options, ret_error);
}

/* The environment names a coordinator for those models that have one; `none`, or nothing, is none. Verbs
 * that ask one need one. */
static void choose_coordinator(struct options *options, enum verb verb)
{
    const char **coordinator = &options->open.coordinator;

    if (verb >= VERB_STATUS && !*coordinator) {
        *coordinator = getenv("MUSTER_COORDINATOR");
        if (!*coordinator || !**coordinator || strcmp(*coordinator, "none") == 0)
            *coordinator = MUSTER_COORDINATOR_DEFAULT;
    }
    if (verb >= VERB_STATUS)
        return;
    if (verb == VERB_MAP && !*coordinator && options->open.model == MUSTER_PROCESSES)
        *coordinator = getenv("MUSTER_COORDINATOR");
    if (options->detach && (!*coordinator || !**coordinator))
        *coordinator = MUSTER_COORDINATOR_DEFAULT;
    if (*coordinator && (!**coordinator || strcmp(*coordinator, "none") == 0))
        *coordinator = NULL;
    if (verb == VERB_MAP && *coordinator) { /* it is what a job takes, and no limit of workers */
        options->terms.memory_bytes = options->open.memory_bytes;
        options->open.memory_bytes = 0;
    }
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
        .orphan_grace_ns = CLOCK_NEVER,
        .host_grace_ns = HOST_GRACE_S * CLOCK_NS_PER_S,
        .worker = {.flight_fd = -1, .heap_fd = -1, .slots_fd = -1, .bell_fd = -1, .cpu = -1}};
    options->open.plugins = options->plugins;
    options->worker.plugins = options->plugins;
    options->worker.kept = options->kept;
    options->model_count = sizeof models / sizeof *models;
    memcpy(options->models, models, sizeof models);
}

/* How many words the verb takes that are no options and no arguments. */
static size_t words_most(enum verb verb)
{
    switch (verb) {
    case VERB_WORKER:
    case VERB_COORDINATOR:
    case VERB_WORKERS:
    case VERB_DRAIN:
    case VERB_STOP:
        return 0;
    case VERB_MAP:
    case VERB_COMPARE:
    case VERB_ADVISE:
    case VERB_LAB:
    case VERB_BENCH:
    case VERB_FUNCTIONS:
    case VERB_STATUS:
    case VERB_JOBS:
    case VERB_RESULTS:
    case VERB_RETRY:
    case VERB_SCALE:
    case VERB_SUBMIT:
        return 1;
    case VERB_WAIT:
    case VERB_CANCEL:
    case VERB_FORGET:
    case VERB_KEY:
        return SIZE_MAX;
    }
    return 0;
}

static int unexpected(const struct options *options, enum verb verb, const char *word,
                      struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_EINVALID, "unexpected word '%s'%s", word,
                            options->items || !takes_arguments(verb) ? "" : " (arguments stand after :::)");
}

int options_parse(struct options *options, enum verb verb, int argc, char **argv,
                  struct muster_error *ret_error)
{
    int place, end, rest, code;

    set_defaults(options, verb);
    code = find_arguments(options, verb, argc, argv, &place, &end, ret_error);
    if (code)
        return code;
    code = option_words_take(options, verb, place, argv, &rest, ret_error);
    if (code || options->help)
        return code;
    options->words = (const char *const *)(argv + rest);
    options->word_count = (size_t)(place - rest);
    options->function = options->word_count > 0 ? options->words[0] : NULL;
    if (options->word_count > words_most(verb))
        return unexpected(options, verb, options->words[words_most(verb)], ret_error);
    if (end < argc) {
        /* Options behind the arguments: the word before them stands for argv[0]. */
        place = argc - end + 1;
        argv += end - 1;
        code = option_words_take(options, verb, place, argv, &rest, ret_error);
        if (code || options->help)
            return code;
        if (rest < place)
            return unexpected(options, verb, argv[rest], ret_error);
    }
    choose_coordinator(options, verb);
    if (verb == VERB_COORDINATOR && settle_grace(options, ret_error))
        return MUSTER_EINVALID;
    return check(options, verb, ret_error);
}

int options_load_plugins(const struct options *options, struct registry *registry,
                         struct muster_error *ret_error)
{
    int code = 0;

    for (unsigned i = 0; i < options->open.plugin_count && !code; i++) {
        code = probe_plugin(program_path(), options->plugins[i], ret_error);
        if (!code)
            code = registry_load_names(registry, options->plugins[i], ret_error);
    }
    return code;
}
