/* SPDX-License-Identifier: MIT
 *
 * What the verbs share.
 */
#include "cli/verbs.h"

#include "base/log.h"
#include "cli/exec_output.h"
#include "cli/interrupt.h"
#include "jobs/nearest.h"

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *program_path(void)
{
    static char path[PATH_MAX];
    ssize_t size;

    if (path[0])
        return path;
    size = readlink("/proc/self/exe", path, sizeof path - 1);
    if (size > 0)
        path[size] = '\0';
    else
        strcpy(path, "/proc/self/exe");
    return path;
}

/* "race, deadlock" */
static void list_words(const char *const *words, size_t count, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", words[i]);
}

int word_find(const char *word, const char *const *words, size_t count, const char *kind, size_t *ret_place,
              struct muster_error *ret_error)
{
    unsigned least = NEAREST_FAR, distance;
    const char *nearest = NULL;
    char all[256];

    for (size_t i = 0; word && i < count; i++) {
        if (strcmp(word, words[i]) == 0) {
            *ret_place = i;
            return 0;
        }
        distance = nearest_distance(word, words[i]);
        if (distance < least) {
            least = distance;
            nearest = words[i];
        }
    }
    if (nearest)
        return muster_error_set(ret_error, MUSTER_EINVALID, "there is no %s '%s' (did you mean %s?)", kind,
                                word, nearest);
    list_words(words, count, all, sizeof all);
    if (word)
        return muster_error_set(ret_error, MUSTER_EINVALID, "there is no %s '%s' (there are: %s)", kind, word,
                                all);
    return muster_error_set(ret_error, MUSTER_EINVALID, "no %s is named (there are: %s)", kind, all);
}

const char *job_name(uint64_t batch, uint64_t index, char text[JOB_NAME_BYTES])
{
    int used = batch ? snprintf(text, JOB_NAME_BYTES, "%" PRIu64 ".", batch) : 0;

    snprintf(text + used, JOB_NAME_BYTES - (size_t)used, "%" PRIu64, index);
    return text;
}

void jobs_count(uint64_t count, uint64_t total, char *text, size_t size)
{
    if (total)
        snprintf(text, size, "%" PRIu64 " of %" PRIu64 " job%s", count, total, total == 1 ? "" : "s");
    else
        snprintf(text, size, "%" PRIu64 " job%s", count, count == 1 ? "" : "s");
}

int usage_error(const char *verb, const struct muster_error *error)
{
    log_error("%s: %s; see 'muster %s --help'", verb, error->text, verb);
    return STATUS_ERROR;
}

int plain_error(const struct muster_error *error)
{
    if (error->code == MUSTER_EOUTPUT && exec_output_left(STDOUT_FILENO))
        return STATUS_SIGNAL + SIGPIPE;
    log_error("%s", error->text);
    return STATUS_ERROR;
}

int unfinished_error(int code, const struct muster_error *error, const char *left)
{
    if (code != MUSTER_ECANCELLED || !interrupt_signal())
        return plain_error(error);
    log_error("interrupted: %s", left);
    return STATUS_SIGNAL + interrupt_signal();
}
