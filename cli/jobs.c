/* SPDX-License-Identifier: MIT
 *
 * muster jobs: the batches of a coordinator, the newest first; or the jobs of one that have ended. Asked
 * for page by page, so that neither side holds more than that, however many there are.
 */
#include "cli/ask.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/json_write.h"
#include "cli/table.h"
#include "client/reading.h"
#include "coordinator/store_request.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PAGE_BATCHES = 256, /* asked for at once */
    NAME_BYTES = 120,   /* of a name in a table, so that a function's has room beside it */
};

/* Of jobs. */
#define SHOWN_STATES (1U << STORE_SUCCEEDED | 1U << STORE_FAILED | 1U << STORE_CANCELLED)

struct listing {
    struct ask *ask;
    struct table table;
    char filter[PROTO_TEXT_MAX + 1];
    uint64_t before; /* batches of lower numbers come next; 0: the highest */
    uint64_t page;   /* how many the answer had */
    uint64_t left;   /* how many may still be shown */

    /* Of the jobs of a batch. */
    bool ended;    /* it had ended before they were asked for: those without a result are cancelled */
    uint64_t next; /* all before it are shown */
    uint64_t total;
};

static int no_memory(struct muster_error *ret_error)
{
    return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
}

/* Prints what the table has, and writes it. */
static int print_page(struct listing *listing, struct muster_error *ret_error)
{
    struct output *output = &listing->ask->output;

    return table_print(&listing->table, output) ? no_memory(ret_error) : output_flush(output, ret_error);
}

/* --- batches */

static void add_batch(struct table *table, const msgpack_object *map)
{
    uint64_t submitted_ms = fact_count(map, "submitted_ms"), ended_ms = fact_count(map, "ended_ms");
    uint64_t until_ms = ended_ms ? ended_ms : clock_read_ns(CLOCK_REALTIME) / CLOCK_NS_PER_MS;
    char state[16], name[NAME_BYTES], function[PROTO_FUNCTION_NAME_MAX + 1], text[FACT_BYTES];
    uint64_t failed = fact_count(map, "failed");

    fact_text(map, "function", function, sizeof function);
    fact_text(map, "name", name, sizeof name);
    table_add(table, "%" PRIu64, fact_count(map, "batch"));
    table_add(table, "%s", fact_text(map, "state", state, sizeof state));
    table_add(table, "%s", fact_short(fact_count(map, "total"), text));
    table_add(table, "%s", fact_short(fact_count(map, "succeeded") + failed, text));
    table_add(table, "%s", fact_short(failed, text));
    table_add(table, "%s", fact_moment(submitted_ms, text));
    table_add(table, "%s", fact_duration(until_ms > submitted_ms ? until_ms - submitted_ms : 0, text));
    table_add(table, name[0] ? "%s (%s)" : "%s%s", name, function);
}

static int take_batch(struct listing *listing, const msgpack_object *map, struct muster_error *ret_error)
{
    uint64_t batch = fact_count(map, "batch");
    int code;

    if (batch == 0 || (listing->before != 0 && batch >= listing->before))
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "%s: the coordinator sent batches out of order",
                                remote_endpoint(listing->ask->remote));
    listing->before = batch;
    listing->page++;
    if (listing->left == 0)
        return 0;
    listing->left--;
    if (listing->ask->json)
        return ask_write(listing->ask, map, ret_error);
    if (table_is_full(&listing->table) && (code = print_page(listing, ret_error)) != 0)
        return code;
    add_batch(&listing->table, map);
    return 0;
}

static int take_batches(void *context, const msgpack_object *value, struct muster_error *ret_error)
{
    struct listing *listing = context;
    int code = 0;

    if (value->type != MSGPACK_OBJECT_ARRAY)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "%s: the coordinator sent no list of batches",
                                remote_endpoint(listing->ask->remote));
    for (uint32_t i = 0; i < value->via.array.size && code == 0; i++)
        code = take_batch(listing, &value->via.array.ptr[i], ret_error);
    return code;
}

