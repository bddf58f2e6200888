/* SPDX-License-Identifier: MIT
 *
 * The statistics file. It is not replaced by rename: the path may be a pipe, a terminal or
 * /dev/fd/N, and one short write at the end leaves no half of it.
 */
#include "cli/stats.h"

#include "base/clock.h"
#include "cli/confined.h"
#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int stats_open(struct stats *stats, const char *path, struct muster_error *ret_error)
{
    const int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY;

    *stats = (struct stats){.path = path, .fd = STDERR_FILENO};
    if (!path || strcmp(path, "-") == 0)
        return 0;
    stats->fd = open(path, flags | O_CREAT | O_EXCL, 0666);
    stats->created = stats->fd >= 0;
    if (stats->fd < 0 && errno == EEXIST)
        stats->fd = open(path, flags);
    if (stats->fd >= 0)
        return 0;
    stats->path = NULL;
    return muster_error_system(ret_error, errno, "cannot write statistics to %s", path);
}

static double seconds(uint64_t ns)
{
    return (double)ns / (double)CLOCK_NS_PER_S;
}

static json_int_t count(uint64_t number)
{
    return (json_int_t)number;
}

/* The phases of the workers' time in seconds, and what they add up to; NULL when out of memory. */
static json_t *receipt(const struct muster_summary *s)
{
    json_t *phases =
        json_pack("{s:f, s:b}", "total_s", seconds(s->receipt.total_ns), "split", s->receipt.split);
    char name[32];

    for (int phase = 0; phase < MUSTER_PHASES && phases; phase++) {
        snprintf(name, sizeof name, "%s_s", muster_phase_name((enum muster_phase)phase));
        json_object_set_new(phases, name, json_real(seconds(s->receipt.phase_ns[phase])));
    }
    if (phases)
        json_object_set_new(phases, "execute_cpu_s", json_real(seconds(s->execute_cpu_ns)));
    return phases;
}

static json_t *document(enum muster_model model, const struct muster_summary *s)
{
    double wall_s = seconds(s->wall_ns);

    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:I, s:I, s:o}",
                     "model", muster_model_name(model), "workers", count(s->workers), "jobs", count(s->jobs),
                     "ok", count(s->succeeded), "failed", count(s->failed), "cancelled", count(s->cancelled),
                     "retried", count(s->retried), "crashes", count(s->crashes), "chunks", count(s->chunks),
                     "wall_s", wall_s, "cpu_s", seconds(s->cpu_ns), "jobs_per_s",
                     s->wall_ns ? (double)s->jobs / wall_s : 0.0, "execute_s", seconds(s->execute_ns),
                     "bytes_in", count(s->bytes_in), "bytes_out", count(s->bytes_out), "receipt", receipt(s));
}

/* With what commands used. NULL when out of memory. */
static json_t *add_commands(json_t *object, const struct stats_commands *commands)
{
    if (!object || !commands ||
        json_object_set_new(object, "commands",
                            json_pack("{s:f, s:f, s:I}", "user_s", (double)commands->user_us * 1e-6,
                                      "system_s", (double)commands->system_us * 1e-6, "max_rss_kib",
                                      count(commands->memory_kib))) == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* With the layers of the sandbox. NULL when out of memory. */
static json_t *add_sandbox(json_t *object, const struct stats *stats)
{
    if (!object || stats->layers == 0 ||
        json_object_set_new(object, "sandbox", confined_json(stats->layers)) == 0)
        return object;
    json_decref(object);
    return NULL;
}

/* What an earlier run left goes; pipes and terminals have nothing to cut. */
static int cut(int fd)
{
    struct stat status;

    if (fstat(fd, &status))
        return errno;
    return S_ISREG(status.st_mode) && ftruncate(fd, 0) ? errno : 0;
}

int stats_write(struct stats *stats, enum muster_model model, const struct muster_summary *summary,
                struct muster_error *ret_error)
{
    bool to_stderr = stats->fd == STDERR_FILENO;
    struct output output;
    int code, error;

    if (!stats->path)
        return 0;
    output_init(&output, stats->fd, to_stderr ? "standard error" : stats->path, OUTPUT_JSON);
    code =
        output_document(&output, add_sandbox(add_commands(document(model, summary), stats->commands), stats));
    if (code)
        code = muster_error_set(ret_error, code, "out of memory");
    error = code || to_stderr ? 0 : cut(stats->fd);
    if (error)
        code = muster_error_system(ret_error, error, "cannot write statistics to %s", stats->path);
    if (!code)
        code = output_flush(&output, ret_error);
    output_fini(&output);
    if (!code)
        stats->created = false;
    return code;
}

void stats_close(struct stats *stats)
{
    if (stats->created)
        unlink(stats->path);
    if (stats->fd != STDERR_FILENO)
        close(stats->fd);
    *stats = (struct stats){.fd = STDERR_FILENO};
}
