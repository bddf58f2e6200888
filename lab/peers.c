/* SPDX-License-Identifier: MIT
 *
 * The table of peers, and how each kind is run. See peers.h.
 */
#include "lab/peers.h"

#include "base/clock.h"
#include "lab/bare.h"
#include "lab/child.h"
#include "lab/openmp.h"
#include "lab/peers_script.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ROUNDS_DEFAULT = 3 };

/* A turn lasts a quarter of a second or so, GNU parallel's one or two; to load Python's modules takes a
 * second or two on a slow disk. */
static const uint64_t ANSWER_NS = 15 * CLOCK_NS_PER_S, START_NS = 10 * CLOCK_NS_PER_S,
                      END_NS = CLOCK_NS_PER_S;

enum kind { SCRIPT, COMMAND, COMMAND_TRIP, OPENMP, SPAWN };

static const struct entry {
    enum peer_measure measure;
    const char *name;
    enum kind kind;
    const char *program; /* of SCRIPT: the kind that it is told */
    uint64_t jobs;       /* of a turn; 0: as many as fill it */
    const char *note;
} entries[] = {
    {PEER_BATCH, "Pool.map", SCRIPT, "pool", 0, "Python, its automatic chunks"},
    {PEER_BATCH, "ProcessPoolExecutor.map", SCRIPT, "futures", 0, "Python, chunks as Pool.map's"},
    {PEER_BATCH, "joblib", SCRIPT, "joblib", 100000, "Python, its automatic batches"},
    {PEER_BATCH, "OpenMP tasks", OPENMP, NULL, 0, "threads of one process"},
    {PEER_BATCH, "posix_spawn", SPAWN, NULL, 1000, "true: a process a job, and nothing else"},
    {PEER_BATCH, "xargs", COMMAND, "xargs", 1000, "-n1 true: a process a job"},
    {PEER_BATCH, "GNU parallel", COMMAND, "parallel", 200, "true: a process a job, its own start included"},
    {PEER_SINGLE, "Pool.imap_unordered", SCRIPT, "pool", 0, "Python"},
    {PEER_SINGLE, "ProcessPoolExecutor.submit", SCRIPT, "futures", 0, "Python, all futures under way"},
    {PEER_SINGLE, "Gearman", SCRIPT, "gearman", 0, "a server of its own, 5000 tasks under way"},
    {PEER_TRIP, "Pool.apply", SCRIPT, "pool", 0, "Python"},
    {PEER_TRIP, "ProcessPoolExecutor.submit", SCRIPT, "futures", 0, "Python"},
    {PEER_TRIP, "Gearman", SCRIPT, "gearman", 0, "a server of its own"},
    {PEER_TRIP, "xargs", COMMAND_TRIP, "xargs", 20, "-n1 true: all of it, a process a job"},
    {PEER_TRIP, "GNU parallel", COMMAND_TRIP, "parallel", 2, "true: all of it, a process a job"},
    {PEER_WORK, "Pool.map", SCRIPT, "pool", 0, "Python, its automatic chunks"},
    {PEER_WORK, "ProcessPoolExecutor.map", SCRIPT, "futures", 0, "Python, chunks as Pool.map's"},
    {PEER_WORK, "joblib", SCRIPT, "joblib", 0, "Python, its automatic batches"},
    {PEER_BLOCK, "ProcessPoolExecutor.submit", SCRIPT, "futures", 1, "Python"},
    {PEER_BLOCK, "Pool.apply", SCRIPT, "pool", 1, "Python"},
};
enum { ENTRIES = sizeof entries / sizeof *entries };

struct peer {
    const struct entry *entry;
    const struct bench_spec *spec;
    struct child child; /* of SCRIPT; it runs when its pid is not 0 */
    uint64_t work;      /* nanoseconds, or bytes */
};

static const struct entry *find(enum peer_measure measure, size_t place)
{
    for (size_t i = 0; i < ENTRIES; i++)
        if (entries[i].measure == measure && place-- == 0)
            return &entries[i];
    return NULL;
}

size_t peers_count(enum peer_measure measure)
{
    size_t count = 0;

    while (find(measure, count))
        count++;
    return count;
}

const char *peers_name(enum peer_measure measure, size_t place)
{
    const struct entry *entry = find(measure, place);

    assert(entry);
    return entry->name;
}

/* --- the script */

/* What it writes is bytes from outside: a number of nanoseconds, or garbage. */
static int parse_ns(const struct child *child, const char *line, uint64_t *ret_ns,
                    struct muster_error *ret_error)
{
    char *end;
    uint64_t ns;

