/* SPDX-License-Identifier: MIT
 *
 * What the verbs share that ask a coordinator. See ask.h.
 */
#include "cli/ask.h"

#include "base/clock.h"
#include "base/log.h"
#include "cli/json_write.h"
#include "cli/leave.h"
#include "cli/quantity.h"
#include "proto/limits.h"

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RETURN_POLL_MS = 100 };

/* Whether the verb cannot do without the number of a batch. */
static bool needs_batch(const struct options *options, enum verb verb)
{
    return verb == VERB_RESULTS || verb == VERB_WAIT || verb == VERB_CANCEL || verb == VERB_RETRY ||
           (verb == VERB_FORGET && !options->ended);
}

static int read_number(struct ask *ask, struct muster_error *ret_error)
{
    const char *word = ask->options.function;
    struct muster_error why;

    if (!word)
        return muster_error_set(ret_error, MUSTER_EINVALID, "N, the number of workers, is not given");
    if (quantity_integer(word, 1, PROTO_WORKERS_MAX, &ask->number, &why))
        return muster_error_set(ret_error, MUSTER_EINVALID, "'%s' workers: %s", word, why.text);
    return 0;
}

/* The words of the command line as numbers of batches. */
static int read_batches(struct ask *ask, enum verb verb, struct muster_error *ret_error)
{
    const struct options *options = &ask->options;
    struct muster_error why;

    if (options->word_count == 0 && needs_batch(options, verb))
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "no BATCH is named ('muster jobs' lists them, by number)");
    ask->batches = calloc(options->word_count + 1, sizeof *ask->batches);
    if (!ask->batches)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    for (; ask->batch_count < options->word_count; ask->batch_count++)
        if (quantity_integer(options->words[ask->batch_count], 1, UINT64_MAX, &ask->batches[ask->batch_count],
                             &why))
            return muster_error_set(ret_error, MUSTER_EINVALID, "'%s' is no number of a batch: %s",
                                    options->words[ask->batch_count], why.text);
    return 0;
}

static int check(const struct options *options, enum verb verb, struct muster_error *ret_error)
{
    if (options->open.coordinator && strcmp(options->open.coordinator, "none") == 0)
        return muster_error_set(ret_error, MUSTER_EINVALID,
                                "--coordinator none: there has to be one to ask: an endpoint, or default");
    if (verb == VERB_FORGET && options->ended && options->word_count > 0)
        return muster_error_set(ret_error, MUSTER_EINVALID, "--ended means all batches: it takes no BATCH");
    if (verb == VERB_FORGET && options->older_s > 0 && !options->ended)
        return muster_error_set(ret_error, MUSTER_EINVALID, "--older-than needs --ended");
    if (verb == VERB_RETRY && options->failed && options->all)
        return muster_error_set(ret_error, MUSTER_EINVALID, "--failed and --all exclude each other");
    if (verb == VERB_DRAIN && options->off && options->wait)
        return muster_error_set(ret_error, MUSTER_EINVALID, "--off and --wait exclude each other");
    return 0;
}

/* Connected, does what the verb is for, and writes what it gathered whatever came of it. */
static int run_verb(struct ask *ask, ask_run *run)
{
    struct muster_error error, late;
    int status = remote_open(ask->options.open.coordinator, &ask->remote, &error);

    if (status == 0)
        status = run(ask, &error);
    if (status != MUSTER_EOUTPUT && output_flush(&ask->output, &late) != 0 && status >= 0) {
        status = late.code;
        error = late;
    }
    if (ask->output.broken) { /* as any filter ends; what comes over the connection, nobody wants any more */
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
        return STATUS_SIGNAL + SIGPIPE; /* it is blocked */
    }
    return status < 0 ? plain_error(&error) : status;
}

int ask_verb(enum verb verb, int argc, char **argv, ask_run *run)
{
    struct ask ask = {.remote = NULL};
    struct muster_error error;
    int status;

    if (options_parse(&ask.options, verb, argc, argv, &error))
        return usage_error(argv[0], &error);
    if (ask.options.help)
        return help_print(argv[0]);
    if (ask.options.open.away_s == 0)
        ask.options.open.away_s = MUSTER_AWAY_DEFAULT_S;
    ask.json = ask.options.format == OUTPUT_JSON;
    output_init(&ask.output, STDOUT_FILENO, "standard output", ask.options.format);
    if (check(&ask.options, verb, &error) ||
        (verb == VERB_SCALE ? read_number(&ask, &error) : read_batches(&ask, verb, &error)))
        status = usage_error(argv[0], &error);
    else
        status = run_verb(&ask, run);
    output_fini(&ask.output);
    remote_close(ask.remote);
    free(ask.batches);
    return status;
}

int ask_batch(struct ask *ask, enum proto_operation operation, uint64_t batch, uint64_t number,
              remote_take *take, void *context, struct muster_error *ret_error)
{
    struct proto_request request = {.operation = operation, .batch = batch, .number = number};

    return remote_ask(ask->remote, &request, take, context, ret_error);
}

int ask_return(struct ask *ask, uint64_t deadline_ns, struct muster_error *error)
{
    double away_s = ask->options.open.away_s;
    uint64_t end_ns = clock_after(clock_now_ns(), away_s > 0 ? (uint64_t)(away_s * 1e9) : 0);
    struct muster_error why;
    bool told = false;
    int code = error->code;

    if (!remote_keeps(ask->remote) || away_s < 0)
        return code;
    end_ns = end_ns < deadline_ns ? end_ns : deadline_ns;
    leave_tell_away(NULL, true, &told);
    while ((code = remote_return(ask->remote, &why)) == MUSTER_ELOST && clock_now_ns() < end_ns)
        poll(NULL, 0, RETURN_POLL_MS);
    if (code == 0)
        leave_tell_away(NULL, false, &told);
    else
        muster_error_set(error, code, "%s; what it keeps goes on when it is started again", why.text);
    return code;
}

int ask_end_line(struct ask *ask, struct muster_error *ret_error)
{
    enum { FLUSH_BYTES = 64 << 10 };

    if (json_write_raw("\n", 1, &ask->output.buffer))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return ask->output.buffer.size < FLUSH_BYTES ? 0 : output_flush(&ask->output, ret_error);
}

int ask_write(struct ask *ask, const msgpack_object *value, struct muster_error *ret_error)
{
    if (json_write(value, &ask->output.buffer))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    return ask_end_line(ask, ret_error);
}

int ask_status(uint64_t failed)
{
    return failed < STATUS_FAILED_MANY ? (int)failed : STATUS_FAILED_MANY;
}
