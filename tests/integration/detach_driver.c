/* SPDX-License-Identifier: MIT
 *
 * A user of libmuster and of the coordinator at the default place, for detach.py:
 *
 *     detach_driver leave FIRST LAST     leaves `echo` over the range behind, and prints its number
 *     detach_driver read NUMBER          prints what the jobs of that batch returned, and how many they are
 *     detach_driver both PLUGIN FILE     waits for FILE in a job of a map, and in a single job for a file
 * that never is; prints how many jobs the map had, whether the single one is lost, and what another one
 * returns detach_driver alone                asks for a batch without a coordinator
 */
#include "client/muster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const struct muster_error *error)
{
    fprintf(stderr, "%s\n", error->text);
    return 255;
}

static int print_value(void *context, const struct muster_result *result)
{
    (void)context;
    printf(result->index == 1 ? "%lld" : " %lld", (long long)result->value->via.i64);
    return 0;
}

static msgpack_object text_object(const char *text)
{
    return (msgpack_object){.type = MSGPACK_OBJECT_STR,
                            .via.str = {.ptr = text, .size = (uint32_t)strlen(text)}};
}

/* The first result has come. */
static int print_accepted(void *context, const struct muster_result *result)
{
    (void)context;
    if (result->index == 1)
        printf("accepted\n");
    fflush(stdout);
    return 0;
}

/* The arguments of the map: PLUGIN, which is there, and FILE. */
static int next_path(void *context, msgpack_zone *zone, msgpack_object *ret_argument,
                     struct muster_error *ret_error)
{
    char ***path = context;

    (void)zone;
    (void)ret_error;
    if (!**path)
        return MUSTER_EEND;
    *ret_argument = text_object(*(*path)++);
    return 0;
}

static int leave(muster *m, char **words, struct muster_error *ret_error)
{
    struct muster_batch batch = {
        .function = "echo",
        .source = muster_source_range(strtoll(words[0], NULL, 10), strtoll(words[1], NULL, 10)),
        .detach = true};
    struct muster_summary summary;

    if (muster_map(m, &batch, &summary, ret_error) != 0)
        return fail(ret_error);
    printf("%llu\n", (unsigned long long)summary.batch);
    fflush(stdout);
    return 0;
}

static int leave_twice(muster *m, char **words, struct muster_error *ret_error)
{
    int status = leave(m, words, ret_error);

    return status != 0 || getchar() == EOF ? status : leave(m, words, ret_error);
}

static int read_batch(muster *m, char **words, struct muster_error *ret_error)
{
    struct muster_batch batch = {.attach = strtoull(words[0], NULL, 10), .on_result = print_value};
    struct muster_summary summary;

    if (muster_map(m, &batch, &summary, ret_error) != 0)
        return fail(ret_error);
    printf("\n%llu jobs\n", (unsigned long long)summary.jobs);
    return 0;
}

static int both(muster *m, char **words, struct muster_error *ret_error)
{
    struct muster_batch batch = {
        .function = "wait_file",
        .chunk_jobs = 1,
        .source = {.kind = MUSTER_SOURCE_STREAM, .next = next_path, .context = &words, .fd = -1},
        .on_result = print_accepted};
    msgpack_object never = text_object("/never"), three = {MSGPACK_OBJECT_POSITIVE_INTEGER, {.u64 = 3}};
    struct muster_job job = {.function = "wait_file", .argument = &never};
    muster_future *single, *again;
    struct muster_summary summary;
    const msgpack_object *value;

    if (muster_submit(m, &job, &single, ret_error) != 0 || muster_map(m, &batch, &summary, ret_error) != 0)
        return fail(ret_error);
    printf("mapped %llu\n", (unsigned long long)summary.succeeded);
    if (muster_await(single, &value, ret_error) == MUSTER_ELOST)
        printf("lost\n");
    job = (struct muster_job){.function = "echo", .argument = &three};
    if (muster_submit(m, &job, &again, ret_error) != 0 || muster_await(again, &value, ret_error) != 0)
        return fail(ret_error);
    printf("again %llu\n", (unsigned long long)value->via.u64);
    muster_future_drop(single);
    muster_future_drop(again);
    return 0;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    const char *plugins[] = {argc > 2 ? argv[2] : NULL};
    struct muster_options options = {.model = MUSTER_PROCESSES};
    struct muster_error error;
    int status = 255;
    muster *m;

    if (strcmp(verb, "alone") == 0)
        options.model = MUSTER_INLINE;
    else
        options.coordinator = MUSTER_COORDINATOR_DEFAULT;
    if (strcmp(verb, "both") == 0) {
        options.plugins = plugins;
        options.plugin_count = 1;
    }
    if (muster_open(&options, &m, &error) != 0)
        return fail(&error);
    if ((strcmp(verb, "leave") == 0 && argc == 4) || strcmp(verb, "alone") == 0)
        status = leave(m, argc == 4 ? argv + 2 : (char *[]){(char[]){"1"}, (char[]){"2"}}, &error);
    else if (strcmp(verb, "twice") == 0 && argc == 4)
        status = leave_twice(m, argv + 2, &error);
    else if (strcmp(verb, "read") == 0 && argc == 3)
        status = read_batch(m, argv + 2, &error);
    else if (strcmp(verb, "both") == 0 && argc == 4)
        status = both(m, argv + 2, &error);
    muster_close(m);
    return status;
}
