/* SPDX-License-Identifier: MIT
 *
 * One way of running the samples, tried in a process of its own. See advise_trial.h.
 */
#include "lab/advise_trial.h"

#include "base/clock.h"
#include "lab/delay.h"
#include "lab/ledger.h"
#include "proto/value.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Results that are kept; larger ones are taken to cost what arguments of their size do. */
enum { KEPT_BYTES_MAX = 64 << 20 };

struct trial {
    const struct crew_spec *spec;
    int fd; /* of orders; also what interrupts a run, when it is closed */
    muster *m;
    msgpack_zone zone;                        /* memory of the results that were kept */
    msgpack_object results[CREW_SAMPLES_MAX]; /* nil where none was */
    size_t kept_bytes;

    /* Of the run under way. */
    const struct crew_order *order;
    struct crew_answer *answer;
    size_t places[CREW_SAMPLES_MAX]; /* the samples that take part */
    size_t place_count;
    uint64_t given;     /* jobs whose arguments were asked for */
    uint64_t base, end; /* of the batch under way: jobs before it, and with it */
    bool crashed;       /* a sample that had succeeded before */
};

static double seconds(uint64_t ns)
{
    return (double)ns / (double)CLOCK_NS_PER_S;
}

/* The samples, or results, by turns. */
static int next_argument(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                         struct muster_error *ret_error)
{
    struct trial *trial = context;
    const struct crew_surroundings *around = &trial->spec->around;
    size_t place = trial->places[trial->given % trial->place_count];

    if (trial->given == trial->end)
        return MUSTER_EEND;
    trial->given++;
    if (trial->order->function == CREW_SELF && around->produce)
        return around->produce(around->context, place, zone, ret_argument) == 0
                   ? 0
                   : muster_error_set(ret_error, MUSTER_ENOMEM, "an argument cannot be read again");
    *ret_argument = trial->order->on_results ? trial->results[place] : trial->spec->samples[place];
    return 0;
}

/* A copy of a result that lasts. */
static void keep(struct trial *trial, size_t place, const msgpack_object *value)
{
    msgpack_sbuffer packed;
    size_t offset = 0;

    msgpack_sbuffer_init(&packed);
    trial->answer->kept =
        trial->answer->kept && value_pack(value, &packed, NULL) == 0 &&
        (trial->kept_bytes += packed.size) <= KEPT_BYTES_MAX &&
        value_unpack_copy(packed.data, packed.size, &offset, &trial->zone, &trial->results[place]) == 0;
    msgpack_sbuffer_destroy(&packed);
}

static void note_sample(struct crew_sample *sample, const struct muster_result *result)
{
    uint64_t outcome = ledger_outcome(result);
    double took_s = seconds(result->wall_ns);

    if (result->code && !sample->code)
        sample->code = result->code;
    sample->jobs++;
    sample->sum_s += took_s;
    sample->square_s2 += took_s * took_s;
    sample->cpu_s += seconds(result->cpu_ns);
    sample->differs = sample->differs || (sample->outcome && sample->outcome != outcome);
    sample->outcome = sample->outcome ? sample->outcome : outcome;
}

static bool is_crash(int code)
{
    return code == MUSTER_ECRASHED || code == MUSTER_EQUARANTINED;
}

static int on_result(void *context, const struct muster_result *result)
{
    struct trial *trial = context;
    size_t place = trial->places[(trial->base + result->index - 1) % trial->place_count];

    if (result->code && !trial->answer->error[0]) {
        snprintf(trial->answer->error, sizeof trial->answer->error, "%s", result->text);
        trial->answer->error_sample = place;
    }
    if (trial->order->timed)
        note_sample(&trial->answer->samples[place], result);
    if (trial->order->keep && result->code == 0)
        keep(trial, place, result->value);
    if (trial->order->function == CREW_SELF && trial->spec->around.consume)
        trial->spec->around.consume(trial->spec->around.context, result);
    trial->crashed = trial->crashed || (!trial->order->keep && is_crash(result->code));
    return trial->crashed ? MUSTER_EEND : 0; /* more of them would tell nothing, and cost a worker each */
}

static const char *function_of(const struct trial *trial)
{
    switch (trial->order->function) {
    case CREW_SELF:
        break;
    case CREW_NOOP:
        return "noop";
    case CREW_ECHO:
        return "echo";
    }
    return trial->spec->function;
}

static struct muster_batch batch_of(struct trial *trial)
{
    return (struct muster_batch){
        .function = function_of(trial),
        .source = {.kind = MUSTER_SOURCE_STREAM, .next = next_argument, .context = trial, .fd = -1},
        .timeout_s = trial->order->timeout_s,
        .unordered = true,
        .want_timings = trial->order->timed,
        .on_result = on_result,
        .context = trial,
        .interrupt_fd = trial->fd,
    };
}

static void choose_samples(struct trial *trial)
{
    trial->place_count = 0;
    for (size_t i = 0; i < trial->spec->sample_count; i++)
        if (trial->order->mask & UINT64_C(1) << i)
            trial->places[trial->place_count++] = i;
}

