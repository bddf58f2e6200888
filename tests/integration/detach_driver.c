/* SPDX-License-Identifier: MIT
 *
 * A user of libmuster and of the coordinator at the default place, for detach.py:
 *
 *     detach_driver leave FIRST LAST     leaves `echo` over the range behind, and prints its number
 *     detach_driver read NUMBER          prints what the jobs of that batch returned, and how many they are
 *     detach_driver both PLUGIN FILE     waits for FILE in a job of a map, and in a single job for a file
 *                                        that never is; prints what became of them
 *     detach_driver alone                asks for a batch without a coordinator
 *     detach_driver stop PLUGIN FILE     as that map; its on_tick fails with 5 while the coordinator is away
 *     detach_driver interrupt PLUGIN FILE    and it is interrupted then; both print how it ended
 *     detach_driver refused PLUGIN       prints whether the descriptor tells of a single job that was lost,
 *                                        after a map that was refused
 */
#include "client/muster.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIMIT_MS = 60000 };

static int fail(const struct muster_error *error)
{
    fprintf(stderr, "%s\n", error->text);
    return 255;
}

static int print_value(void *context, const struct muster_result *result)
{
    (void)context;
    if (result->code != 0)
        puts("failed");
    else
        printf(result->index == 1 ? "%lld" : " %lld", (long long)result->value->via.i64);
    fflush(stdout);
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
    struct muster_batch batch = {
        .attach = strtoull(words[0], NULL, 10), .on_result = print_value, .halt_failures = 1};
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

/* Writes to the descriptor of the context, or fails where that is none. */
static int end_when_away(void *context, const struct muster_progress *progress)
{
    const int *interrupt = context;

    if (!progress->away)
        return 0;
    return *interrupt >= 0 && write(*interrupt, "x", 1) == 1 ? 0 : 5;
}

static int stop(muster *m, char **words, bool interrupts, struct muster_error *ret_error)
{
    int ends[2] = {-1, -1};
    struct muster_batch batch = {
        .function = "wait_file",
        .chunk_jobs = 1,
        .source = {.kind = MUSTER_SOURCE_STREAM, .next = next_path, .context = &words, .fd = -1},
        .on_result = print_accepted,
        .on_tick = end_when_away,
        .context = &ends[1]};
    int code;

    if (interrupts && pipe(ends) != 0)
        return 255;
    batch.interrupt_fd = ends[0];
    code = muster_map(m, &batch, NULL, ret_error);
    printf("%d %s\n", code, code ? ret_error->text : "");
    return 0;
}

static bool is_readable(const muster *m)
{
    struct pollfd item = {.fd = muster_fd(m), .events = POLLIN};

    return poll(&item, 1, LIMIT_MS) == 1;
}

static int refused(muster *m, struct muster_error *ret_error)
{
    struct muster_batch batch = {.function = "noop", .source = muster_source_range(1, 2)};
    msgpack_object never = text_object("/never");
    struct muster_job job = {.function = "wait_file", .argument = &never}, quick = {.function = "noop"};
    muster_future *single, *first;

    if (muster_submit(m, &job, &single, ret_error) != 0 || muster_submit(m, &quick, &first, ret_error) != 0 ||
        muster_await(first, NULL, ret_error) != 0)
        return fail(ret_error);
    printf("submitted\n");
    fflush(stdout);
    if (getchar() == EOF || !is_readable(m) || muster_map(m, &batch, NULL, ret_error) != MUSTER_ELOST)
        return 255;
    printf("%s\n", is_readable(m) ? "readable" : "silent");
    if (muster_await(single, NULL, ret_error) == MUSTER_ELOST)
        printf("lost\n");
    muster_future_drop(single);
    muster_future_drop(first);
    return 0;
}

static bool takes_plugin(const char *verb)
{
    return strcmp(verb, "both") == 0 || strcmp(verb, "stop") == 0 || strcmp(verb, "interrupt") == 0 ||
           strcmp(verb, "refused") == 0;
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
    if (argc > 2 && takes_plugin(verb)) {
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
    else if ((strcmp(verb, "stop") == 0 || strcmp(verb, "interrupt") == 0) && argc == 4)
        status = stop(m, argv + 2, verb[0] == 'i', &error);
    else if (strcmp(verb, "refused") == 0 && argc == 3)
        status = refused(m, &error);
    muster_close(m);
    return status;
}
