/* SPDX-License-Identifier: MIT
 *
 * Reads values of options. See exec_values.h.
 */
#include "cli/exec_values.h"

#include "cli/quantity.h"
#include "client/muster.h"
#include "client/processes.h"
#include "proto/limits.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* -j 0: as many as GNU parallel finds room for, by default limits, where there are descriptors for them; some
 * are left for what the caller has open. */
enum { MANY_JOBS = 252, DESCRIPTORS_LEFT = PROCESSES_OTHER_DESCRIPTORS + 32 };

static unsigned many_jobs(void)
{
    struct rlimit limit;
    rlim_t room;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < DESCRIPTORS_LEFT)
        return 1;
    room = (limit.rlim_cur - DESCRIPTORS_LEFT) / PROCESSES_WORKER_DESCRIPTORS;
    return room < 1 ? 1 : room < MANY_JOBS ? (unsigned)room : MANY_JOBS;
}

static int read_jobs(const char *text, unsigned *ret_jobs, struct muster_error *ret_error)
{
    unsigned cores = muster_cores(), most = PROTO_WORKERS_MAX;
    uint64_t number;

    if (text[0] == '+' || text[0] == '-') {
        if (quantity_integer(text + 1, 0, most, &number, ret_error))
            return MUSTER_EINVALID;
        number = text[0] == '+' ? cores + number : number < cores ? cores - number : 1;
        *ret_jobs = number < most ? (unsigned)number : most;
        return 0;
    }
    if (strcmp(text, "0") == 0) {
        *ret_jobs = many_jobs();
        return 0;
    }
    return quantity_workers(text, cores, most, ret_jobs, ret_error);
}

/* The same, as the only line of a file. */
static int read_jobs_of(const char *path, unsigned *ret_jobs, struct muster_error *ret_error)
{
    FILE *file = fopen(path, "re");
    char line[32];
    size_t size = file ? fread(line, 1, sizeof line - 1, file) : 0;

    if (file)
        fclose(file);
    if (size > 0 && line[size - 1] == '\n')
        size--;
    line[size] = '\0';
    return size > 0 && strlen(line) == size ? read_jobs(line, ret_jobs, ret_error) : MUSTER_EINVALID;
}

int exec_value_jobs(const char *text, unsigned *ret_jobs, struct muster_error *ret_error)
{
    struct muster_error why;

    if (read_jobs(text, ret_jobs, ret_error) == 0 || read_jobs_of(text, ret_jobs, &why) == 0)
        return 0;
    return MUSTER_EINVALID;
}

int exec_value_duration(const char *text, double *ret_seconds, struct muster_error *ret_error)
{
    return quantity_duration(text, PROTO_TIMEOUT_MS_MAX / 1000.0, ret_seconds, ret_error);
}

int exec_value_size(const char *text, size_t *ret_bytes, struct muster_error *ret_error)
{
    static const char letters[] = "kKmMgGtTpP";
    size_t digits = strspn(text, "0123456789.");
    const char *unit = text[digits] ? strchr(letters, text[digits]) : NULL;
    double factor = 1, number;
    char piece[32];

    for (ptrdiff_t i = 0; unit && i <= (unit - letters) / 2; i++)
        factor *= (unit - letters) % 2 == 0 ? 1000 : 1024;
    if (digits < sizeof piece)
        snprintf(piece, sizeof piece, "%.*s", (int)digits, text);
    if (digits >= sizeof piece || text[digits + (unit != NULL)] != '\0' ||
        quantity_seconds(piece, 1 / factor, (double)SIZE_MAX / 2 / factor, &number, ret_error))
        return muster_error_set(ret_error, MUSTER_EINVALID, "a size is expected: 100k, 10M, 1.5G");
    *ret_bytes = (size_t)(number * factor);
    return 0;
}

int exec_value_delay(const char *text, double *ret_seconds, struct muster_error *ret_error)
{
    size_t size = strlen(text);

    if (size >= strlen("auto") && strcmp(text + size - strlen("auto"), "auto") == 0)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a delay that finds itself is not supported");
    if (size > 0 && strspn(text, "0.") == size) {
        *ret_seconds = 0;
        return 0;
    }
    return exec_value_duration(text, ret_seconds, ret_error);
}

int exec_value_timeout(const char *text, double *ret_seconds, unsigned *ret_percent,
                       struct muster_error *ret_error)
{
    size_t size = strlen(text);
    double seconds = 0;
    uint64_t percent = 0;
    char number[8];

    if (size > 1 && size <= sizeof number && text[size - 1] == '%') {
        snprintf(number, sizeof number, "%.*s", (int)size - 1, text);
        if (quantity_integer(number, 1, 999999, &percent, ret_error))
            return MUSTER_EINVALID;
    } else if (exec_value_duration(text, &seconds, ret_error)) {
        return MUSTER_EINVALID;
    }
    *ret_seconds = seconds;
    *ret_percent = (unsigned)percent;
    return 0;
}

int exec_value_load(const char *text, unsigned *ret_load, struct muster_error *ret_error)
{
    if (strcmp(text, "0") != 0)
        return exec_value_jobs(text, ret_load, ret_error);
    *ret_load = 1;
    return 0;
}

int exec_value_count(const char *text, size_t *ret_count, struct muster_error *ret_error)
{
    size_t count;

    if (exec_value_size(text, &count, ret_error) || count > PROTO_ELEMENTS_MAX)
        return muster_error_set(ret_error, MUSTER_EINVALID, "a number from 1 to %d is expected: 20, 1k, 2M",
                                PROTO_ELEMENTS_MAX);
    *ret_count = count;
    return 0;
}

int exec_value_nice(const char *text, int *ret_nice, struct muster_error *ret_error)
{
    uint64_t number;

    if (quantity_integer(text, 0, 19, &number, ret_error))
        return MUSTER_EINVALID;
    *ret_nice = (int)number;
    return 0;
}
