/* SPDX-License-Identifier: MIT
 *
 * Failed jobs on standard error. See failures.h.
 */
#include "cli/failures.h"

#include "base/log.h"
#include "cli/json_write.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <string.h>

enum {
    LINES = 20,           /* failed jobs that are named; more are only counted */
    ARGUMENT_BYTES = 200, /* of an argument shown there */
};

/* The argument of a failed job as JSON, cut where it is long; "" when it cannot be shown. */
static void show_argument(const msgpack_object *argument, char text[ARGUMENT_BYTES])
{
    msgpack_sbuffer json;
    size_t size;

    text[0] = '\0';
    msgpack_sbuffer_init(&json);
    if (argument && json_write(argument, &json) == 0) {
        size = json.size < ARGUMENT_BYTES ? json.size : ARGUMENT_BYTES - 4;
        while (size < json.size && size > 0 && ((unsigned char)json.data[size] & 0xc0) == 0x80)
            size--; /* not in the middle of a character */
        memcpy(text, json.data, size);
        strcpy(text + size, size < json.size ? "..." : "");
    }
    msgpack_sbuffer_destroy(&json);
}

bool failures_has_room(const struct failures *failures)
{
    return failures->named < LINES;
}

void failures_name(struct failures *failures, const struct muster_result *result)
{
    char argument[ARGUMENT_BYTES], name[JOB_NAME_BYTES];

    if (failures->named++ >= LINES)
        return;
    show_argument(result->argument, argument);
    job_name(failures->batch, result->index, name);
    if (argument[0])
        log_error("job %s (argument %s): %s", name, argument, result->text);
    else
        log_error("job %s: %s", name, result->text);
}

void failures_count(const struct failures *failures, uint64_t failed, uint64_t total)
{
    char jobs[JOBS_TEXT_BYTES];

    if (failures->named > LINES)
        log_error("... and %" PRIu64 " more failed; -o json names them all", failures->named - LINES);
    if (failed == 0)
        return;
    jobs_count(failed, total, jobs, sizeof jobs);
    log_error("%s failed", jobs);
}