/* What of the batches is wanted, as the coordinator reads it. */
static int make_filter(struct listing *listing, struct muster_error *ret_error)
{
    static const struct {
        unsigned bit;
        const char *name;
    } states[] = {
#define X(name, number, text) {1U << (number), text},
        STORE_STATE_MAP(X)
#undef X
    };
    const struct options *options = &listing->ask->options;
    size_t used = 0, size = sizeof listing->filter;

    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (options->states & states[i].bit)
            used += (size_t)snprintf(listing->filter + used, size - used, "state=%s ", states[i].name);
    if (options->user && strpbrk(options->user, " "))
        return muster_error_set(ret_error, MUSTER_EINVALID, "--user '%s': no user's name has a blank in it",
                                options->user);
    if (options->user && used < size)
        used += (size_t)snprintf(listing->filter + used, size - used, "user=%s ", options->user);
    if (options->name && used < size)
        used += (size_t)snprintf(listing->filter + used, size - used, "name=%s", options->name);
    else if (used > 0 && used < size)
        listing->filter[--used] = '\0'; /* the last blank */
    return used < size
               ? 0
               : muster_error_set(ret_error, MUSTER_ELIMIT, "--user and --name are too long for a filter");
}

static int list_batches(struct listing *listing, struct muster_error *ret_error)
{
    static const char *const headings[] = {"batch",  "state",     "jobs", "done",
                                           "failed", "submitted", "time", "name"};
    struct proto_request request = {.operation = PROTO_REQUEST_BATCHES};
    int code = make_filter(listing, ret_error);

    table_init(&listing->table, headings, sizeof headings / sizeof *headings);
    listing->table.left = 1U << 1 | 1U << 7;
    table_fit(&listing->table, listing->ask->output.fd);
    request.text = proto_text(listing->filter);
    while (code == 0 && listing->left > 0) {
        request.batch = listing->before;
        request.number = listing->left < PAGE_BATCHES ? listing->left : PAGE_BATCHES;
        listing->page = 0;
        code = remote_ask(listing->ask->remote, &request, take_batches, listing, ret_error);
        if (listing->page == 0)
            break;
    }
    if (code == 0 && !listing->ask->json)
        code = print_page(listing, ret_error);
    return code;
}

/* --- the jobs of one */

static const char *job_state(const struct muster_result *result)
{
    if (result->code == 0)
        return store_state_name(STORE_SUCCEEDED);
    return store_state_name(result->code == MUSTER_ECANCELLED ? STORE_CANCELLED : STORE_FAILED);
}

static unsigned job_state_bit(const struct muster_result *result)
{
    if (result->code == 0)
        return 1U << STORE_SUCCEEDED;
    return 1U << (result->code == MUSTER_ECANCELLED ? STORE_CANCELLED : STORE_FAILED);
}

static int write_job(struct ask *ask, const struct muster_result *result, struct muster_error *ret_error)
{
    msgpack_sbuffer *buffer = &ask->output.buffer;
    int code = output_text(
        &ask->output,
        "{\"job\":\"%" PRIu64 ".%" PRIu64 "\",\"state\":\"%s\",\"attempts\":%u,\"worker\":%u,\"error\":",
        ask->batches[0], result->index, job_state(result), result->attempts, result->worker);

    if (code == 0)
        code = result->code ? json_write_string(result->text, strlen(result->text), buffer)
                            : json_write_raw("null", 4, buffer);
    return code || json_write_raw("}", 1, buffer) ? no_memory(ret_error) : ask_end_line(ask, ret_error);
}

static int show_job(struct listing *listing, const struct muster_result *result,
                    struct muster_error *ret_error)
{
    struct table *table = &listing->table;
    const msgpack_object text = {
        .type = MSGPACK_OBJECT_STR,
        .via.str = {.size = result->text ? (uint32_t)strlen(result->text) : 0, .ptr = result->text}};
    char shown[TABLE_CELL_BYTES];
    int code;

    if (table_is_full(table) && (code = print_page(listing, ret_error)) != 0)
        return code;
    table_add(table, "%" PRIu64 ".%" PRIu64, listing->ask->batches[0], result->index);
    table_add(table, "%s", job_state(result));
    table_add(table, "%u", result->attempts);
    table_add(table, "%u", result->worker);
    table_add(table, "%s", result->text ? fact_string(&text, shown, sizeof shown) : "-");
    return 0;
}