    errno = 0;
    ns = strtoull(line, &end, 10);
    if (line[0] < '0' || line[0] > '9' || *end || errno || ns == 0)
        return muster_error_set(ret_error, MUSTER_EPROTOCOL, "%s answered '%.40s', which is no time",
                                child->name, line);
    *ret_ns = ns;
    return 0;
}

/* One interpreter: the script says whether it has what it needs. */
static int start_script(struct peer *peer, const char *python, struct muster_error *ret_error)
{
    static const char *const measures[] = {[PEER_BATCH] = "batch",
                                           [PEER_SINGLE] = "single",
                                           [PEER_TRIP] = "trip",
                                           [PEER_WORK] = "work",
                                           [PEER_BLOCK] = "block"};
    static const char missing[] = "missing ";
    char workers[16], line[CHILD_LINE_BYTES];
    const char *argv[] = {python,  "-c", peers_script, peer->entry->program, measures[peer->entry->measure],
                          workers, NULL};
    int code;

    snprintf(workers, sizeof workers, "%u", peer->spec->workers);
    if ((code = child_start(argv, -1, &peer->child, ret_error)) != 0)
        return code;
    code = child_ask(&peer->child, NULL, START_NS, peer->spec->interrupt_fd, line, ret_error);
    if (!code && strncmp(line, missing, sizeof missing - 1) == 0)
        code = muster_error_set(ret_error, MUSTER_ENOTFOUND, "%s", line + sizeof missing - 1);
    else if (!code && strcmp(line, "ready") != 0)
        code = muster_error_set(ret_error, MUSTER_EPROTOCOL, "%s wrote '%.40s' instead of its answer", python,
                                line);
    if (code) {
        child_end(&peer->child, 0);
        peer->child.pid = 0;
    }
    return code;
}

/* What is installed for the system's interpreter need not be for the one that comes first in PATH. */
static int start_python(struct peer *peer, struct muster_error *ret_error)
{
    int code = start_script(peer, "python3", ret_error);
    struct muster_error other;

    if (code == MUSTER_ENOTFOUND && start_script(peer, "/usr/bin/python3", &other) == 0)
        return 0;
    return code;
}

static int ask_script(struct peer *peer, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    char question[64], line[CHILD_LINE_BYTES];
    int code;

    snprintf(question, sizeof question, "%" PRIu64 " %" PRIu64 "\n", jobs, peer->work);
    code = child_ask(&peer->child, question, ANSWER_NS, peer->spec->interrupt_fd, line, ret_error);
    return code ? code : parse_ns(&peer->child, line, ret_ns, ret_error);
}

/* --- commands */

/* A file of so many lines, in memory. -1 with errno set. */
static int make_lines(uint64_t count)
{
    int fd = memfd_create("lines", MFD_CLOEXEC), error;

    for (uint64_t i = 0; i < count && fd >= 0; i++)
        if (write(fd, "1\n", 2) != 2) {
            error = errno;
            close(fd);
            errno = error;
            return -1;
        }
    if (fd >= 0)
        lseek(fd, 0, SEEK_SET);
    return fd;
}

static int run_command(struct peer *peer, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    char workers[16];
    bool xargs = strcmp(peer->entry->program, "xargs") == 0;
    const char *job = access(BARE_SPAWN_PROGRAM, X_OK) == 0 ? BARE_SPAWN_PROGRAM : "true";
    const char *argv[] = {peer->entry->program, xargs ? "-P" : "-j", workers,
                          xargs ? "-n1" : job,  xargs ? job : NULL,  NULL};
    int lines = make_lines(jobs), code;
    uint64_t began_ns;
    struct child child;

    if (lines < 0)
        return muster_error_system(ret_error, errno, "cannot make a list of jobs");
    snprintf(workers, sizeof workers, "%u", peer->spec->workers);
    began_ns = clock_now_ns();
    if ((code = child_start(argv, lines, &child, ret_error)) == 0) {
        code = child_wait(&child, ANSWER_NS, peer->spec->interrupt_fd, ret_error);
        if (!code)
            *ret_ns = clock_now_ns() - began_ns;
        child_end(&child, 0);
    }
    close(lines);
    return code;
}

