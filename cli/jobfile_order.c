/* SPDX-License-Identifier: MIT
 *
 * What the steps of a job file wait for: names become places, and places an order in which each step
 * comes behind those that it waits for. See jobfile.h.
 */
#include "cli/jobfile.h"

#include "jobs/nearest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Steps by name. */
struct named {
    struct jobfile_step *step;
};

static int by_name(const void *left, const void *right)
{
    const struct named *a = left, *b = right;

    return strcmp(a->step->name, b->step->name);
}

static int to_name(const void *key, const void *element)
{
    const struct named *named = element;

    return strcmp(key, named->step->name);
}

/* A name that no step has. */
static int unknown(const struct jobfile *file, const struct jobfile_step *step, const char *name,
                   struct muster_error *ret_error)
{
    unsigned least = NEAREST_FAR, distance;
    const char *nearest = NULL;

    for (size_t i = 0; i < file->count; i++) {
        distance = nearest_distance(name, file->steps[i].name);
        if (distance < least) {
            least = distance;
            nearest = file->steps[i].name;
        }
    }
    return jobfile_fail(file, step, ret_error, "after: there is no step '%s'%s%s%s", name,
                        nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

/* Finds the step of each name that is waited for. `sorted` are all steps by name. */
static int find_all(struct jobfile *file, const struct named *sorted, struct muster_error *ret_error)
{
    for (size_t i = 0; i < file->count; i++) {
        struct jobfile_step *step = &file->steps[i];

        for (size_t j = 0; j < step->after_count; j++) {
            struct jobfile_after *after = &step->after[j];
            const struct named *found;

            if (!after->name)
                continue;
            found = bsearch(after->name, sorted, file->count, sizeof *sorted, to_name);
            if (!found)
                return unknown(file, step, after->name, ret_error);
            after->step = (size_t)(found->step - file->steps);
        }
    }
    return 0;
}

static int find_names(struct jobfile *file, struct muster_error *ret_error)
{
    struct named *sorted = calloc(file->count, sizeof *sorted);
    int code = 0;

    if (!sorted)
        return muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
    for (size_t i = 0; i < file->count; i++)
        sorted[i].step = &file->steps[i];
    qsort(sorted, file->count, sizeof *sorted, by_name);
    for (size_t i = 1; i < file->count && !code; i++)
        if (strcmp(sorted[i - 1].step->name, sorted[i].step->name) == 0)
            code = jobfile_fail(file, sorted[i].step, ret_error, "another step has this name, too");
    if (code == 0)
        code = find_all(file, sorted, ret_error);
    free(sorted);
    return code;
}

/* A step that `step` waits for and that has no place yet; NULL: there is none. */
static const struct jobfile_step *waits_for(const struct jobfile *file, const struct jobfile_step *step,
                                            const bool *placed)
{
    for (size_t i = 0; i < step->after_count; i++)
        if (step->after[i].name && !placed[step->after[i].step])
            return &file->steps[step->after[i].step];
    return NULL;
}

/* Of steps without a place each waits for another such: from any of them on, there is a circle. */
static int name_circle(const struct jobfile *file, const bool *placed, struct muster_error *ret_error)
{
    const struct jobfile_step *start = file->steps, *at;
    char text[MUSTER_ERROR_TEXT_BYTES / 2];
    size_t used;

    while (placed[start - file->steps])
        start++;
    for (size_t i = 0; i < file->count; i++) /* to be in it for sure */
        start = waits_for(file, start, placed);
    at = start;
    used = (size_t)snprintf(text, sizeof text, "%s", start->name);
    do {
        at = waits_for(file, at, placed);
        if (used < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, " -> %s", at->name);
    } while (at != start);
    return muster_error_set(ret_error, MUSTER_EINVALID, "%s: steps wait for each other: %s", file->name,
                            text);
}

/* Each step in its turn, as soon as none that it waits for is without a place. In the file's order as
 * far as that goes. */
int jobfile_sort(struct jobfile *file, struct muster_error *ret_error)
{
    bool *placed = NULL;
    size_t count = 0, before;
    int code = find_names(file, ret_error);

    if (code)
        return code;
    placed = calloc(file->count, sizeof *placed);
    file->order = calloc(file->count, sizeof *file->order);
    if (!placed || !file->order) {
        code = muster_error_set(ret_error, MUSTER_ENOMEM, "out of memory");
        goto out;
    }
    do {
        before = count;
        for (size_t i = 0; i < file->count; i++) {
            if (placed[i] || waits_for(file, &file->steps[i], placed))
                continue;
            placed[i] = true;
            file->order[count++] = i;
        }
    } while (count > before);
    if (count < file->count)
        code = name_circle(file, placed, ret_error);
out:
    free(placed);
    return code;
}