static int on_batch(void *context, const struct proto_attached *batch, struct muster_error *ret_error)
{
    struct listing *listing = context;

    (void)ret_error;
    listing->total = batch->total;
    return 0;
}

/* A job that is shown if it is one of those that are wanted. */
static int pass_job(struct listing *listing, const struct muster_result *result,
                    struct muster_error *ret_error)
{
    unsigned states = listing->ask->options.states;

    if (states && !(states & job_state_bit(result)))
        return 0;
    if (listing->left == 0)
        return MUSTER_EEND; /* enough of them */
    listing->left--;
    return listing->ask->json ? write_job(listing->ask, result, ret_error)
                              : show_job(listing, result, ret_error);
}

/* Those that came to no end up to one that did: they were cancelled, if the batch is over. */
static int pass_cancelled(struct listing *listing, uint64_t behind, struct muster_error *ret_error)
{
    unsigned states = listing->ask->options.states;
    struct muster_result result = {.code = MUSTER_ECANCELLED, .text = muster_error_name(MUSTER_ECANCELLED)};
    int code = 0;

    if (listing->ended && (!states || states & 1U << STORE_CANCELLED))
        for (result.index = listing->next; result.index < behind && code == 0; result.index++)
            code = pass_job(listing, &result, ret_error);
    return code;
}

static int on_result(void *context, const struct muster_result *result, struct muster_error *ret_error)
{
    struct listing *listing = context;
    int code = pass_cancelled(listing, result->index, ret_error);

    listing->next = result->index + 1;
    return code ? code : pass_job(listing, result, ret_error);
}

static int on_wait(void *context, struct muster_error *ret_error)
{
    struct listing *listing = context;

    return output_flush(&listing->ask->output, ret_error);
}

static int take_state(void *context, const msgpack_object *map, struct muster_error *ret_error)
{
    struct listing *listing = context;
    char state[16];

    (void)ret_error;
    fact_text(map, "state", state, sizeof state);
    listing->ended = strcmp(state, store_state_name(STORE_CANCELLED)) == 0;
    return 0;
}

static int list_jobs(struct listing *listing, struct muster_error *ret_error)
{
    static const char *const headings[] = {"job", "state", "attempts", "worker", "error"};
    const struct reading reading = {.batch = listing->ask->batches[0],
                                    .on_batch = on_batch,
                                    .on_result = on_result,
                                    .on_wait = on_wait,
                                    .context = listing};
    struct reading_end end;
    int code;

    if (listing->ask->options.user || listing->ask->options.name)
        return muster_error_set(ret_error, MUSTER_EINVALID, "--user and --name are of batches, not of jobs");
    if (listing->ask->options.states & ~SHOWN_STATES)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "--state: jobs are shown when they have ended: succeeded, failed, cancelled");
    table_init(&listing->table, headings, sizeof headings / sizeof *headings);
    listing->table.left = 1U << 1 | 1U << 4;
    table_fit(&listing->table, listing->ask->output.fd);
    code = ask_batch(listing->ask, PROTO_REQUEST_STATUS, reading.batch, 0, take_state, listing, ret_error);
    if (code == 0)
        code = reading_run(&reading, listing->ask->remote, &end, ret_error);
    if (code == 0)
        code = pass_cancelled(listing, listing->total + 1, ret_error);
    if (code != 0 && code != MUSTER_EEND)
        return code;
    return listing->ask->json ? 0 : print_page(listing, ret_error);
}

static int jobs(struct ask *ask, struct muster_error *ret_error)
{
    struct listing listing = {
        .ask = ask, .next = 1, .left = ask->options.limit ? ask->options.limit : UINT64_MAX};

    return ask->batch_count > 0 ? list_jobs(&listing, ret_error) : list_batches(&listing, ret_error);
}

int verb_jobs(int argc, char **argv)
{
    return ask_verb(VERB_JOBS, argc, argv, jobs);
}