static int run_trips(struct peer *peer, uint64_t jobs, uint64_t *ret_ns, struct muster_error *ret_error)
{
    uint64_t ns, total_ns = 0;
    int code = 0;

    while (jobs-- > 0 && (code = run_command(peer, 1, &ns, ret_error)) == 0)
        total_ns += ns;
    if (!code)
        *ret_ns = total_ns;
    return code;
}

/* --- all kinds */

int peer_start(const struct bench_spec *spec, enum peer_measure measure, size_t place, struct peer **ret_peer,
               struct muster_error *ret_error)
{
    struct peer *peer = calloc(1, sizeof *peer);
    int code = 0;

    if (!peer)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    *peer = (struct peer){.entry = find(measure, place), .spec = spec};
    assert(peer->entry);
    peer->work = measure == PEER_BLOCK ? PEER_BLOCK_BYTES : 0;
    if (peer->entry->kind == SCRIPT)
        code = start_python(peer, ret_error);
    else if (peer->entry->kind == OPENMP)
        code = openmp_load(ret_error);
    if (code) {
        free(peer);
        return code;
    }
    *ret_peer = peer;
    return 0;
}

void peer_set_work(struct peer *peer, uint64_t work_ns)
{
    peer->work = work_ns;
}

int peer_run(void *context, uint64_t times, uint64_t *ret_ns, struct muster_error *ret_error)
{
    struct peer *peer = context;

    switch (peer->entry->kind) {
    case SCRIPT:
        return ask_script(peer, times, ret_ns, ret_error);
    case COMMAND:
        return run_command(peer, times, ret_ns, ret_error);
    case COMMAND_TRIP:
        return run_trips(peer, times, ret_ns, ret_error);
    case OPENMP:
        openmp_tasks(peer->spec->workers, 0, times, ret_ns);
        return 0;
    case SPAWN: {
        unsigned workers = peer->spec->workers;

        return bare_spawn_run(&workers, times, ret_ns, ret_error);
    }
    }
    return muster_error_set(ret_error, MUSTER_EINVALID, "no kind of peer");
}

void peer_stop(struct peer *peer)
{
    if (!peer)
        return;
    if (peer->child.pid > 0)
        child_end(&peer->child, bench_interrupted(peer->spec) ? 0 : END_NS);
    free(peer);
}

/* One peer beside `own`; that it fails is a figure. 0, MUSTER_ECANCELLED or MUSTER_ENOMEM. */
static int compare(const struct bench_spec *spec, const struct entry *entry, struct peer *peer,
                   const struct muster_error *why, const char *name, const struct bench_turn *own,
                   const struct bench_scale *scale, struct bench_report *report,
                   struct muster_error *ret_error)
{
    struct bench_turn turns[] = {
        *own, {.block = peer_run, .context = peer, .times = bench_turn_share(spec, entry->jobs)}};
    struct bench_figure *figure;
    int code;

    turns[0].sample.count = 0;
    if (!peer)
        turns[1].error = *why;
    else if ((code = bench_take_turns(spec, ROUNDS_DEFAULT, turns, 2, ret_error)) != 0)
        return code;
    if (bench_add_turn(report, entry->name, &turns[1], peer ? name : NULL, peer ? &turns[0] : NULL, scale))
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    figure = &report->figures[report->figure_count - 1];
    if (figure->measured && !figure->note[0])
        snprintf(figure->note, sizeof figure->note, "%s", entry->note);
    return 0;
}

int peers_compare(const struct bench_spec *spec, enum peer_measure measure, const char *name,
                  const struct bench_turn *own, const struct bench_scale *scale, struct bench_report *report,
                  struct muster_error *ret_error)
{
    const struct entry *entry;
    bool hangs = false; /* Python does, and would again */
    int code = 0;

    for (size_t place = 0; spec->peers && !code && (entry = find(measure, place)); place++) {
        struct muster_error why;
        struct peer *peer = NULL;

        if (spec->on_step)
            spec->on_step(spec->context, entry->name);
        if (entry->kind == SCRIPT && hangs)
            code = muster_error_set(&why, MUSTER_ETIMEOUT, "left out: python3 took too long before");
        else
            code = peer_start(spec, measure, place, &peer, &why);
        hangs = hangs || (entry->kind == SCRIPT && code == MUSTER_ETIMEOUT);
        if (code == MUSTER_ECANCELLED || code == MUSTER_ENOMEM)
            return muster_error_set(ret_error, code, "%s", why.text);
        why.code = code;
        code = compare(spec, entry, peer, &why, name, own, scale, report, ret_error);
        peer_stop(peer);
    }
    return code;
}