/* Adds up what is of interest. */
static void add_summary(struct muster_summary *sum, const struct muster_summary *summary)
{
    sum->succeeded += summary->succeeded;
    sum->failed += summary->failed;
    sum->cpu_ns += summary->cpu_ns;
    sum->bytes_in += summary->bytes_in;
    sum->bytes_out += summary->bytes_out;
    sum->voluntary_switches += summary->voluntary_switches;
}

/* All jobs in batches of order->batch; begins none once the time is over. */
static int run_batches(struct trial *trial, uint64_t began_ns, struct muster_summary *sum,
                       struct muster_error *ret_error)
{
    uint64_t jobs = trial->order->jobs, size = trial->order->batch ? trial->order->batch : jobs;
    struct muster_batch batch = batch_of(trial);
    struct muster_summary summary;
    int code = 0;

    trial->crashed = false;
    for (trial->base = trial->given = 0; trial->base < jobs && !code; trial->base = trial->end) {
        if (trial->base > 0 && trial->order->limit_s > 0 &&
            seconds(clock_now_ns() - began_ns) > trial->order->limit_s)
            return 0;
        trial->end = jobs - trial->base < size ? jobs : trial->base + size;
        code = muster_map(trial->m, &batch, &summary, ret_error);
        if (trial->crashed)
            return muster_error_set(ret_error, MUSTER_EFAILED, "%s", trial->answer->error);
        if (code == 0)
            add_summary(sum, &summary);
    }
    return code;
}

static void run_jobs(struct trial *trial, struct muster_error *ret_error)
{
    uint64_t delayed_ns = delay_ns(), began_ns = clock_now_ns();
    struct muster_summary sum = {.succeeded = 0};
    struct crew_answer *answer = trial->answer;

    choose_samples(trial);
    answer->kept = trial->order->keep;
    answer->code = run_batches(trial, began_ns, &sum, ret_error);
    answer->wall_s = seconds(clock_now_ns() - began_ns);
    answer->delay_s = seconds(delay_ns() - delayed_ns);
    answer->cpu_s = seconds(sum.cpu_ns);
    answer->jobs = sum.succeeded + sum.failed;
    answer->failed = sum.failed;
    answer->voluntary_switches = sum.voluntary_switches;
    if (answer->jobs > 0) {
        answer->bytes_in = (double)sum.bytes_in / (double)answer->jobs;
        answer->bytes_out = (double)sum.bytes_out / (double)answer->jobs;
    }
}

static void open_model(struct trial *trial, struct muster_error *ret_error)
{
    struct muster_options options = trial->spec->options;
    uint64_t began_ns = clock_now_ns();

    options.model = trial->order->model;
    options.workers = trial->order->workers;
    options.concurrency = trial->order->concurrency > 1 ? trial->order->concurrency : 0;
    options.warm = true;
    if (options.model != MUSTER_PROCESSES)
        options.start = MUSTER_SPAWN; /* that of workers */
    options.crash_limit = options.model == MUSTER_PROCESSES ? 1 : 0;
    /* Jobs that run in this process may never end. One of `processes` sees that its employer is gone,
     * and has workers to end. */
    if (options.model != MUSTER_PROCESSES)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    muster_close(trial->m);
    trial->m = NULL;
    trial->answer->code = muster_open(&options, &trial->m, ret_error);
    trial->answer->wall_s = seconds(clock_now_ns() - began_ns);
}

static void obey(struct trial *trial)
{
    struct muster_error error = {.code = 0};

    if (trial->order->open)
        open_model(trial, &error);
    else if (trial->m)
        run_jobs(trial, &error);
    else
        trial->answer->code = muster_error_set(&error, MUSTER_ESTATE, "the model is not open");
    if (trial->answer->code)
        snprintf(trial->answer->error, sizeof trial->answer->error, "%.*s", CREW_ERROR_BYTES - 1, error.text);
}

/* All of it, or false when the other end is closed. */
static bool receive(int fd, void *bytes, size_t size)
{
    ssize_t got;

    do
        got = recv(fd, bytes, size, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)size;
}

static bool reply(int fd, const void *bytes, size_t size)
{
    size_t sent = 0;
    ssize_t part = 0;

    while (sent < size && (part >= 0 || errno == EINTR)) {
        part = send(fd, (const char *)bytes + sent, size - sent, MSG_NOSIGNAL);
        sent += part > 0 ? (size_t)part : 0;
    }
    return sent == size;
}

void trial_serve(const struct crew_spec *spec, int fd, pid_t parent)
{
    struct trial trial = {.spec = spec, .fd = fd};
    struct crew_answer answer;
    struct crew_order order;

    if (!msgpack_zone_init(&trial.zone, MSGPACK_ZONE_CHUNK_SIZE))
        return;
    while (getppid() == parent && receive(fd, &order, sizeof order)) {
        memset(&answer, 0, sizeof answer);
        trial.order = &order;
        trial.answer = &answer;
        obey(&trial);
        if (!reply(fd, &answer, sizeof answer))
            break;
    }
    muster_close(trial.m);
    msgpack_zone_destroy(&trial.zone);
}
